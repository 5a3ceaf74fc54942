#include "coord/cluster/alarms.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/codec.h"

namespace quorate::coord {
namespace {

const std::string kRecord(1, '\1');  // format version 1; the key says it all

std::string EncodeKey(const Alarm& alarm) {
  Writer w;
  w.PutOrdered64(alarm.member.value);
  w.Put8(static_cast<std::uint8_t>(alarm.type));
  return std::move(w).Take();
}

}  // namespace

Alarms::Alarms(Tables& tables) : tables_(tables) {
  tables_.Scan(store::Table::kAlarm, [this](std::string_view key, std::string_view value) {
    Reader r(key);
    Alarm alarm;
    alarm.member = ReplicaId(r.GetOrdered64());
    alarm.type = static_cast<AlarmType>(r.Get8());
    CHECK(r.Done() && value == kRecord) << "an alarm of member " << alarm.member.value
                                        << " is damaged or of a newer format";
    active_.insert(alarm);
  });
}

AlarmResponse Alarms::Execute(const AlarmRequest& request) {
  if (request.alarm.type == AlarmType::kNone) return {};
  const bool active = active_.contains(request.alarm);
  if (request.activate && !active) {
    tables_.Insert(store::Table::kAlarm, EncodeKey(request.alarm), Bytes(kRecord));
    active_.insert(request.alarm);
  } else if (!request.activate && active) {
    tables_.Erase(store::Table::kAlarm, EncodeKey(request.alarm), kRecord);
    active_.erase(request.alarm);
  }
  if (!request.activate && !active) return {};
  return {{request.alarm}};
}

bool Alarms::Active(AlarmType type) const {
  return std::any_of(active_.begin(), active_.end(), [type](const Alarm& alarm) { return alarm.type == type; });
}

}  // namespace quorate::coord
