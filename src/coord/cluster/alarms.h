// Alarms: which members have raised which alarm, in the kAlarm table. While one is active, admission refuses what would
// make things worse, on all members alike; it goes only when somebody says so.
//
// Owned by Machine. Thread rule: the owner's thread.
#pragma once

#include <set>
#include <vector>

#include "coord/cluster/types.h"
#include "coord/tables.h"

namespace quorate::coord {

class Alarms {
 public:
  explicit Alarms(Tables& tables);  // reads kAlarm

  AlarmResponse Execute(const AlarmRequest& request);
  bool Active(AlarmType type) const;
  bool empty() const { return active_.empty(); }
  std::vector<Alarm> All() const { return {active_.begin(), active_.end()}; }  // by member, then type

 private:
  Tables& tables_;
  std::set<Alarm> active_;
};

}  // namespace quorate::coord
