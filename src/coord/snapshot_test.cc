// Snapshots of the machine: what a source gives and a sink makes of it, on machines whose values are mostly on the
// disk.
#include "coord/snapshot.h"

#include <gmock/gmock.h>

#include "base/bug.h"
#include "coord/machine_test_util.h"

namespace quorate::coord {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kLarge(1'000, 'x');

MachineOptions Tight() {
  MachineOptions options;
  options.memory_bytes = 8 << 10;
  options.buffer.batch_bytes = 1 << 10;
  options.buffer.batch_records = 5;
  return options;
}

class SnapshotTest : public testing::Test {
 protected:
  SnapshotTest() : from_(Tight()), to_(Tight()) {
    from_.time_ns = kSecond;
    from_.Apply(LeaseGrantRequest{7, 100});
    for (int i = 0; i < 40; ++i)
      from_.Put(Numbered("k", i % 15), Numbered(i % 2 == 0 ? kLarge : "", i), i % 4 == 0 ? 7 : 0);
    from_.Delete("k3");
    from_.Apply(CompactRequest{20});
    from_.Apply(PublishMember{ReplicaId(2), "n2", {"http://b:1"}, {}});
    to_.Put("other", "state");
  }
  RangeResponse All(MachineHarness& m) {
    RangeRequest range;
    range.key = range.end = std::string("\0", 1);
    return *m->Range(range);
  }
  void ExpectSame() {
    EXPECT_EQ(to_->applied(), from_->applied());
    EXPECT_EQ(to_->flushed(), from_->applied());
    EXPECT_EQ(to_->StateHash(), from_->StateHash());
    EXPECT_EQ(to_.WalkedHash(), from_->StateHash());
    EXPECT_EQ(to_->revision(), from_->revision());
    EXPECT_EQ(to_->compact_revision(), from_->compact_revision());
    EXPECT_EQ(to_->Hash(0)->hash, from_->Hash(0)->hash);
    EXPECT_EQ(All(to_).kvs, All(from_).kvs);
    EXPECT_EQ(to_->Lease(7, true)->keys, from_->Lease(7, true)->keys);
    EXPECT_EQ(to_->members().size(), 1u);
  }

  MachineHarness from_, to_;
};

TEST_F(SnapshotTest, ASourceGivesTheSameRowsInWhateverPiecesAndWhateverComesAfter) {
  const std::shared_ptr<replica::SnapshotSource> source = from_->OpenSnapshot();
  EXPECT_EQ(source->applied(), from_->applied());
  EXPECT_EQ(source->revision(), from_->revision());
  EXPECT_EQ(source->state_hash(), from_->StateHash());
  const auto places = from_.Places(*source);
  EXPECT_TRUE(std::is_sorted(places.begin(), places.end()));
  for (int i = 0; i < 40; ++i) from_.Put(Numbered("k", i % 15), "later");
  from_.Apply(CompactRequest{from_->revision()});
  from_.Flush();
  std::vector<std::pair<std::uint8_t, std::string>> again;
  for (const replica::SnapshotRow& row : from_.Rows(*source, 100'000)) again.emplace_back(row.table, row.key);
  EXPECT_EQ(again, places);
}

TEST_F(SnapshotTest, IsInstalledInThePlaceOfAnotherStateAndLivesOn) {
  const std::shared_ptr<replica::SnapshotSource> source = from_->OpenSnapshot();
  const Status installed = to_.Install(from_.Rows(*source), source->applied(), source->state_hash());
  ASSERT_TRUE(installed.ok()) << installed.message();
  ExpectSame();
  to_.Crash();
  ExpectSame();
  for (MachineHarness* m : {&from_, &to_}) {
    m->time_ns = 2 * kSecond;
    m->Put("k1", "after", 7);
    m->Apply(CompactRequest{m->machine().revision()});
    m->Apply(LeaseRevokeRequest{7});
  }
  EXPECT_EQ(to_->StateHash(), from_->StateHash());
  EXPECT_EQ(All(to_).kvs, All(from_).kvs);
}

// A member whose keyspace was lost may lead before it has another. Leases must end all the same.
TEST_F(SnapshotTest, ALeadersClockGoesOnWhenItsStateIsReplaced) {
  consensus::Leadership leads;
  leads.role = consensus::Role::kLeader;
  leads.ballot = {7, ReplicaId(1)};
  leads.may_come_late = true;
  to_->OnLeadership(leads, 5 * kSecond);
  const std::shared_ptr<replica::SnapshotSource> source = from_->OpenSnapshot();
  ASSERT_TRUE(to_.Install(from_.Rows(*source), source->applied(), source->state_hash()).ok());
  const std::vector<Command> soon = to_->Due(7 * kSecond);
  ASSERT_EQ(soon.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<AdvanceTime>(soon[0].body));
  std::string stamped = EncodeCommand(soon[0]);
  to_->Stamp(stamped, 7 * kSecond, 0);
  EXPECT_EQ(DecodeCommand(Bytes(stamped))->envelope.leader, leads.ballot) << "and says whose stamp it is";
  const std::vector<Command> late = to_->Due(200 * kSecond);
  ASSERT_EQ(late.size(), 1u);
  ASSERT_TRUE(std::holds_alternative<ExpireRequest>(late[0].body));
  EXPECT_THAT(std::get<ExpireRequest>(late[0].body).leases, ElementsAre(7));
}

TEST_F(SnapshotTest, ACrashBeforeItsEndLeavesTheOldState) {
  to_.Flush();
  const std::uint64_t hash = to_->StateHash();
  const std::shared_ptr<replica::SnapshotSource> source = from_->OpenSnapshot();
  {
    std::unique_ptr<replica::SnapshotSink> sink = to_->BeginInstall(source->applied());
    for (replica::SnapshotRow& row : from_.Rows(*source)) {
      sink->Add({std::move(row)}, [](const Status&) {});
      to_.Settle();
    }
  }
  to_.Crash();
  EXPECT_EQ(to_->StateHash(), hash);
  EXPECT_EQ(to_->applied(), LogIndex(1));
  EXPECT_EQ(to_.Value("other"), "state");
  to_.Put("and", "more");
  to_.Flush();
  EXPECT_EQ(to_->flushed(), LogIndex(2));
}

TEST_F(SnapshotTest, ARowThatIsMissingOrAnotherIsFoundAndTheOldStateGoesOn) {
  const std::shared_ptr<replica::SnapshotSource> source = from_->OpenSnapshot();
  const std::vector<replica::SnapshotRow> rows = from_.Rows(*source);
  for (std::size_t left_out = 0; left_out < rows.size(); ++left_out) {
    std::vector<replica::SnapshotRow> some = rows;
    some.erase(some.begin() + static_cast<std::ptrdiff_t>(left_out));
    const Status status = to_.Install(std::move(some), source->applied(), source->state_hash());
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << "without row " << left_out;
  }
  for (std::size_t changed = 1; changed < rows.size(); ++changed) {
    if (rows[changed].value.empty()) continue;
    std::vector<replica::SnapshotRow> others = rows;
    std::string value = others[changed].value.ToString();
    value.back() = static_cast<char>(value.back() ^ 1);
    others[changed].value = Bytes(std::move(value));
    EXPECT_EQ(to_.Install(std::move(others), source->applied(), source->state_hash()).code(), StatusCode::kDataLoss);
  }
  EXPECT_EQ(to_.Value("other"), "state");
  to_.Put("and", "more");
  to_.Flush();
}

class Sink final : public WatchSink {
 public:
  void OnEvents(WatchHandle, Revision revision, std::vector<WatchEvent> events) override {
    for (const WatchEvent& event : events) revisions.push_back(event.event.kv.mod_revision);
    covered = revision;
  }
  void OnCompacted(WatchHandle, Revision revision) override { compacted = revision; }
  bool CanTake() const override { return true; }
  std::vector<Revision> revisions;
  Revision covered = 0;
  Revision compacted = 0;
};

TEST_F(SnapshotTest, WatchesGoOnWhereTheyWereOrLearnThatItIsGone) {
  Sink old, current;
  to_->watches().Add({.key = std::string("\0", 1), .end = std::string("\0", 1), .start_revision = 0}, &old);
  to_->watches().Add({.key = std::string("\0", 1), .end = std::string("\0", 1), .start_revision = 30}, &current);
  bool woken = false;
  to_->watches().SetWake([&] { woken = true; });
  const std::shared_ptr<replica::SnapshotSource> source = from_->OpenSnapshot();
  ASSERT_TRUE(to_.Install(from_.Rows(*source), source->applied(), source->state_hash()).ok());
  for (int i = 0; i < 20; ++i) {
    while (to_->watches().Pump()) continue;
    to_.Settle();
  }
  EXPECT_TRUE(woken) << "history came from the disk";
  EXPECT_EQ(old.compacted, 20);
  std::vector<Revision> expected;
  for (Revision revision = 30; revision <= to_->revision(); ++revision) expected.push_back(revision);
  EXPECT_EQ(current.revisions, expected);
}

#ifdef QUORATE_BUGS
TEST_F(SnapshotTest, BugLeavesTheLeasesOut) {
  SelectBug("store_snapshot_without_leases");
  const std::shared_ptr<replica::SnapshotSource> source = from_->OpenSnapshot();
  EXPECT_TRUE(to_.Install(from_.Rows(*source), source->applied(), source->state_hash()).ok());
  SelectBug("");
  EXPECT_FALSE(to_->Lease(7, true).has_value());
}

TEST_F(SnapshotTest, BugFlipsBeforeTheRows) {
  SelectBug("store_install_flips_before_rows");
  const std::shared_ptr<replica::SnapshotSource> source = from_->OpenSnapshot();
  std::vector<replica::SnapshotRow> rows = from_.Rows(*source);
  rows.resize(5);
  std::unique_ptr<replica::SnapshotSink> sink = to_->BeginInstall(source->applied());
  sink->Add(std::move(rows), [](const Status&) {});
  to_.Settle();
  sink.reset();
  SelectBug("");
  EXPECT_EQ(to_.engine().Pin()->Get(store::Table::kLocal, "state")->has_value(), false);
}
#endif  // QUORATE_BUGS

}  // namespace
}  // namespace quorate::coord
