#include "sim/background.h"

#include <memory>
#include <utility>

#include "sim/history.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kKeys = 6;
const std::string kKeysEnd = "u";        // above all of them
constexpr std::int64_t kLeasesKept = 6;  // ids that are still renewed, used and revoked

}  // namespace

Background::Background(std::uint64_t seed, const Scenario& scenario, Cluster& cluster)
    : turns_(scenario.workloads), cluster_(cluster), random_(SeededRandom::ForPurpose(seed, "background")) {}

void Background::Start() {
  Begin("transactions", random_.Between(100 * kMillisecond, 500 * kMillisecond), &Background::Transact);
  Begin("bursts", random_.Between(500 * kMillisecond, 10 * kSecond), &Background::Burst);
  Begin("compactions", random_.Between(2 * kSecond, 10 * kSecond), &Background::Compact);
  Begin("reads", random_.Between(100 * kMillisecond, 300 * kMillisecond), &Background::Read);
  Begin("leases", random_.Between(300 * kMillisecond, kSecond), &Background::TendLeases);
}

void Background::Begin(const std::string& kind, std::uint64_t gap_max_ns, void (Background::*turn)()) {
  const auto turns = turns_.find(kind);
  if (turns == turns_.end()) return Every(gap_max_ns, turn);
  if (turns->second != 0) Every(2 * 1000 * kSecond / turns->second, turn);
}

void Background::Every(std::uint64_t gap_max_ns, void (Background::*turn)()) {
  cluster_.scheduler().After(random_.Below(gap_max_ns), kSimulator, [this, gap_max_ns, turn] {
    if (stopped_) return;
    (this->*turn)();
    Every(gap_max_ns, turn);
  });
}

Member* Background::Anybody() {
  const std::vector<Member*> members = cluster_.WithStanding(Standing::kMember);
  Member* member = members.empty() ? nullptr : random_.Pick(members);
  return member != nullptr && member->running() ? member : nullptr;
}

void Background::Propose(coord::CommandBody body) {
  if (Member* member = Anybody()) ProposeAt(*member, std::move(body));
}

void Background::ProposeAt(Member& at, coord::CommandBody body) {
  Member* member = &at;
  coord::Command command;
  command.body = std::move(body);
  cluster_.scheduler().After(0, member->process(), [member, encoded = coord::EncodeCommand(command)] {
    member->group().Propose(encoded, 0, [](const replica::ProposeResult&) {});
  });
}

std::string Background::Key() {
  return Numbered("t", random_.Between(1, kKeys));
}

// Many at once at one member: a leader cut off meanwhile is left with a long tail that nobody else has.
void Background::Burst() {
  Member* member = random_.Chance(500) ? cluster_.leader() : Anybody();
  if (member == nullptr) return;
  for (std::uint64_t i = random_.Between(2, 40); i > 0; --i) {
    coord::PutRequest put;
    put.key = Key();
    put.value = Bytes(Numbered("x", ++last_value_));
    ProposeAt(*member, std::move(put));
  }
}

void Background::Compact() {
  Member* member = Anybody();
  if (member == nullptr) return;
  const Revision now = member->machine().revision();
  const auto back = static_cast<Revision>(random_.Below(random_.Chance(300) ? 4 : 200));  // often right at the head
  Propose(coord::CompactRequest{random_.Chance(50) ? now + back : now - back});
}

coord::Compare Background::DrawCompare() {
  coord::Compare compare;
  compare.key = Key();
  if (random_.Chance(150)) compare.end = kKeysEnd;
  compare.result = static_cast<coord::Compare::Result>(random_.Below(4));
  compare.target = static_cast<coord::Compare::Target>(random_.Below(5));
  compare.value = Numbered("x", random_.Below(last_value_ + 1));
  compare.number = static_cast<std::int64_t>(random_.Below(4));
  Member* member = Anybody();
  if (member == nullptr || compare.target == coord::Compare::Target::kVersion) return compare;
  coord::RangeRequest range;
  range.key = compare.key;
  const Result<coord::RangeResponse> found = member->machine().Range(range);
  if (!found.ok() || found->kvs.empty()) return compare;
  const store::KeyValue& kv = found->kvs[0];
  compare.value = kv.value.ToString();
  if (compare.target == coord::Compare::Target::kCreate) compare.number = kv.create_revision;
  if (compare.target == coord::Compare::Target::kMod) compare.number = kv.mod_revision;
  if (compare.target == coord::Compare::Target::kLease) compare.number = kv.lease;
  return compare;
}

coord::RangeRequest Background::DrawRange() {
  coord::RangeRequest range;
  range.key = Key();
  if (random_.Chance(500)) range.end = kKeysEnd;
  if (random_.Chance(200)) range.limit = static_cast<std::int64_t>(random_.Between(1, 3));
  range.keys_only = random_.Chance(100);
  range.count_only = random_.Chance(100);
  return range;
}

coord::RequestOp Background::DrawOp(const std::string& key, int depth) {
  const std::uint64_t draw = random_.Below(1000);
  if (draw < 450) {
    coord::PutRequest put;
    put.key = key;
    put.value = Bytes(Numbered("x", ++last_value_));
    put.prev_kv = random_.Chance(500);
    // At times a lease that ended, or never was: the whole transaction must then be refused.
    if (random_.Chance(60)) put.lease = last_lease_ + 1 - static_cast<std::int64_t>(random_.Below(kLeasesKept));
    return put;
  }
  if (draw < 650) return coord::DeleteRangeRequest{key, "", random_.Chance(500)};
  if (draw < 700 && depth == 0) return std::make_shared<const coord::TxnRequest>(DrawTxn(depth + 1));
  return DrawRange();
}

coord::TxnRequest Background::DrawTxn(int depth) {
  coord::TxnRequest txn;
  for (std::uint64_t i = random_.Below(3); i > 0; --i) txn.compares.push_back(DrawCompare());
  for (auto* branch : {&txn.success, &txn.failure}) {
    for (std::uint64_t i = random_.Below(4); i > 0; --i) branch->push_back(DrawOp(Key(), depth));
  }
  return txn;
}

void Background::Transact() {
  coord::TxnRequest txn = DrawTxn(0);
  if (coord::CheckTxn(txn).ok()) Propose(std::move(txn));  // a frontend refuses the others before the log
}

// Reads what the member has now, without a barrier, of any revision that may still be there.
void Background::Read() {
  Member* member = Anybody();
  if (member == nullptr) return;
  coord::RangeRequest range = DrawRange();
  if (random_.Chance(300)) range.key = std::string(1, '\0'), range.end = range.key;
  coord::Machine& machine = member->machine();
  if (random_.Chance(600)) {
    const Revision oldest = machine.compact_revision() > 2 ? machine.compact_revision() - 2 : 1;
    range.revision =
        oldest + static_cast<Revision>(random_.Below(static_cast<std::uint64_t>(machine.revision() + 2 - oldest)));
    if (random_.Chance(200)) range.revision = machine.compact_revision() + 1;
  }
  if (random_.Chance(300)) {
    cluster_.monitor().OnRead(member->id(), range, machine.Range(range), machine.revision(),
                              machine.compact_revision());
    return;
  }
  cluster_.scheduler().After(0, member->process(), [this, member, range] {
    member->machine().ReadRange(range, [this, member, range](const Result<coord::RangeResponse>& found) {
      if (!found.ok() && found.status().code() == StatusCode::kUnavailable) return;  // the disk failed
      const coord::Machine& now = member->machine();
      cluster_.monitor().OnRead(member->id(), range, found, now.revision(), now.compact_revision());
    });
  });
}

void Background::TendLeases() {
  const std::int64_t some = last_lease_ - static_cast<std::int64_t>(random_.Below(kLeasesKept));
  const std::uint64_t draw = random_.Below(1000);
  if (draw < 200 || some <= 0) {
    Propose(coord::LeaseGrantRequest{++last_lease_, static_cast<std::int64_t>(random_.Between(1, 5))});
  } else if (draw < 600) {
    Propose(coord::LeaseRenewRequest{some});
  } else if (draw < 650) {
    Propose(coord::LeaseRevokeRequest{some});
  } else {
    coord::PutRequest put;
    put.key = Key();
    put.value = Bytes(Numbered("x", ++last_value_));
    put.lease = some;
    Propose(std::move(put));
  }
}

}  // namespace quorate::sim
