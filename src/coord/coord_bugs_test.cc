// Each seeded bug of coord/ really changes what a client or another member sees; the simulator's part is to notice it.
#ifdef QUORATE_BUGS

#include <gmock/gmock.h>

#include "base/bug.h"
#include "coord/machine_test_util.h"

namespace quorate::coord {
namespace {

class CoordBug : public ::testing::Test {
 protected:
  ~CoordBug() override { SelectBug(""); }
  // If the value of k is `from`, it becomes `to`.
  bool Swap(std::string from, std::string to) {
    Compare compare;
    compare.target = Compare::Target::kValue;
    compare.key = "k";
    compare.value = std::move(from);
    TxnRequest txn;
    txn.compares.push_back(compare);
    txn.success.push_back(MachineHarness::MakePut("k", std::move(to)));
    return std::get<TxnResponse>(m_.Apply(txn).body).succeeded;
  }
  MachineHarness m_;
};

TEST_F(CoordBug, CasComparesAfterWrite) {
  m_.Put("k", "1");
  SelectBug("coord_cas_compares_after_write");
  EXPECT_FALSE(Swap("1", "2"));
  EXPECT_EQ(m_.Value("k"), "2");
}

TEST_F(CoordBug, CompareAtPreviousRevision) {
  m_.Put("k", "1");
  m_.Put("k", "2");
  SelectBug("coord_compare_at_previous_revision");
  EXPECT_TRUE(Swap("1", "3"));
}

TEST_F(CoordBug, TxnPartialApply) {
  SelectBug("coord_txn_partial_apply");
  TxnRequest txn;
  txn.success = {MachineHarness::MakePut("a", "1"), MachineHarness::MakePut("b", "1", 404)};
  EXPECT_FALSE(m_.Apply(txn).status.ok());
  EXPECT_EQ(m_.Value("a"), "1");
}

TEST_F(CoordBug, LeaseExpiryNotRechecked) {
  m_.Apply(LeaseGrantRequest{1, 60});
  SelectBug("coord_lease_expiry_not_rechecked");
  m_.Apply(ExpireRequest{{1}});
  EXPECT_TRUE(m_->Leases().empty());
}

TEST_F(CoordBug, SessionGapIgnored) {
  m_.OpenSession(SessionId(7));
  SelectBug("coord_session_gap_ignored");
  EXPECT_TRUE(m_.ApplyIn(SessionId(7), 2, MachineHarness::MakePut("k", "second")).status.ok());
}

TEST_F(CoordBug, SessionCommandTwice) {
  m_.OpenSession(SessionId(7));
  m_.ApplyIn(SessionId(7), 1, MachineHarness::MakePut("k", "first"));
  SelectBug("coord_session_command_twice");
  EXPECT_TRUE(m_.ApplyIn(SessionId(7), 1, MachineHarness::MakePut("k", "again")).status.ok());
}

TEST_F(CoordBug, ApplyUsesLocalClock) {
  MachineHarness follower;
  consensus::Leadership leads;
  leads.role = consensus::Role::kLeader;
  m_->OnLeadership(leads, 0);
  std::string first = EncodeCommand({Envelope{}, MachineHarness::MakePut("k", "1")});
  std::string second = first;
  m_->Stamp(first, kSecond, 0);
  m_->Stamp(second, 2 * kSecond, 0);
  SelectBug("coord_apply_uses_local_clock");
  m_.ApplyEncoded(Bytes(first));
  follower.ApplyEncoded(Bytes(first));
  EXPECT_NE(m_->StateHash(), follower->StateHash());
}

TEST_F(CoordBug, WatchSkipsEventAtCatchUp) {
  class Counter final : public WatchSink {
   public:
    void OnEvents(WatchHandle, Revision, std::vector<WatchEvent> events) override { seen += events.size(); }
    void OnCompacted(WatchHandle, Revision) override {}
    bool CanTake() const override { return true; }
    std::size_t seen = 0;
  } counter;
  m_.Put("k", "1");
  WatchRequest request;
  request.key = "k";
  request.start_revision = 2;
  m_->watches().Add(request, &counter);
  SelectBug("coord_watch_skips_event_at_catch_up");
  while (m_->watches().Pump()) {
  }
  m_.Put("k", "2");
  while (m_->watches().Pump()) {
  }
  EXPECT_EQ(counter.seen, 1u);
}

}  // namespace
}  // namespace quorate::coord

#endif  // QUORATE_BUGS
