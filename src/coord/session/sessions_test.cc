// Native sessions and their order. Leases: grant, renewal, revocation, expiry, attachment of keys, cluster time and
// what the leader's timers ask for.
#include "coord/session/sessions.h"

#include <gmock/gmock.h>

#include "coord/machine_test_util.h"
#include "coord/session/expiry.h"

namespace quorate::coord {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kMs = 1'000'000;

consensus::Leadership Leads(bool leads) {
  consensus::Leadership leadership;
  leadership.role = leads ? consensus::Role::kLeader : consensus::Role::kFollower;
  return leadership;
}

class LeaseTest : public ::testing::Test {
 protected:
  Status Grant(std::int64_t id, std::int64_t ttl) { return m_.Apply(LeaseGrantRequest{id, ttl}).status; }
  std::int64_t Renew(std::int64_t id) { return std::get<LeaseRenewResponse>(m_.Apply(LeaseRenewRequest{id}).body).ttl; }
  std::vector<std::string> KeysOf(std::int64_t id) { return m_->Lease(id, true)->keys; }

  // As server/ does: what is due is stamped and applied.
  std::size_t ApplyDue(std::uint64_t monotonic_ns) {
    const std::vector<Command> due = m_->Due(monotonic_ns);
    for (const Command& command : due) {
      std::string encoded = EncodeCommand(command);
      m_->Stamp(encoded, monotonic_ns, 0);
      EXPECT_TRUE(m_.ApplyEncoded(Bytes(std::move(encoded))).status.ok());
    }
    return due.size();
  }
  CommandOutcome ApplyAsLeader(CommandBody body, std::uint64_t monotonic_ns) {
    std::string encoded = EncodeCommand({Envelope{}, std::move(body)});
    m_->Stamp(encoded, monotonic_ns, 0);
    return m_.ApplyEncoded(Bytes(std::move(encoded)));
  }

  MachineHarness m_;
};

TEST_F(LeaseTest, AGrantTakesNoRevisionAndShortTtlsAreRaisedToTheMinimum) {
  const CommandOutcome outcome = m_.Apply(LeaseGrantRequest{7, 1});
  EXPECT_EQ(outcome.revision, 1);
  EXPECT_EQ(std::get<LeaseGrantResponse>(outcome.body).id, 7);
  EXPECT_EQ(std::get<LeaseGrantResponse>(outcome.body).ttl, 2);
  EXPECT_EQ(m_->Lease(7, false)->granted_ttl, 2);
  EXPECT_EQ(std::get<LeaseGrantResponse>(m_.Apply(LeaseGrantRequest{8, -5}).body).ttl, 2);
}

TEST_F(LeaseTest, GrantRefusesATakenIdAndATtlThatIsTooLarge) {
  EXPECT_TRUE(Grant(7, 9'000'000'000).ok());
  EXPECT_EQ(Grant(7, 60), Status::FailedPrecondition("etcdserver: lease already exists"));
  EXPECT_EQ(Grant(7, 9'000'000'001), Status::OutOfRange("etcdserver: too large lease TTL"));
  EXPECT_EQ(Grant(0, 60), Status::NotFound("etcdserver: requested lease not found"));
  EXPECT_THAT(m_->Leases(), ElementsAre(7));
}

TEST_F(LeaseTest, RenewingAMissingLeaseGivesZeroAndNoError) {
  EXPECT_EQ(Renew(7), 0);
  EXPECT_TRUE(Grant(7, 60).ok());
  EXPECT_EQ(Renew(7), 60);
  EXPECT_EQ(m_->revision(), 1);
}

TEST_F(LeaseTest, RevokingDeletesTheKeysInByteOrderInOneRevision) {
  class Recorder final : public WatchSink {
   public:
    void OnEvents(WatchHandle, Revision, std::vector<WatchEvent> events) override {
      for (const WatchEvent& event : events) {
        keys.push_back(event.event.kv.key.ToString());
        EXPECT_EQ(event.event.type, store::Event::Type::kDelete);
        EXPECT_EQ(event.event.kv.mod_revision, 5);
      }
    }
    void OnCompacted(WatchHandle, Revision) override { FAIL(); }
    bool CanTake() const override { return true; }
    std::vector<std::string> keys;
  } recorder;
  EXPECT_TRUE(Grant(7, 60).ok());
  for (const char* key : {"b", "a", "\xff"}) m_.Put(key, "v", 7);
  WatchRequest request;
  request.key = "a";
  request.end = std::string("\0", 1);
  m_->watches().Add(request, &recorder);
  const CommandOutcome outcome = m_.Apply(LeaseRevokeRequest{7});
  EXPECT_EQ(outcome.revision, 5);
  while (m_->watches().Pump()) {
  }
  EXPECT_THAT(recorder.keys, ElementsAre("a", "b", "\xff"));
  EXPECT_THAT(m_->Leases(), IsEmpty());
}

TEST_F(LeaseTest, RevokingALeaseWithoutKeysTakesNoRevisionAndAMissingOneIsNotFound) {
  EXPECT_TRUE(Grant(7, 60).ok());
  EXPECT_EQ(m_.Apply(LeaseRevokeRequest{7}).revision, 1);
  const std::uint64_t hash = m_->StateHash();
  EXPECT_EQ(m_.Apply(LeaseRevokeRequest{7}).status, Status::NotFound("etcdserver: requested lease not found"));
  EXPECT_EQ(m_->StateHash(), hash);
}

TEST_F(LeaseTest, APutNeedsItsLeaseToExist) {
  EXPECT_EQ(m_.Apply(MachineHarness::MakePut("k", "v", 9)).status,
            Status::NotFound("etcdserver: requested lease not found"));
}

TEST_F(LeaseTest, OverwritingAKeyMovesItToTheNewLeaseOrDetachesIt) {
  EXPECT_TRUE(Grant(1, 60).ok());
  EXPECT_TRUE(Grant(2, 60).ok());
  m_.Put("k", "v", 1);
  EXPECT_THAT(KeysOf(1), ElementsAre("k"));
  m_.Put("k", "v", 2);
  EXPECT_THAT(KeysOf(1), IsEmpty());
  EXPECT_THAT(KeysOf(2), ElementsAre("k"));
  m_.Put("k", "v");
  EXPECT_THAT(KeysOf(2), IsEmpty());
  m_.Apply(LeaseRevokeRequest{2});
  EXPECT_EQ(m_.Value("k"), "v");
}

TEST_F(LeaseTest, DeletingAKeyDetachesIt) {
  EXPECT_TRUE(Grant(1, 60).ok());
  m_.Put("a", "v", 1);
  m_.Put("b", "v", 1);
  m_.Delete("a");
  EXPECT_THAT(KeysOf(1), ElementsAre("b"));
  m_.Put("a", "again");
  m_.Apply(LeaseRevokeRequest{1});
  EXPECT_EQ(m_.Value("a"), "again");
  EXPECT_EQ(m_.Value("b"), "(none)");
}

TEST_F(LeaseTest, ExpiryChecksTheDeadlineAgainWhenApplied) {
  EXPECT_TRUE(Grant(1, 10).ok());
  EXPECT_TRUE(Grant(2, 10).ok());
  m_.Put("a", "v", 1);
  m_.Put("b", "v", 2);
  m_.time_ns = 9 * kSecond;
  Renew(2);
  m_.time_ns = 10 * kSecond;
  EXPECT_EQ(m_.Apply(ExpireRequest{{1, 2, 1, 404}}).revision, 4);
  EXPECT_THAT(m_->Leases(), ElementsAre(2));
  EXPECT_EQ(m_.Value("a"), "(none)");
  EXPECT_EQ(m_.Value("b"), "v");
}

TEST_F(LeaseTest, OneExpiryOfSeveralLeasesTakesOneRevision) {
  for (const std::int64_t id : {1, 2, 3}) {
    EXPECT_TRUE(Grant(id, 2).ok());
    m_.Put(Numbered("k", 9 - id), "v", id);
  }
  m_.time_ns = 2 * kSecond;
  EXPECT_EQ(m_.Apply(ExpireRequest{{1, 2, 3}}).revision, 5);
  EXPECT_THAT(m_->Leases(), IsEmpty());
}

TEST_F(LeaseTest, RemainingTimeIsByClusterTimeAndEndsAtZero) {
  m_.time_ns = 5 * kSecond;
  EXPECT_TRUE(Grant(1, 10).ok());
  m_.time_ns = 7 * kSecond + 1;
  m_.Put("k", "v");
  EXPECT_EQ(m_->Lease(1, false)->remaining_ttl, 7);
  m_.time_ns = 100 * kSecond;
  m_.Put("k", "v");
  EXPECT_EQ(m_->Lease(1, false)->remaining_ttl, 0);
  EXPECT_FALSE(m_->Lease(2, false));
}

TEST_F(LeaseTest, SessionsAndTheirKeysAreRebuiltFromTheTables) {
  EXPECT_TRUE(Grant(1, 10).ok());
  EXPECT_TRUE(Grant(-2, 20).ok());
  m_.Put("a", "v", 1);
  m_.Put("b", "v", -2);
  m_.time_ns = 3 * kSecond;
  Renew(1);
  const std::uint64_t hash = m_->StateHash();
  m_.Reopen();
  EXPECT_EQ(m_->StateHash(), hash);
  EXPECT_THAT(m_->Leases(), ElementsAre(1, -2));
  EXPECT_EQ(m_->Lease(1, false)->remaining_ttl, 10);
  EXPECT_EQ(m_->Lease(-2, false)->remaining_ttl, 17);
  m_.Put("a", "v");
  m_.Apply(LeaseRevokeRequest{1});
  m_.Apply(LeaseRevokeRequest{-2});
  EXPECT_EQ(m_.Value("a"), "v");
  EXPECT_EQ(m_.Value("b"), "(none)");
}

// ---- cluster time ----

TEST_F(LeaseTest, ClusterTimeAdvancesByTheLeadersMonotonicClockFromTheLastStamp) {
  m_.time_ns = 50 * kSecond;
  EXPECT_TRUE(Grant(1, 10).ok());
  m_->OnLeadership(Leads(true), 1'000 * kSecond);
  ApplyAsLeader(AdvanceTime{}, 1'004 * kSecond);
  EXPECT_EQ(m_->Lease(1, false)->remaining_ttl, 6);
}

TEST_F(LeaseTest, StampsNeverGoBack) {
  m_->OnLeadership(Leads(true), 100 * kSecond);
  const auto stamp = [&](std::uint64_t monotonic_ns) {
    std::string encoded = EncodeCommand({Envelope{}, AdvanceTime{}});
    m_->Stamp(encoded, monotonic_ns, 42);
    const Command command = *DecodeCommand(Bytes(encoded));
    EXPECT_EQ(command.envelope.wall_time_ns, 42);
    return command.envelope.cluster_time_ns;
  };
  EXPECT_EQ(stamp(105 * kSecond), 5 * kSecond);
  EXPECT_EQ(stamp(103 * kSecond), 5 * kSecond);
  EXPECT_EQ(stamp(106 * kSecond), 6 * kSecond);
  m_.time_ns = 60 * kSecond;  // an entry that an earlier leader had stamped
  m_.Put("k", "v");
  EXPECT_EQ(stamp(107 * kSecond), 60 * kSecond);
  EXPECT_EQ(stamp(108 * kSecond), 61 * kSecond);
}

TEST_F(LeaseTest, AnOlderStampDoesNotTurnTimeBack) {
  m_.time_ns = 9 * kSecond;
  EXPECT_TRUE(Grant(1, 10).ok());
  m_.time_ns = 3 * kSecond;
  Renew(1);
  m_.time_ns = 15 * kSecond;
  EXPECT_EQ(m_.Apply(ExpireRequest{{1}}).status, Status::Ok());
  EXPECT_THAT(m_->Leases(), ElementsAre(1));
}

// Multi-Paxos may choose what the first leader proposed behind what the second one did; the first one's time was ahead,
// for the second did not count what passed between the two.
TEST_F(LeaseTest, AFormerLeadersStampThatComesLateEndsNothing) {
  const auto stamped = [this](CommandBody body, std::uint64_t time_ns, std::uint64_t ballot) {
    Envelope envelope;
    envelope.cluster_time_ns = time_ns;
    envelope.leader = {ballot, ReplicaId(1)};
    return m_.ApplyEncoded(Bytes(EncodeCommand({envelope, std::move(body)})));
  };
  stamped(LeaseGrantRequest{1, 5}, 1 * kSecond, 1);
  stamped(LeaseRenewRequest{1}, 2 * kSecond, 2);
  stamped(ExpireRequest{{1}}, 9 * kSecond, 1);
  EXPECT_THAT(m_->Leases(), ElementsAre(1));
  stamped(ExpireRequest{{1}}, 6 * kSecond, 2);
  EXPECT_THAT(m_->Leases(), ElementsAre(1));
  stamped(ExpireRequest{{1}}, 7 * kSecond, 3);
  EXPECT_THAT(m_->Leases(), IsEmpty());
}

TEST_F(LeaseTest, OnlyWhoseCommandsMayComeLateStampsItsBallot) {
  for (const bool late : {false, true}) {
    consensus::Leadership leadership = Leads(true);
    leadership.ballot = {4, ReplicaId(2)};
    leadership.may_come_late = late;
    m_->OnLeadership(leadership, kSecond);
    std::string encoded = EncodeCommand({Envelope{}, AdvanceTime{}});
    m_->Stamp(encoded, 2 * kSecond, 0);
    EXPECT_EQ(DecodeCommand(Bytes(encoded))->envelope.leader, late ? leadership.ballot : consensus::Ballot());
  }
}

TEST_F(LeaseTest, AChangeOfLeaderNeverEndsALeaseEarly) {
  m_->OnLeadership(Leads(true), 100 * kSecond);
  EXPECT_TRUE(ApplyAsLeader(LeaseGrantRequest{1, 10}, 101 * kSecond).status.ok());
  m_->OnLeadership(Leads(false), 105 * kSecond);
  EXPECT_THAT(m_->Due(200 * kSecond), IsEmpty());
  m_->OnLeadership(Leads(true), 108 * kSecond);  // the time since the last stamp is not counted
  EXPECT_THAT(m_->Due(108 * kSecond), IsEmpty());
  EXPECT_EQ(ApplyDue(117 * kSecond), 1u);  // AdvanceTime
  EXPECT_THAT(m_->Leases(), ElementsAre(1));
  EXPECT_EQ(ApplyDue(118 * kSecond), 1u);
  EXPECT_THAT(m_->Leases(), IsEmpty());
}

// ---- what the leader's timers ask for ----

TEST_F(LeaseTest, NothingIsDueOnAFollowerOrWithoutLeases) {
  EXPECT_TRUE(Grant(1, 2).ok());
  EXPECT_THAT(m_->Due(1'000 * kSecond), IsEmpty());
  m_.Apply(LeaseRevokeRequest{1});
  m_->OnLeadership(Leads(true), kSecond);
  EXPECT_THAT(m_->Due(1'000 * kSecond), IsEmpty());
}

TEST_F(LeaseTest, IdleTimeIsLoggedOnceASecondWhileThereAreLeases) {
  m_->OnLeadership(Leads(true), 100 * kSecond);
  ApplyAsLeader(LeaseGrantRequest{1, 60}, 100 * kSecond);
  std::size_t commands = 0;
  for (int tick = 1; tick <= 50; ++tick) commands += ApplyDue(100 * kSecond + tick * 100 * kMs);
  EXPECT_EQ(commands, 5u);
  EXPECT_EQ(m_->Lease(1, false)->remaining_ttl, 55);
}

TEST_F(LeaseTest, ALeaseIsAskedForOnceUntilTheRetryAndAgainAfterIt) {
  m_->OnLeadership(Leads(true), 0);
  ApplyAsLeader(LeaseGrantRequest{1, 2}, 0);
  EXPECT_THAT(m_->Due(2 * kSecond - 1), ::testing::SizeIs(1));  // AdvanceTime
  const std::vector<Command> due = m_->Due(2 * kSecond);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_THAT(std::get<ExpireRequest>(due[0].body).leases, ElementsAre(1));
  for (const Command& command : m_->Due(3 * kSecond)) {
    EXPECT_FALSE(std::holds_alternative<ExpireRequest>(command.body));
  }
  const std::vector<Command> again = m_->Due(2 * kSecond + Expiry::kRetryNs);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<ExpireRequest>(again[0].body));
}

TEST_F(LeaseTest, AnExpiryThatWasLostIsAskedForAgainThoughOthersKeepEnding) {
  m_->OnLeadership(Leads(true), 0);
  ApplyAsLeader(LeaseGrantRequest{1, 2}, 0);
  EXPECT_EQ(m_->Due(2 * kSecond).size(), 1u);  // and it is lost
  std::set<std::int64_t> asked;
  for (std::uint64_t now = 3 * kSecond; now <= 2 * kSecond + 2 * Expiry::kRetryNs; now += kSecond) {
    const auto id = static_cast<std::int64_t>(now / kSecond);
    ApplyAsLeader(LeaseGrantRequest{id, 2}, now - 2 * kSecond);
    for (const Command& command : m_->Due(now)) {
      const auto* expire = std::get_if<ExpireRequest>(&command.body);
      if (expire != nullptr) asked.insert(expire->leases.begin(), expire->leases.end());
    }
  }
  EXPECT_TRUE(asked.contains(1)) << "every second another lease ended";
}

TEST_F(LeaseTest, ExpiriesComeInBoundedCommands) {
  m_->OnLeadership(Leads(true), 0);
  const std::int64_t leases = 3'200;
  for (std::int64_t id = 1; id <= leases; ++id) m_.Apply(LeaseGrantRequest{id, 2});
  std::vector<std::int64_t> expired;
  std::size_t calls = 0;
  for (std::uint64_t now = 2 * kSecond; expired.size() < static_cast<std::size_t>(leases); now += 100 * kMs, ++calls) {
    ASSERT_LT(calls, 10u);
    const std::vector<Command> due = m_->Due(now);
    EXPECT_LE(due.size(), Expiry::kCommandsMax);
    for (const Command& command : due) {
      const auto& batch = std::get<ExpireRequest>(command.body).leases;
      EXPECT_LE(batch.size(), Expiry::kLeasesMax);
      expired.insert(expired.end(), batch.begin(), batch.end());
    }
  }
  EXPECT_EQ(expired.size(), static_cast<std::size_t>(leases));
  EXPECT_EQ(std::set<std::int64_t>(expired.begin(), expired.end()).size(), expired.size());
}

TEST_F(LeaseTest, ABatchOfExpiriesIsBoundedByItsKeysToo) {
  m_->OnLeadership(Leads(true), 0);
  TxnRequest txn;
  for (std::int64_t id = 1; id <= 3; ++id) {
    m_.Apply(LeaseGrantRequest{id, 2});
    for (int i = 0; i < 6'000; ++i) {
      txn.success.push_back(MachineHarness::MakePut(Numbered(Numbered("", id) + "/", i), "v", id));
    }
  }
  EXPECT_TRUE(m_.Apply(txn).status.ok());
  const std::vector<Command> due = m_->Due(2 * kSecond);
  ASSERT_EQ(due.size(), 3u);
}

class SessionTest : public LeaseTest {
 protected:
  static constexpr SessionId kSession{7};
  void SetUp() override { m_.check_hash = true; }
  std::string Put(std::uint64_t sequence, std::string value, SessionId session = kSession) {
    return m_.ApplyIn(session, sequence, MachineHarness::MakePut("k", std::move(value))).status.message();
  }
};

TEST_F(SessionTest, NeedsTheFeatureLevelThatBringsIt) {
  EXPECT_EQ(m_.Apply(OpenSessionRequest{kSession, 1'000}).status,
            Status::FailedPrecondition("etcdserver: not capable"));
  m_.OpenSession(kSession);
  EXPECT_EQ(m_->LastSequence(kSession), 0u);
}

TEST_F(SessionTest, ACommandIsExecutedOnlyRightAfterItsPredecessor) {
  m_.OpenSession(kSession);
  EXPECT_EQ(Put(1, "first"), "");
  EXPECT_EQ(Put(3, "third"), "quorate: command 3 of session 7 came without its predecessor: the last one was 1");
  EXPECT_EQ(Put(4, "fourth"), "quorate: command 4 of session 7 came without its predecessor: the last one was 1");
  EXPECT_EQ(m_.Value("k"), "first");
  EXPECT_EQ(Put(2, "second"), "");
  EXPECT_EQ(Put(3, "third"), "");
  EXPECT_EQ(m_.Value("k"), "third");
}

TEST_F(SessionTest, ACommandHasOneTurn) {
  m_.OpenSession(kSession);
  EXPECT_EQ(Put(1, "first"), "");
  EXPECT_EQ(Put(1, "again"), "quorate: command 1 of session 7 had its turn already");
  EXPECT_EQ(Put(0, "again"), "quorate: command 0 of session 7 had its turn already");
  EXPECT_EQ(m_.Value("k"), "first");
}

TEST_F(SessionTest, ARefusedCommandHasHadItsTurn) {
  m_.OpenSession(kSession);
  const auto put = MachineHarness::MakePut("k", "v", 404);
  EXPECT_EQ(m_.ApplyIn(kSession, 1, put).status, Status::NotFound("etcdserver: requested lease not found"));
  EXPECT_EQ(Put(2, "second"), "") << "as in ZooKeeper, a failed operation does not stop those behind it";
}

TEST_F(SessionTest, CommandsOfASessionThatIsNotThereAreRefused) {
  EXPECT_EQ(Put(1, "v"), "quorate: session 7 has ended, or never was");
  m_.Apply(LeaseGrantRequest{7, 60});
  EXPECT_EQ(Put(1, "v"), "quorate: session 7 has ended, or never was") << "a lease takes no commands";
}

TEST_F(SessionTest, SessionsDoNotWaitForOneAnother) {
  m_.OpenSession(kSession);
  m_.OpenSession(SessionId(8));
  EXPECT_EQ(Put(1, "a"), "");
  EXPECT_EQ(Put(1, "b", SessionId(8)), "");
  EXPECT_EQ(Put(2, "c"), "");
}

TEST_F(SessionTest, TheTurnSurvivesALife) {
  m_.OpenSession(kSession);
  EXPECT_EQ(Put(1, "first"), "");
  EXPECT_EQ(Put(2, "second"), "");
  m_.Reopen();
  EXPECT_EQ(m_->LastSequence(kSession), 2u);
  EXPECT_EQ(Put(2, "again"), "quorate: command 2 of session 7 had its turn already");
  EXPECT_EQ(Put(3, "third"), "");
}

TEST_F(SessionTest, EndsWithItsKeysWhenClosedOrExpiredAndIsNoLease) {
  m_->OnLeadership(Leads(true), 0);
  m_.OpenSession(kSession, 500);
  m_.OpenSession(SessionId(8), 500);
  m_.Put("of7", "v", 7);
  m_.Put("of8", "v", 8);
  EXPECT_TRUE(m_->Leases().empty());
  EXPECT_EQ(m_->Lease(7, false), std::nullopt);
  EXPECT_EQ(Renew(7), 0);
  EXPECT_EQ(m_.Apply(LeaseRevokeRequest{7}).status, Status::NotFound("etcdserver: requested lease not found"));
  EXPECT_EQ(m_.Apply(OpenSessionRequest{kSession, 500}).status,
            Status::FailedPrecondition("quorate: session 7 exists already"));
  EXPECT_TRUE(m_.Apply(CloseSessionRequest{kSession}).status.ok());
  EXPECT_EQ(m_.Value("of7"), "(none)");
  EXPECT_EQ(m_.Value("of8"), "v");
  EXPECT_EQ(ApplyDue(501 * kMs), 1u);
  EXPECT_EQ(m_.Value("of8"), "(none)");
  EXPECT_EQ(m_->LastSequence(SessionId(8)), std::nullopt);
}

TEST_F(SessionTest, RenewalsComeInBatchesAndSayWhoIsStillAlive) {
  m_->OnLeadership(Leads(true), 0);
  m_.OpenSession(kSession, 500);
  const CommandOutcome outcome = ApplyAsLeader(RenewSessionsRequest{{kSession, SessionId(9), kSession}}, 400 * kMs);
  EXPECT_THAT(std::get<RenewSessionsResponse>(outcome.body).alive, ElementsAre(kSession, kSession));
  EXPECT_EQ(ApplyDue(800 * kMs), 0u);
  EXPECT_EQ(ApplyDue(901 * kMs), 1u);
}

TEST_F(SessionTest, ATtlOutOfRangeIsRefused) {
  m_.OpenSession(kSession);
  for (const std::uint64_t ttl_ms : {std::uint64_t{0}, std::uint64_t{99}, std::uint64_t{86'400'001}}) {
    EXPECT_EQ(m_.Apply(OpenSessionRequest{SessionId(9), ttl_ms}).status,
              Status::OutOfRange("quorate: a session's TTL must be between 100 ms and one day"));
  }
}

}  // namespace
}  // namespace quorate::coord
