// Members, alarms and the feature level, through the machine: etcd's rules and errors to the letter.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "coord/machine_test_util.h"

namespace quorate::coord {
namespace {

const ReplicaId kA(10), kB(11), kC(12), kD(13), kE(14);

InitialMember Initial(ReplicaId id, std::string name) {
  std::string url("http://");
  url += name;
  return {id, std::move(name), {std::move(url)}};
}

class ClusterTest : public testing::Test {
 protected:
  // A cluster of the first `count` of n10, n11, n12, all started.
  void Begin(int count) {
    RaiseFeatureLevel raise{2, {}};
    for (int i = 0; i < count; ++i) {
      raise.members.push_back(Initial(ReplicaId(10 + static_cast<std::uint64_t>(i)), Numbered("n", 10 + i)));
    }
    EXPECT_TRUE(m_.Apply(raise).status.ok());
  }
  std::string Do(CommandBody body) {
    const CommandOutcome outcome = m_.Apply(std::move(body));
    return outcome.status.ok() ? "ok" : outcome.status.message();
  }
  std::string Add(ReplicaId id, const std::string& url, bool learner = false) {
    return Do(AddMember{id, {url}, learner});
  }
  void Start(ReplicaId id, const std::string& name) {
    EXPECT_EQ(Do(PublishMember{id, name, {"x"}, {"http://c"}}), "ok");
  }
  // "10 11(unstarted) 12(learner)"
  std::string Listed() {
    std::string text;
    for (const MemberInfo& member : m_->members()) {
      if (!text.empty()) text += ' ';
      text += std::to_string(member.id.value);
      if (member.name.empty()) text += "(unstarted)";
      if (member.learner) text += "(learner)";
    }
    return text;
  }

  MachineHarness m_;
};

constexpr const char* kNotStarted = "etcdserver: re-configuration failed due to not enough started members";
constexpr const char* kNotFound = "etcdserver: member not found";

TEST_F(ClusterTest, TheFirstMembersAreEnteredWhenTheLevelIsRaised) {
  EXPECT_EQ(m_->feature_level(), 1u);
  EXPECT_EQ(Do(PublishMember{kA, "n10", {"http://old"}, {"http://c"}}), "ok");  // as at level 1
  Begin(2);
  EXPECT_EQ(m_->feature_level(), 2u);
  ASSERT_EQ(Listed(), "10 11");
  EXPECT_EQ(m_->members()[0].peer_urls.front(), "http://old") << "what it had published stays";
  EXPECT_EQ(m_->members()[1].peer_urls.front(), "http://n11");
  const std::uint64_t hash = m_->StateHash();
  const std::uint64_t changes = m_->member_changes();
  EXPECT_TRUE(m_.Apply(RaiseFeatureLevel{2, {Initial(kC, "n12")}}).status.ok());
  EXPECT_TRUE(m_.Apply(RaiseFeatureLevel{1, {Initial(kC, "n12")}}).status.ok());
  EXPECT_EQ(Listed(), "10 11") << "only the first one says who";
  EXPECT_EQ(m_->StateHash(), hash);
  EXPECT_EQ(m_->member_changes(), changes);
}

TEST_F(ClusterTest, AnEmptyTableIsFilledAtAnyLevel) {
  Begin(0);
  EXPECT_EQ(Listed(), "");
  Begin(1);
  EXPECT_EQ(Listed(), "10");
}

TEST_F(ClusterTest, AtLevelOneNothingOfThisExists) {
  const std::uint64_t hash = m_->StateHash();
  for (CommandBody body :
       {CommandBody(AddMember{kA, {"u"}, false}), CommandBody(RemoveMember{kA}), CommandBody(UpdateMember{kA, {"u"}}),
        CommandBody(PromoteMember{kA}), CommandBody(ReplaceMember{kA, kB, {"u"}}),
        CommandBody(AlarmRequest{true, {kA, AlarmType::kNoSpace}})}) {
    EXPECT_EQ(Do(std::move(body)), "etcdserver: not capable");
  }
  EXPECT_EQ(m_->StateHash(), hash);
}

TEST_F(ClusterTest, AddedMembersAreListedUnstartedUntilTheyPublish) {
  Begin(3);
  const CommandOutcome outcome = m_.Apply(AddMember{kD, {"http://d"}, false});
  ASSERT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.revision, 1) << "membership takes no revision";
  EXPECT_EQ(std::get<MembersResponse>(outcome.body).members.size(), 4u);
  EXPECT_EQ(Listed(), "10 11 12 13(unstarted)");
  Start(kD, "n13");
  EXPECT_EQ(Listed(), "10 11 12 13");
  EXPECT_EQ(m_->members()[3].peer_urls.front(), "http://d") << "the table's address counts, not the published one";
  EXPECT_EQ(m_->members()[3].client_urls.front(), "http://c");
  EXPECT_EQ(Do(PublishMember{kE, "n14", {}, {}}), kNotFound);
}

TEST_F(ClusterTest, AddingIsRefusedAsEtcdRefuses) {
  Begin(3);
  EXPECT_EQ(Add(kA, "http://new"), "etcdserver: member ID already exist");
  EXPECT_EQ(Add(kD, "http://n10"), "etcdserver: Peer URLs already exists");
  EXPECT_EQ(Do(AddMember{kD, {}, false}), "etcdserver: given member URLs are invalid");
  EXPECT_EQ(Add(kD, "http://d"), "ok");
  EXPECT_EQ(Add(kD, "http://d2"), "etcdserver: member ID already exist");
  EXPECT_EQ(Add(kE, "http://d"), "etcdserver: Peer URLs already exists");
}

TEST_F(ClusterTest, ALoneMemberTakesInOneButNotTwoUnstarted) {
  Begin(1);
  EXPECT_EQ(Add(kB, "http://b"), "ok");
  EXPECT_EQ(Add(kC, "http://c"), kNotStarted);
  Start(kB, "n11");
  EXPECT_EQ(Add(kC, "http://c"), "ok");
}

TEST_F(ClusterTest, RemovedIdsAreNeverUsedAgain) {
  Begin(3);
  EXPECT_EQ(Do(RemoveMember{kC}), "ok");
  EXPECT_EQ(Listed(), "10 11");
  EXPECT_EQ(m_->removed_members(), std::vector<ReplicaId>{kC});
  EXPECT_EQ(Do(RemoveMember{kC}), kNotFound);
  EXPECT_EQ(Do(RemoveMember{kE}), kNotFound);
  EXPECT_EQ(Add(kC, "http://c"), kNotFound);
  EXPECT_EQ(Do(PublishMember{kC, "n12", {}, {}}), kNotFound);
  EXPECT_EQ(Add(kD, "http://n12"), "ok") << "its address is free";
  m_.Reopen();
  EXPECT_EQ(m_->removed_members(), std::vector<ReplicaId>{kC});
  EXPECT_EQ(Listed(), "10 11 13(unstarted)");
}

TEST_F(ClusterTest, TheLastMemberAndALastStartedOneStay) {
  Begin(1);
  EXPECT_EQ(Do(RemoveMember{kA}), kNotStarted);
  EXPECT_EQ(Add(kB, "http://b"), "ok");
  EXPECT_EQ(Do(RemoveMember{kA}), kNotStarted);
  EXPECT_EQ(Do(RemoveMember{kB}), "ok");
}

TEST_F(ClusterTest, LearnersAreLimitedPromotedOnceStartedAndFreelyRemoved) {
  Begin(3);
  EXPECT_EQ(Add(kD, "http://d", true), "ok");
  EXPECT_EQ(Listed(), "10 11 12 13(unstarted)(learner)");
  EXPECT_EQ(Add(kE, "http://e", true), "etcdserver: too many learner members in cluster");
  EXPECT_EQ(Do(PromoteMember{kD}), "etcdserver: can only promote a learner member which is in sync with leader");
  EXPECT_EQ(Do(PromoteMember{kA}), "etcdserver: can only promote a learner member");
  EXPECT_EQ(Do(PromoteMember{kE}), kNotFound);
  Start(kD, "n13");
  m_.Reopen();
  EXPECT_EQ(Listed(), "10 11 12 13(learner)");
  EXPECT_EQ(Do(PromoteMember{kD}), "ok");
  EXPECT_EQ(Listed(), "10 11 12 13");
  EXPECT_EQ(Add(kE, "http://e", true), "ok");
  EXPECT_EQ(Do(RemoveMember{kE}), "ok");
}

TEST_F(ClusterTest, UpdatingChangesTheAddressAlone) {
  Begin(2);
  EXPECT_EQ(Do(UpdateMember{kA, {"http://n11"}}), "etcdserver: Peer URLs already exists");
  EXPECT_EQ(Do(UpdateMember{kC, {"http://c"}}), kNotFound);
  EXPECT_EQ(Do(UpdateMember{kA, {"http://moved", "http://n10"}}), "ok");
  EXPECT_EQ(m_->members()[0].peer_urls.front(), "http://moved");
  EXPECT_EQ(m_->members()[0].name, "n10");
}

TEST_F(ClusterTest, ReplacingIsRemovingAndAddingInOne) {
  Begin(3);
  EXPECT_EQ(Do(ReplaceMember{kE, kD, {"http://d"}}), kNotFound);
  EXPECT_EQ(Do(ReplaceMember{kB, kA, {"http://d"}}), "etcdserver: member ID already exist");
  EXPECT_EQ(Do(ReplaceMember{kB, kD, {"http://n10"}}), "etcdserver: Peer URLs already exists");
  EXPECT_EQ(Listed(), "10 11 12") << "nothing half done";
  EXPECT_EQ(Do(ReplaceMember{kB, kD, {"http://n11"}}), "ok") << "with the address of the one that leaves";
  EXPECT_EQ(Listed(), "10 12 13(unstarted)");
  EXPECT_EQ(m_->removed_members(), std::vector<ReplicaId>{kB});
  EXPECT_EQ(Do(ReplaceMember{kD, kB, {"http://n11"}}), kNotFound) << "a removed id";
}

TEST_F(ClusterTest, ALoneMemberCannotBeReplaced) {
  Begin(1);
  EXPECT_EQ(Do(ReplaceMember{kA, kB, {"http://b"}}), kNotStarted);
}

TEST_F(ClusterTest, WithoutSpaceOnlyWhatGrowsIsRefused) {
  constexpr const char* kNoSpace = "etcdserver: mvcc: database space exceeded";
  Begin(1);
  m_.Put("a", "1");
  EXPECT_EQ(Do(LeaseGrantRequest{7, 60}), "ok");
  const CommandOutcome raised = m_.Apply(AlarmRequest{true, {kA, AlarmType::kNoSpace}});
  EXPECT_EQ(std::get<AlarmResponse>(raised.body).alarms.size(), 1u);
  EXPECT_EQ(raised.revision, 2);
  EXPECT_EQ(std::get<AlarmResponse>(m_.Apply(AlarmRequest{true, {kA, AlarmType::kNoSpace}}).body).alarms.size(), 1u);
  m_.Reopen();
  EXPECT_EQ(m_->alarms(), (std::vector<Alarm>{{kA, AlarmType::kNoSpace}}));

  TxnRequest reads;
  RangeRequest read;
  read.key = "a";
  reads.success.push_back(read);
  TxnRequest nested;
  TxnRequest puts;
  puts.failure.push_back(MachineHarness::MakePut("b", "1"));
  nested.success.push_back(std::make_shared<const TxnRequest>(puts));
  EXPECT_EQ(Do(MachineHarness::MakePut("a", "2")), kNoSpace);
  EXPECT_EQ(Do(puts), kNoSpace);
  EXPECT_EQ(Do(nested), kNoSpace);
  EXPECT_EQ(Do(LeaseGrantRequest{8, 60}), kNoSpace);
  EXPECT_EQ(Do(reads), "ok");
  EXPECT_EQ(Do(LeaseRenewRequest{7}), "ok");
  EXPECT_EQ(Do(DeleteRangeRequest{"a", {}, false}), "ok");
  EXPECT_EQ(Do(CompactRequest{3}), "ok");
  EXPECT_EQ(Do(LeaseRevokeRequest{7}), "ok");

  EXPECT_TRUE(std::get<AlarmResponse>(m_.Apply(AlarmRequest{false, {kB, AlarmType::kNoSpace}}).body).alarms.empty());
  EXPECT_EQ(Do(MachineHarness::MakePut("a", "2")), kNoSpace) << "another member's alarm was taken back";
  EXPECT_EQ(std::get<AlarmResponse>(m_.Apply(AlarmRequest{false, {kA, AlarmType::kNoSpace}}).body).alarms.size(), 1u);
  EXPECT_EQ(Do(MachineHarness::MakePut("a", "2")), "ok");
}

TEST_F(ClusterTest, ACorruptClusterChangesNothing) {
  Begin(1);
  m_.Put("a", "1");
  EXPECT_EQ(Do(AlarmRequest{true, {kA, AlarmType::kCorrupt}}), "ok");
  for (CommandBody body :
       {CommandBody(MachineHarness::MakePut("a", "2")), CommandBody(DeleteRangeRequest{"a", {}, false}),
        CommandBody(TxnRequest{}), CommandBody(CompactRequest{1}), CommandBody(LeaseGrantRequest{1, 1}),
        CommandBody(LeaseRevokeRequest{1})}) {
    EXPECT_EQ(Do(std::move(body)), "etcdserver: corrupt cluster");
  }
  EXPECT_EQ(m_.Value("a"), "1");
  EXPECT_EQ(Do(AlarmRequest{true, {kA, AlarmType::kNone}}), "ok");
  EXPECT_EQ(m_->alarms().size(), 1u);
}

TEST(FeatureLevelDeathTest, ALevelThisBuildDoesNotKnowHaltsAndSaysSo) {
  MachineHarness m;
  EXPECT_DEATH(m.Apply(RaiseFeatureLevel{kFeatureLevelMax + 1, {}}),
               "start this member with the build that the others");
  m.Apply(RaiseFeatureLevel{2, {}});
  MachineOptions old;
  old.feature_level_max = 1;
  m.Flush();
  EXPECT_DEATH(Machine::Make(old, m.engine()), "at feature level 2, and this build knows levels up to 1");
}

TEST(SpaceCostTest, IsEtcdsEstimate) {
  EXPECT_EQ(SpaceCost(MachineHarness::MakePut("key", "value")), 256u + 8);
  EXPECT_EQ(SpaceCost(LeaseGrantRequest{1, 1}), 64u);
  EXPECT_EQ(SpaceCost(DeleteRangeRequest{"a", {}, false}), 0u);
  TxnRequest txn;
  txn.success.push_back(MachineHarness::MakePut("k", ""));
  txn.success.push_back(MachineHarness::MakePut("l", ""));
  txn.failure.push_back(MachineHarness::MakePut("k", "0123456789"));
  EXPECT_EQ(SpaceCost(txn), 2u * 257);
}

}  // namespace
}  // namespace quorate::coord
