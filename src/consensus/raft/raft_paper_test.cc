// The Raft paper (extended version), rule by rule: figure 2, sections 5.1 to 5.4 and 6 to 8. One node is driven by
// hand; its peers are messages. Each test cites the rule that it holds the node to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "consensus/change.h"
#include "consensus/core.h"
#include "consensus/raft/messages.h"

namespace quorate::consensus::raft {
namespace {

constexpr std::uint64_t kElectionTicks = 10;
constexpr std::uint64_t kHeartbeatTicks = 2;

Entry MakeEntry(std::uint64_t index, std::uint64_t term) {
  return {LogIndex(index), {term, ReplicaId()}, EntryKind::kCommand, {}, Bytes(std::to_string(index))};
}
std::vector<Entry> MakeLog(const std::vector<std::uint64_t>& terms) {
  std::vector<Entry> log;
  for (const std::uint64_t term : terms) log.push_back(MakeEntry(log.size() + 1, term));
  return log;
}

// Node 1 of a cluster, with a disk that finishes when told.
class Subject {
 public:
  explicit Subject(std::uint64_t members, std::uint64_t term = 0, std::vector<std::uint64_t> log_terms = {},
                   ReplicaId vote = ReplicaId(), std::uint64_t seed = 1, bool lease_reads = false) {
    options_.self = ReplicaId(1);
    options_.election_ticks = kElectionTicks;
    options_.heartbeat_ticks = kHeartbeatTicks;
    options_.seed = seed;
    options_.lease_reads = lease_reads;
    for (std::uint64_t id = 1; id <= members; ++id) options_.initial.voters.push_back(ReplicaId(id));
    Recovered recovered;
    if (term > 0) {
      recovered.hard_state = EncodeHardState({Term(term), vote, LogIndex(), Life(1), options_.initial});
      recovered.log = MakeLog(log_terms);
      log_ = recovered.log;
    }
    Boot(std::move(recovered));
  }

  void Step(Event event) {
    core_->Step(std::move(event));
    core_->CheckInvariants();
    while (core_->HasReady()) Take();
  }
  void Hear(std::uint64_t from, std::uint64_t term, Body body) {
    Step(Receive{ReplicaId(from), LinkId(1), EncodeMessage({Term(term), std::move(body)})});
  }
  void Tick(std::uint64_t count) {
    for (; count > 0; --count) Step(consensus::Tick{});
  }
  void Persist() {
    if (written_ > persisted_) {
      persisted_ = written_;
      Step(Persisted{written_});
    }
  }
  void Propose(const std::string& text) { Step(consensus::Propose{{ReplicaId(1), Incarnation(1), {}}, Bytes(text)}); }
  // Crash and restart with what was durable, which is everything here.
  void Restart() {
    Persist();
    Boot({EncodeHardState(hard_state_), snapshot_, log_, snapshot_.last});
  }
  // Another answers that it has everything up to `match`.
  void Acknowledge(std::uint64_t from, std::uint64_t match) { Hear(from, term(), AppendReply{LogIndex(match)}); }
  void Change(std::vector<ReplicaId> voters, std::vector<ReplicaId> learners = {}) {
    const Origin origin{ReplicaId(9), Incarnation(1), ProposalId(++changes_)};
    Step(ChangeMembers{origin, {std::move(voters), {}, std::move(learners)}});
  }
  // What is decided is executed, and the log up to `index` is released.
  void Release(std::uint64_t index) {
    Step(Applied{LogIndex(index)});
    Step(SnapshotTaken{core_->MetaAt(LogIndex(index))});
  }
  Core& core() { return *core_; }

  // Pre-vote and election in which everybody agrees: node 1 leads afterwards.
  void Elect() {
    while (role() != Role::kCandidate) Tick(1);
    for (const ReplicaId peer : Peers()) Hear(peer.value, term() + 1, VoteReply{true, true});
    Persist();
    for (const ReplicaId peer : Peers()) Hear(peer.value, term(), VoteReply{false, true});
    ASSERT_EQ(role(), Role::kLeader);
  }
  std::vector<ReplicaId> Peers() const {
    std::vector<ReplicaId> peers;
    std::copy_if(options_.initial.voters.begin(), options_.initial.voters.end(), std::back_inserter(peers),
                 [this](ReplicaId id) { return id != options_.self; });
    return peers;
  }

  // The messages of one kind since the last call of Forget, with whom they went to.
  template <class Kind>
  std::vector<Kind> Sent(std::uint64_t to = 0) const {
    std::vector<Kind> found;
    for (const Outbound& out : outbound_) {
      if (to != 0 && out.to != ReplicaId(to)) continue;
      const Message message = DecodeMessage(out.payload).value();
      if (const auto* body = std::get_if<Kind>(&message.body)) found.push_back(*body);
    }
    return found;
  }
  // The batch that the latest message had to wait for.
  PersistSeq LatestAfter() const { return outbound_.back().after; }
  Term LatestTerm() const { return DecodeMessage(outbound_.back().payload)->term; }
  void Forget() {
    outbound_.clear();
    decided_.clear();
    reads_.clear();
  }

  Role role() const { return leadership_.role; }
  std::uint64_t term() const { return leadership_.ballot.number; }
  const Leadership& leadership() const { return leadership_; }
  const HardState& hard_state() const { return hard_state_; }
  const std::vector<Entry>& log() const { return log_; }
  std::vector<std::uint64_t> LogTerms() const {
    std::vector<std::uint64_t> terms;
    for (const Entry& entry : log_) terms.push_back(entry.ballot.number);
    return terms;
  }
  std::vector<std::uint64_t> Decided() const {
    std::vector<std::uint64_t> indices;
    for (const Entry& entry : decided_) indices.push_back(entry.index.value);
    return indices;
  }
  const std::vector<std::pair<ReadId, LogIndex>>& reads() const { return reads_; }
  const std::vector<Failed>& failed() const { return failed_; }
  const std::vector<Entry>& decided() const { return decided_; }
  const Membership& members() const { return members_; }
  const SnapshotMeta& snapshot() const { return snapshot_; }
  bool installed_with_hard_state() const { return installed_with_hard_state_; }
  const std::vector<std::uint64_t>& snapshots_wanted() const { return snapshots_wanted_; }
  PersistSeq written() const { return written_; }
  bool wrote_without_sync() const { return wrote_without_sync_; }

 private:
  void Boot(Recovered recovered) {
    Result<std::unique_ptr<Core>> made = MakeCore(Protocol::kRaft, options_, std::move(recovered));
    ASSERT_TRUE(made.ok()) << made.status().message();
    core_ = std::move(made).value();
    written_ = persisted_ = PersistSeq();
    leadership_ = Leadership();
    while (core_->HasReady()) Take();
    Persist();
  }
  void Take() {
    Ready ready = core_->TakeReady();
    if (ready.write) {
      written_ = ready.write->seq;
      wrote_without_sync_ = !ready.write->sync;
      if (ready.write->hard_state) hard_state_ = DecodeHardState(*ready.write->hard_state).value();
      for (const LogOp& op : ready.write->ops) {
        if (const auto* put = std::get_if<PutEntry>(&op)) {
          log_.push_back(put->entry);
        } else if (const auto* install = std::get_if<InstallSnapshot>(&op)) {
          snapshot_ = install->meta;
          installed_with_hard_state_ = ready.write->hard_state.has_value();
          log_.clear();
        } else {
          log_.resize(std::get<TruncateAfter>(op).last_kept.value - snapshot_.last.value);
        }
      }
    }
    if (ready.leadership) leadership_ = *ready.leadership;
    if (ready.membership) members_ = *ready.membership;
    for (const SendSnapshot& send : ready.send_snapshot) snapshots_wanted_.push_back(send.to.value);
    if (ready.load_log) Step(LogLoaded{ready.load_log->first, {}});
    std::move(ready.outbound.begin(), ready.outbound.end(), std::back_inserter(outbound_));
    std::move(ready.decided.begin(), ready.decided.end(), std::back_inserter(decided_));
    reads_.insert(reads_.end(), ready.reads.begin(), ready.reads.end());
    failed_.insert(failed_.end(), ready.failed.begin(), ready.failed.end());
  }

  Options options_;
  std::unique_ptr<Core> core_;
  PersistSeq written_, persisted_;
  HardState hard_state_;
  std::vector<Entry> log_;  // as written
  SnapshotMeta snapshot_;
  bool installed_with_hard_state_ = false;
  Leadership leadership_;
  Membership members_;
  std::vector<std::uint64_t> snapshots_wanted_;
  std::uint64_t changes_ = 0;
  std::vector<Outbound> outbound_;
  std::vector<Entry> decided_;
  std::vector<std::pair<ReadId, LogIndex>> reads_;
  std::vector<Failed> failed_;
  bool wrote_without_sync_ = false;
};

AppendRequest Append(std::uint64_t prev, std::uint64_t prev_term, std::vector<Entry> entries = {},
                     std::uint64_t commit = 0) {
  return {LogIndex(prev), Term(prev_term), LogIndex(commit), std::move(entries)};
}
VoteRequest AskVote(std::uint64_t last, std::uint64_t last_term, Campaign campaign = Campaign::kTimeout) {
  return {false, campaign, LogIndex(last), Term(last_term)};
}

// ---- 5.1 Terms

TEST(RaftPaper51, ANewerTermIsAdoptedInAnyRole) {
  Subject follower(3, 2);
  follower.Hear(2, 5, Append(0, 0));
  EXPECT_EQ(follower.term(), 5u);

  Subject candidate(3, 2);
  while (candidate.role() != Role::kCandidate) candidate.Tick(1);
  candidate.Hear(2, 5, VoteReply{false, false});
  EXPECT_EQ(candidate.role(), Role::kFollower);
  EXPECT_EQ(candidate.term(), 5u);

  Subject leader(3);
  leader.Elect();
  leader.Hear(2, 9, HeartbeatReply{});
  EXPECT_EQ(leader.role(), Role::kFollower);
  EXPECT_EQ(leader.term(), 9u);
}

TEST(RaftPaper51, ARequestOfAnOlderTermIsRefusedWithTheNewerOne) {
  Subject node(3, 4);
  node.Hear(2, 3, Append(0, 0, {MakeEntry(1, 3)}));
  EXPECT_TRUE(node.log().empty());
  EXPECT_EQ(node.leadership().leader, std::nullopt);
  EXPECT_EQ(node.LatestTerm(), Term(4));
}

TEST(RaftPaper51, TermAndVoteSurviveARestart) {
  Subject node(3, 1);
  node.Hear(2, 3, AskVote(0, 0));
  node.Restart();
  EXPECT_EQ(node.term(), 3u);
  node.Forget();
  node.Hear(3, 3, AskVote(0, 0));
  EXPECT_THAT(node.Sent<VoteReply>(), testing::ElementsAre(VoteReply{false, false}));
  node.Hear(2, 3, AskVote(0, 0));
  EXPECT_THAT(node.Sent<VoteReply>(2), testing::ElementsAre(VoteReply{false, true}));
}

// ---- 5.2 Leader election

TEST(RaftPaper52, ANodeStartsAsFollowerAndStaysOneWhileItHearsFromALeader) {
  Subject node(3);
  EXPECT_EQ(node.role(), Role::kFollower);
  for (std::uint64_t round = 0; round < 20; ++round) {
    node.Hear(2, 1, Heartbeat{});
    node.Tick(kElectionTicks - 1);
  }
  EXPECT_EQ(node.role(), Role::kFollower);
}

TEST(RaftPaper52, TheElectionTimeoutIsDrawnBetweenOneAndTwoTimesTheLimit) {
  std::vector<std::uint64_t> timeouts;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Subject node(3, 0, {}, ReplicaId(), seed);
    std::uint64_t ticks = 0;
    for (; node.role() != Role::kCandidate; ++ticks) node.Tick(1);
    timeouts.push_back(ticks);
  }
  EXPECT_EQ(*std::min_element(timeouts.begin(), timeouts.end()), kElectionTicks);
  EXPECT_EQ(*std::max_element(timeouts.begin(), timeouts.end()), 2 * kElectionTicks);
}

TEST(RaftPaper52, ACandidateEntersANewTermVotesForItselfAndAsksTheOthersOnceThatIsDurable) {
  Subject node(3, 1);
  while (node.role() != Role::kCandidate) node.Tick(1);
  EXPECT_EQ(node.term(), 1u) << "a pre-vote enters no term";
  node.Forget();
  node.Hear(2, 2, VoteReply{true, true});
  EXPECT_EQ(node.term(), 2u);
  EXPECT_EQ(node.hard_state().vote, ReplicaId(1));
  EXPECT_EQ(node.Sent<VoteRequest>().size(), 2u);
  EXPECT_EQ(node.LatestAfter(), node.written());
}

TEST(RaftPaper52, AMajorityOfVotesElectsAndAMajorityOfRefusalsDoesNot) {
  const auto outcome = [](std::vector<bool> answers) {
    Subject node(5, 1);
    while (node.role() != Role::kCandidate) node.Tick(1);
    node.Hear(2, 2, VoteReply{true, true});
    node.Hear(3, 2, VoteReply{true, true});
    node.Persist();
    for (std::size_t i = 0; i < answers.size(); ++i) node.Hear(2 + i, 2, VoteReply{false, answers[i]});
    return node.role();
  };
  EXPECT_EQ(outcome({true}), Role::kCandidate);
  EXPECT_EQ(outcome({true, true}), Role::kLeader);
  EXPECT_EQ(outcome({true, false, false}), Role::kCandidate);
  EXPECT_EQ(outcome({false, false, false}), Role::kFollower);
}

TEST(RaftPaper52, TheOwnVoteCountsOnlyOnceItIsDurable) {
  Subject node(3, 1);
  while (node.role() != Role::kCandidate) node.Tick(1);
  node.Hear(2, 2, VoteReply{true, true});
  node.Hear(2, 2, VoteReply{false, true});
  EXPECT_EQ(node.role(), Role::kCandidate);
  node.Persist();
  EXPECT_EQ(node.role(), Role::kLeader);
}

TEST(RaftPaper52, AVoteRepeatedByOneVoterCountsOnce) {
  Subject node(5, 1);
  while (node.role() != Role::kCandidate) node.Tick(1);
  node.Hear(2, 2, VoteReply{true, true});
  node.Hear(3, 2, VoteReply{true, true});
  node.Persist();
  node.Hear(2, 2, VoteReply{false, true});
  node.Hear(2, 2, VoteReply{false, true});
  EXPECT_EQ(node.role(), Role::kCandidate);
}

TEST(RaftPaper52, OneVotePerTermFirstComeFirstServedAndSentOnceItIsDurable) {
  Subject node(3, 1);
  node.Hear(2, 2, AskVote(0, 0));
  EXPECT_THAT(node.Sent<VoteReply>(2), testing::ElementsAre(VoteReply{false, true}));
  EXPECT_EQ(node.LatestAfter(), node.written());
  node.Hear(3, 2, AskVote(0, 0));
  EXPECT_THAT(node.Sent<VoteReply>(3), testing::ElementsAre(VoteReply{false, false}));
  node.Hear(2, 2, AskVote(0, 0));
  EXPECT_EQ(node.Sent<VoteReply>(2).back(), (VoteReply{false, true})) << "a repeated request is answered alike";
}

TEST(RaftPaper52, ACandidateThatHearsTheTermsLeaderFollowsIt) {
  Subject node(3, 1);
  while (node.role() != Role::kCandidate) node.Tick(1);
  node.Hear(2, 2, VoteReply{true, true});
  ASSERT_EQ(node.term(), 2u);
  node.Hear(3, 2, Append(0, 0));
  EXPECT_EQ(node.role(), Role::kFollower);
  EXPECT_EQ(node.leadership().leader, ReplicaId(3));
}

TEST(RaftPaper52, ALeaderSendsHeartbeatsInTime) {
  Subject node(3);
  node.Elect();
  node.Forget();
  node.Tick(kHeartbeatTicks);
  EXPECT_EQ(node.Sent<Heartbeat>(2).size(), 1u);
  EXPECT_EQ(node.Sent<Heartbeat>(3).size(), 1u);
}

// ---- 5.3 Log replication

TEST(RaftPaper53, ALeaderAppendsAndReplicatesAtOnceWithThePrecedingEntrysIndexAndTerm) {
  Subject node(3, 1, {1, 1});
  node.Elect();
  node.Persist();
  node.Hear(2, 2, AppendReply{LogIndex(3)});
  node.Forget();
  node.Propose("x");
  ASSERT_EQ(node.Sent<AppendRequest>(2).size(), 1u);
  const AppendRequest request = node.Sent<AppendRequest>(2)[0];
  EXPECT_EQ(request.prev_index, LogIndex(3));
  EXPECT_EQ(request.prev_term, Term(2));
  EXPECT_EQ(request.entries.size(), 1u);
  EXPECT_EQ(node.LatestAfter(), PersistSeq()) << "an append waits for no disk (thesis 10.2.1)";
}

TEST(RaftPaper53, AnEntryIsCommittedOnceAMajorityHasItDurably) {
  Subject node(5);
  node.Elect();
  node.Persist();
  for (const std::uint64_t peer : {2, 3}) node.Hear(peer, 1, AppendReply{LogIndex(1)});
  node.Propose("x");
  node.Forget();
  node.Hear(2, 1, AppendReply{LogIndex(2)});
  node.Hear(3, 1, AppendReply{LogIndex(2)});
  EXPECT_TRUE(node.Decided().empty()) << "the leader's own disk has not finished";
  node.Persist();
  EXPECT_THAT(node.Decided(), testing::ElementsAre(2));
}

TEST(RaftPaper53, CommittingAnEntryCommitsWhatPrecedesIt) {
  Subject node(3, 2, {1, 2});
  node.Elect();
  node.Persist();
  node.Forget();
  node.Hear(2, 3, AppendReply{LogIndex(3)});
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1, 2, 3));
}

TEST(RaftPaper53, AFollowerRefusesWhatDoesNotFollowOnItsLog) {
  Subject node(3, 2, {1, 2});
  node.Hear(2, 3, Append(3, 3, {MakeEntry(4, 3)}));
  node.Hear(2, 3, Append(2, 1, {MakeEntry(3, 3)}));
  EXPECT_THAT(node.Sent<AppendReject>(), testing::ElementsAre(AppendReject{LogIndex(3), LogIndex(2), Term(2)},
                                                              AppendReject{LogIndex(2), LogIndex(1), Term(1)}));
  EXPECT_THAT(node.LogTerms(), testing::ElementsAre(1, 2));
}

TEST(RaftPaper53, AConflictingEntryGoesWithAllThatFollowIt) {
  struct Case {
    std::uint64_t prev, prev_term;
    std::vector<Entry> entries;
    std::vector<std::uint64_t> result;
  };
  for (const Case& c : std::vector<Case>{
           {2, 2, {MakeEntry(3, 3)}, {1, 2, 3}},
           {1, 1, {MakeEntry(2, 3), MakeEntry(3, 4)}, {1, 3, 4}},
           {0, 0, {MakeEntry(1, 1)}, {1, 2}},
           {0, 0, {MakeEntry(1, 3)}, {3}},
           {2, 2, {}, {1, 2}},
       }) {
    Subject node(3, 4, {1, 2});
    node.Hear(2, 5, Append(c.prev, c.prev_term, c.entries));
    EXPECT_EQ(node.LogTerms(), c.result);
  }
}

TEST(RaftPaper53, ALateOrRepeatedAppendTakesNothingAway) {
  Subject node(3, 1);
  node.Hear(2, 1, Append(0, 0, {MakeEntry(1, 1), MakeEntry(2, 1), MakeEntry(3, 1)}));
  node.Hear(2, 1, Append(0, 0, {MakeEntry(1, 1)}));
  EXPECT_THAT(node.LogTerms(), testing::ElementsAre(1, 1, 1));
}

TEST(RaftPaper53, AFollowerAcknowledgesOnceItsDiskHasFinished) {
  Subject node(3, 1);
  node.Hear(2, 1, Append(0, 0, {MakeEntry(1, 1)}));
  EXPECT_THAT(node.Sent<AppendReply>(), testing::ElementsAre(AppendReply{LogIndex(1)}));
  EXPECT_EQ(node.LatestAfter(), node.written());
}

TEST(RaftPaper53, AFollowerCommitsOnlyWhatTheMessageHasVerified) {
  Subject node(3, 1, {1, 1, 1});
  node.Hear(2, 2, Append(1, 1, {}, 3));
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1)) << "figure 2, step 5: min(leaderCommit, last new entry)";
}

TEST(RaftPaper53, AFollowerExecutesOnlyWhatIsDurableHere) {
  Subject node(3, 1);
  node.Hear(2, 1, Append(0, 0, {MakeEntry(1, 1)}, 1));
  EXPECT_TRUE(node.Decided().empty());
  node.Persist();
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1));
}

// Figure 7: whatever a follower's log looks like, the leader makes it equal to its own.
TEST(RaftPaper53, FollowersOfFigureSevenAreBroughtToTheLeadersLog) {
  const std::vector<std::uint64_t> leaders = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
  const std::vector<std::vector<std::uint64_t>> followers = {
      {1, 1, 1, 4, 4, 5, 5, 6, 6},          {1, 1, 1, 4},          {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6},
      {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, {1, 1, 1, 4, 4, 4, 4}, {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3},
  };
  for (const std::vector<std::uint64_t>& terms : followers) {
    Subject leader(3, 7, leaders);
    leader.Elect();
    Subject follower(3, 7, terms);
    std::size_t exchanges = 0;
    for (; follower.LogTerms() != leader.LogTerms() && exchanges < 20; ++exchanges) {
      for (const AppendRequest& request : leader.Sent<AppendRequest>(2)) follower.Hear(2, leader.term(), request);
      leader.Forget();
      follower.Persist();
      for (const AppendReject& reject : follower.Sent<AppendReject>()) leader.Hear(2, leader.term(), reject);
      for (const AppendReply& reply : follower.Sent<AppendReply>()) leader.Hear(2, leader.term(), reply);
      follower.Forget();
    }
    EXPECT_EQ(follower.LogTerms(), leader.LogTerms());
    EXPECT_LE(exchanges, 4u) << "back-tracking goes by terms, not by entries";
  }
}

TEST(RaftPaper53, ALeaderDoesNotOverwriteItsOwnLog) {
  Subject node(3);
  node.Elect();
  node.Propose("x");
  const std::vector<Entry> before = node.log();
  node.Hear(2, 1, AppendReject{LogIndex(1), LogIndex(0), Term(0)});
  node.Propose("y");
  EXPECT_TRUE(std::equal(before.begin(), before.end(), node.log().begin()));
}

// ---- 5.4 Safety

TEST(RaftPaper54, AVoterRefusesACandidateWhoseLogIsLessUpToDate) {
  struct Case {
    std::vector<std::uint64_t> mine;
    std::uint64_t last, last_term;
    bool granted;
  };
  for (const Case& c : std::vector<Case>{
           {{1}, 1, 1, true},
           {{1}, 2, 1, true},
           {{1, 1}, 1, 1, false},
           {{1}, 1, 2, true},
           {{1, 1}, 1, 2, true},
           {{2}, 1, 1, false},
           {{2}, 9, 1, false},
       }) {
    Subject node(3, 2, c.mine);
    node.Hear(2, 3, AskVote(c.last, c.last_term));
    EXPECT_THAT(node.Sent<VoteReply>(), testing::ElementsAre(VoteReply{false, c.granted}));
    Subject asked_before(3, 2, c.mine);
    asked_before.Hear(2, 3, VoteRequest{true, Campaign::kTimeout, LogIndex(c.last), Term(c.last_term)});
    EXPECT_THAT(asked_before.Sent<VoteReply>(), testing::ElementsAre(VoteReply{true, c.granted}));
  }
}

TEST(RaftPaper54, EntriesOfEarlierTermsAreNotCommittedByCounting) {
  Subject node(3, 2, {1, 2});
  node.Elect();
  node.Persist();
  node.Forget();
  node.Hear(2, 3, AppendReply{LogIndex(2)});
  node.Hear(3, 3, AppendReply{LogIndex(2)});
  EXPECT_TRUE(node.Decided().empty()) << "figure 8";
  node.Hear(3, 3, AppendReply{LogIndex(3)});
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1, 2, 3));
}

TEST(RaftPaper54, AnAcknowledgementOfAnEarlierTermDoesNotCount) {
  Subject node(3, 2, {1, 2});
  node.Elect();
  node.Persist();
  node.Forget();
  node.Hear(2, 2, AppendReply{LogIndex(3)});
  EXPECT_TRUE(node.Decided().empty());
}

// ---- 6 Cluster membership changes

std::vector<ReplicaId> Ids(std::vector<std::uint64_t> numbers) {
  std::vector<ReplicaId> ids;
  for (const std::uint64_t number : numbers) ids.push_back(ReplicaId(number));
  return ids;
}

// Node 1 leads 1, 2 and 3, has 4 as a learner that has everything, and all is committed (two entries).
void LeadWithLearner(Subject& node) {
  node.Elect();
  node.Persist();
  node.Acknowledge(2, 1);
  node.Acknowledge(3, 1);
  node.Change(Ids({1, 2, 3}), Ids({4}));
  node.Persist();
  node.Acknowledge(2, 2);
  node.Acknowledge(4, 2);
  ASSERT_THAT(node.Decided(), testing::ElementsAre(1, 2));
}

TEST(RaftPaper6, AConfigurationIsInForceFromWhenItIsInTheLog) {
  Subject leader(3);
  LeadWithLearner(leader);
  leader.Change(Ids({1, 2, 4}));
  EXPECT_EQ(leader.members(), (Membership{Ids({1, 2, 4}), Ids({1, 2, 3}), {}}));

  Subject follower(3, 1);
  Entry change{
      LogIndex(1), {1, ReplicaId()}, EntryKind::kMembership, {}, EncodeChange({{Ids({1, 2, 3}), {}, Ids({4})}, {}})};
  follower.Hear(2, 1, Append(0, 0, {change}));
  EXPECT_EQ(follower.members(), (Membership{Ids({1, 2, 3}), {}, Ids({4})}));
  follower.Hear(3, 2, Append(0, 0, {MakeEntry(1, 2)}));
  EXPECT_EQ(follower.members(), (Membership{Ids({1, 2, 3}), {}, {}})) << "and goes with it";
}

TEST(RaftPaper6, AJointConfigurationNeedsAMajorityOfBoth) {
  Subject node(3);
  LeadWithLearner(node);
  node.Change(Ids({1, 4}));
  node.Persist();
  node.Acknowledge(2, 3);
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1, 2)) << "a majority of the former voters only";
  node.Acknowledge(4, 3);
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1, 2, 3));
}

TEST(RaftPaper6, OnceTheJointConfigurationIsCommittedTheNewOneFollowsAndAnswersTheOrigin) {
  Subject node(3);
  LeadWithLearner(node);
  node.Change(Ids({1, 2, 4}));
  node.Persist();
  node.Acknowledge(2, 3);
  node.Acknowledge(4, 3);
  EXPECT_EQ(node.members(), (Membership{Ids({1, 2, 4}), {}, {}}));
  node.Persist();
  node.Acknowledge(4, 4);
  ASSERT_THAT(node.Decided(), testing::ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(node.decided()[2].origin, Origin());
  EXPECT_EQ(node.decided()[3].origin, (Origin{ReplicaId(9), Incarnation(1), ProposalId(2)}));
}

TEST(RaftPaper6, AnElectionInAJointConfigurationNeedsAMajorityOfBoth) {
  Subject node(3, 1);
  Entry joint{LogIndex(1),
              {1, ReplicaId()},
              EntryKind::kMembership,
              {},
              EncodeChange({{Ids({1, 4, 5}), Ids({1, 2, 3}), {}}, {}})};
  node.Hear(2, 1, Append(0, 0, {joint}));
  node.Persist();
  while (node.role() != Role::kCandidate) node.Tick(1);
  for (const std::uint64_t peer : {2, 3, 4}) node.Hear(peer, 2, VoteReply{true, true});
  node.Persist();
  node.Hear(2, 2, VoteReply{false, true});
  node.Hear(3, 2, VoteReply{false, true});
  EXPECT_EQ(node.role(), Role::kCandidate);
  node.Hear(5, 2, VoteReply{false, true});
  EXPECT_EQ(node.role(), Role::kLeader);
}

TEST(RaftPaper6, NoChangeBeforeAnEntryOfTheOwnTermIsCommitted) {
  Subject node(3);
  node.Elect();
  node.Persist();
  node.Change(Ids({1, 2}));
  ASSERT_EQ(node.failed().size(), 1u);
  EXPECT_EQ(node.failed()[0].reason, FailureReason::kDropped);
  node.Acknowledge(2, 1);
  node.Change(Ids({1, 2}));
  EXPECT_EQ(node.failed().size(), 1u);
}

TEST(RaftPaper6, OneChangeAtATimeAndOnlyALegalOne) {
  Subject node(3);
  LeadWithLearner(node);
  node.Change({});
  node.Change(Ids({1, 2, 3}), Ids({3}));
  node.Change(Ids({2, 1}));
  EXPECT_EQ(node.failed().size(), 3u);
  node.Change(Ids({1, 2, 3, 4}));
  EXPECT_EQ(node.failed().size(), 3u);
  node.Change(Ids({1, 2, 3}));
  EXPECT_EQ(node.failed().size(), 4u) << "the former one is under way";
}

TEST(RaftPaper6, ANewVoterIsALearnerThatHasCaughtUp) {
  Subject node(3);
  node.Elect();
  node.Persist();
  node.Acknowledge(2, 1);
  node.Change(Ids({1, 2, 3, 4}));
  EXPECT_EQ(node.failed().size(), 1u) << "no learner";
  node.Change(Ids({1, 2, 3}), Ids({4}));
  node.Persist();
  node.Acknowledge(2, 2);
  node.Change(Ids({1, 2, 3, 4}));
  EXPECT_EQ(node.failed().size(), 2u) << "has nothing";
  node.Acknowledge(4, 2);
  node.Change(Ids({1, 2, 3, 4}));
  EXPECT_EQ(node.failed().size(), 2u);
}

TEST(RaftPaper6, ALeaderThatIsNotInTheNewConfigurationStepsDownOnceThatIsCommitted) {
  Subject node(3);
  node.Elect();
  node.Persist();
  node.Acknowledge(2, 1);
  node.Change(Ids({2, 3}));
  node.Persist();
  node.Acknowledge(2, 2);
  node.Acknowledge(3, 2);
  node.Persist();
  node.Acknowledge(2, 3);
  EXPECT_EQ(node.role(), Role::kLeader) << "it does not count itself";
  node.Acknowledge(3, 3);
  EXPECT_EQ(node.role(), Role::kLearner);
  EXPECT_EQ(node.Sent<TimeoutNow>().size(), 1u);
  node.Forget();
  node.Tick(5 * kElectionTicks);
  EXPECT_TRUE(node.Sent<VoteRequest>().empty()) << "a removed member campaigns no more";
}

// Thesis 4.2.2: it may be the only one that has the entry which removes it; then nobody else gets its vote.
TEST(RaftPaper6, WhoIsRemovedByAnEntryThatIsNotCommittedStillCampaigns) {
  Subject node(2);
  node.Elect();
  node.Persist();
  node.Acknowledge(2, 1);
  node.Change(Ids({2}));
  node.Persist();
  node.Acknowledge(2, 2);
  node.Persist();
  ASSERT_EQ(node.members(), (Membership{Ids({2}), {}, {}}));
  node.Restart();
  node.Forget();
  node.Hear(2, 1, AskVote(2, 1));
  node.Tick(2 * kElectionTicks);
  ASSERT_EQ(node.role(), Role::kCandidate);
  node.Hear(2, 2, VoteReply{true, true});
  node.Persist();
  node.Hear(2, 2, VoteReply{false, true});
  ASSERT_EQ(node.role(), Role::kLeader);
  node.Acknowledge(2, 4);
  EXPECT_EQ(node.role(), Role::kLearner) << "committed: it leads and campaigns no more";
  node.Forget();
  node.Tick(5 * kElectionTicks);
  EXPECT_TRUE(node.Sent<VoteRequest>().empty());
}

TEST(RaftPaper6, AnAcknowledgementOfARemovedMemberDoesNotCount) {
  Subject node(3);
  node.Elect();
  node.Persist();
  node.Acknowledge(2, 1);
  node.Acknowledge(3, 1);
  node.Change(Ids({1, 2}));
  node.Persist();
  node.Acknowledge(2, 2);
  node.Persist();
  node.Acknowledge(3, 3);
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1, 2));
  node.Acknowledge(2, 3);
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1, 2, 3));
}

TEST(RaftPaper6, LeadershipIsHandedToVotersOnly) {
  Subject node(3);
  LeadWithLearner(node);
  node.Step(TransferLeadership{ReplicaId(4)});
  EXPECT_TRUE(node.Sent<TimeoutNow>().empty());
  node.Step(TransferLeadership{ReplicaId(2)});
  EXPECT_EQ(node.Sent<TimeoutNow>(2).size(), 1u);
}

// ---- 7 Log compaction

SnapshotMeta MakeMeta(std::uint64_t last, std::uint64_t term) {
  return {7, LogIndex(last), {term, ReplicaId()}, {Ids({1, 2, 3}), {}, {}}};
}

TEST(RaftPaper7, ASnapshotOfWhatTheLogLacksReplacesAllOfIt) {
  for (const std::vector<std::uint64_t>& terms : std::vector<std::vector<std::uint64_t>>{{}, {1}, {1, 1, 1, 1, 1, 1}}) {
    Subject node(3, 3, terms);
    node.Step(SnapshotReceived{ReplicaId(2), MakeMeta(4, 2)});
    EXPECT_EQ(node.snapshot(), MakeMeta(4, 2));
    EXPECT_TRUE(node.log().empty());
    EXPECT_TRUE(node.installed_with_hard_state());
    EXPECT_EQ(node.hard_state().commit, LogIndex(4));
    node.Persist();
    node.Step(Applied{LogIndex(4)});
    node.Forget();
    node.Hear(2, 3, Append(4, 2, {MakeEntry(5, 3)}, 5));
    EXPECT_THAT(node.Sent<AppendReply>(), testing::ElementsAre(AppendReply{LogIndex(5)}));
    node.Persist();
    EXPECT_THAT(node.Decided(), testing::ElementsAre(5));
    node.Restart();
    EXPECT_EQ(node.term(), 3u);
  }
}

TEST(RaftPaper7, ASnapshotOfWhatTheLogHoldsOnlyCommits) {
  Subject node(3, 2, {1, 2, 2});
  node.Step(SnapshotReceived{ReplicaId(2), MakeMeta(2, 2)});
  EXPECT_EQ(node.snapshot(), SnapshotMeta());
  EXPECT_THAT(node.Decided(), testing::ElementsAre(1, 2));
  EXPECT_THAT(node.LogTerms(), testing::ElementsAre(1, 2, 2)) << "what follows stays";
  node.Step(SnapshotReceived{ReplicaId(2), MakeMeta(1, 1)});
  EXPECT_EQ(node.snapshot(), SnapshotMeta()) << "an old one is not needed";
}

TEST(RaftPaper7, AnAppendThatBeginsBelowTheSnapshotCountsFromThere) {
  Subject node(3, 2);
  node.Step(SnapshotReceived{ReplicaId(2), MakeMeta(4, 2)});
  node.Persist();
  node.Hear(2, 2, Append(2, 1, {MakeEntry(3, 2), MakeEntry(4, 2), MakeEntry(5, 2)}));
  EXPECT_THAT(node.Sent<AppendReply>(), testing::ElementsAre(AppendReply{LogIndex(5)}));
  EXPECT_THAT(node.LogTerms(), testing::ElementsAre(2));
  node.Forget();
  node.Hear(2, 2, Append(1, 1, {}));
  EXPECT_THAT(node.Sent<AppendReply>(), testing::ElementsAre(AppendReply{LogIndex(4)}));
}

TEST(RaftPaper7, AFollowerThatNeedsWhatWasReleasedGetsOneSnapshotAtATime) {
  Subject node(3);
  node.Elect();
  node.Propose("x");
  node.Persist();
  node.Acknowledge(2, 2);
  node.Release(2);
  EXPECT_TRUE(node.snapshots_wanted().empty()) << "nothing was heard of it yet";
  node.Hear(3, 1, HeartbeatReply{ReadRound(), LogIndex(1), LogIndex(), LogIndex()});
  EXPECT_THAT(node.snapshots_wanted(), testing::ElementsAre(3));
  node.Hear(3, 1, HeartbeatReply{});
  EXPECT_THAT(node.snapshots_wanted(), testing::ElementsAre(3));
  node.Step(SnapshotSent{ReplicaId(3), MakeMeta(2, 1), false});
  node.Hear(2, 1, HeartbeatReply{ReadRound(), LogIndex(2), LogIndex(2), LogIndex(2)});
  node.Tick(kElectionTicks - 1);
  EXPECT_THAT(node.snapshots_wanted(), testing::ElementsAre(3)) << "the next try waits";
  node.Tick(1);
  EXPECT_THAT(node.snapshots_wanted(), testing::ElementsAre(3, 3));
  node.Forget();
  node.Step(SnapshotSent{ReplicaId(3), MakeMeta(2, 1), true});
  ASSERT_EQ(node.Sent<AppendRequest>(3).size(), 1u);
  EXPECT_EQ(node.Sent<AppendRequest>(3)[0].prev_index, LogIndex(2));
}

TEST(RaftPaper7, WhatASnapshotSaysOfTheMembersIsWhatWasInForceThere) {
  Subject node(3);
  LeadWithLearner(node);
  node.Step(Applied{LogIndex(2)});
  EXPECT_EQ(node.core().MetaAt(LogIndex(1)).members, (Membership{Ids({1, 2, 3}), {}, {}}));
  EXPECT_EQ(node.core().MetaAt(LogIndex(2)).members, (Membership{Ids({1, 2, 3}), {}, Ids({4})}));
  EXPECT_EQ(node.core().MetaAt(LogIndex(2)).ballot, (Ballot{1, ReplicaId()}));
}

TEST(RaftPaper7, ARestoredDirectoryHasASnapshotAndNoHardState) {
  Options options;
  options.self = ReplicaId(1);
  Result<std::unique_ptr<Core>> made = MakeCore(Protocol::kRaft, options, {{}, MakeMeta(9, 4), {}, LogIndex(9)});
  ASSERT_TRUE(made.ok()) << made.status().message();
  const Ready ready = made.value()->TakeReady();
  EXPECT_EQ(ready.leadership->ballot.number, 4u);
  EXPECT_EQ(ready.membership, MakeMeta(9, 4).members);
  EXPECT_EQ(DecodeHardState(*ready.write->hard_state)->commit, LogIndex(9));
}

// ---- 8 Client interaction

TEST(RaftPaper8, ALeaderBeginsItsTermWithANoOp) {
  Subject node(3, 1, {1});
  node.Elect();
  ASSERT_EQ(node.log().size(), 2u);
  EXPECT_EQ(node.log().back().kind, EntryKind::kNoop);
}

TEST(RaftPaper8, AReadWaitsForAnEntryOfTheLeadersTermAndThenForARoundOfHeartbeats) {
  Subject node(3, 1, {1});
  node.Elect();
  node.Persist();
  node.Forget();
  node.Step(ReadBarrier{ReadId(1)});
  EXPECT_TRUE(node.Sent<Heartbeat>().empty());
  node.Hear(2, 2, AppendReply{LogIndex(2)});
  ASSERT_EQ(node.Sent<Heartbeat>(2).size(), 1u);
  EXPECT_TRUE(node.reads().empty());
  const ReadRound round = node.Sent<Heartbeat>(2)[0].round;
  node.Hear(2, 2, HeartbeatReply{round, LogIndex(2), LogIndex(2), LogIndex(2)});
  EXPECT_THAT(node.reads(), testing::ElementsAre(testing::Pair(ReadId(1), LogIndex(2))));
}

TEST(RaftPaper8, AnAnswerToAnEarlierRoundDoesNotConfirmALaterRead) {
  Subject node(3);
  node.Elect();
  node.Persist();
  node.Hear(2, 1, AppendReply{LogIndex(1)});
  node.Step(ReadBarrier{ReadId(1)});
  const ReadRound first = node.Sent<Heartbeat>(2).back().round;
  node.Step(ReadBarrier{ReadId(2)});
  node.Hear(2, 1, HeartbeatReply{first, LogIndex(1), LogIndex(1), LogIndex(1)});
  EXPECT_THAT(node.reads(), testing::ElementsAre(testing::Pair(ReadId(1), LogIndex(1))));
}

// Raft offers no lease here: with lease reads on, a round is asked for all the same, whatever any clock says.
TEST(RaftPaper8, LeaseReadsTakeARoundToo) {
  Subject node(3, 0, {}, ReplicaId(), 1, true);
  node.Elect();
  node.Persist();
  node.Acknowledge(2, 1);
  node.Tick(kHeartbeatTicks);
  node.Hear(2, node.term(), HeartbeatReply{ReadRound(0), LogIndex(1), LogIndex(1), LogIndex(1)});
  node.Forget();
  node.Step(ReadBarrier{ReadId(1)});
  EXPECT_TRUE(node.reads().empty());
  EXPECT_EQ(node.Sent<Heartbeat>().size(), 2u);
}

TEST(RaftPaper8, AProposalOnANodeThatDoesNotLeadIsCertainlyNotAppended) {
  Subject node(3);
  node.Propose("x");
  ASSERT_EQ(node.failed().size(), 1u);
  EXPECT_EQ(node.failed()[0].reason, FailureReason::kNotLeader);
  EXPECT_TRUE(node.log().empty());
}

// ---- Thesis 4.2.3, 6.2, 9.6 and the contract of core.h

TEST(RaftThesis, AVoterThatHearsFromALeaderIgnoresCandidates) {
  Subject node(3, 1);
  node.Hear(2, 1, Heartbeat{});
  node.Forget();
  node.Hear(3, 2, AskVote(9, 1));
  EXPECT_EQ(node.term(), 1u);
  EXPECT_TRUE(node.Sent<VoteReply>().empty());
  node.Hear(3, 2, AskVote(9, 1, Campaign::kTransfer));
  EXPECT_EQ(node.Sent<VoteReply>().size(), 1u) << "unless the leader itself hands over";
}

TEST(RaftThesis, ALeaderThatNoQuorumAnswersStepsDown) {
  Subject node(3);
  node.Elect();
  node.Tick(kElectionTicks);
  EXPECT_EQ(node.role(), Role::kFollower);
  EXPECT_EQ(node.term(), 1u);
}

TEST(RaftCore, ACommitIndexAloneCausesNoSync) {
  Subject node(3, 1);
  node.Hear(2, 1, Append(0, 0, {MakeEntry(1, 1)}));
  node.Persist();
  const PersistSeq before = node.written();
  node.Hear(2, 1, CommitNotice{LogIndex(1)});
  EXPECT_EQ(node.written(), before);
  node.Tick(1);
  EXPECT_EQ(node.written(), before.Next());
  EXPECT_TRUE(node.wrote_without_sync());
  EXPECT_EQ(node.hard_state().commit, LogIndex(1));
}

TEST(RaftCore, GarbageChangesNothing) {
  Subject node(3, 1);
  node.Step(Receive{ReplicaId(2), LinkId(1), Bytes(std::string("\x01\x63 nonsense"))});
  node.Step(Receive{ReplicaId(2), LinkId(1), Bytes()});
  EXPECT_EQ(node.term(), 1u);
  EXPECT_EQ(node.role(), Role::kFollower);
}

TEST(RaftCore, OptionsOutsideTheirRangeAreRefusedByName) {
  Options options;
  options.self = ReplicaId(1);
  options.initial.voters = {ReplicaId(1)};
  options.election_ticks = 3;
  EXPECT_THAT(MakeCore(Protocol::kRaft, options, {}).status().message(), testing::HasSubstr("election_ticks = 3"));
  options.election_ticks = 30;
  options.initial.voters = {ReplicaId(2), ReplicaId(1)};
  EXPECT_THAT(MakeCore(Protocol::kRaft, options, {}).status().message(), testing::HasSubstr("initial"));
}

TEST(RaftCore, WhatWasRecoveredMustFitTogether) {
  Options options;
  options.self = ReplicaId(1);
  options.initial.voters = {ReplicaId(1)};
  const Bytes hard = EncodeHardState({Term(2), ReplicaId(), LogIndex(), Life(1), options.initial});
  const auto status = [&](Recovered recovered) {
    return MakeCore(Protocol::kRaft, options, recovered).status().code();
  };
  EXPECT_EQ(status({hard, {}, MakeLog({1, 2}), LogIndex(2)}), StatusCode::kOk);
  EXPECT_EQ(status({Bytes("junk"), {}, {}, {}}), StatusCode::kDataLoss);
  EXPECT_EQ(status({{}, {}, MakeLog({1}), {}}), StatusCode::kDataLoss);
  EXPECT_EQ(status({hard, {}, MakeLog({3}), {}}), StatusCode::kDataLoss) << "the log is ahead of the term";
  EXPECT_EQ(status({hard, {}, MakeLog({1}), LogIndex(2)}), StatusCode::kDataLoss) << "applied is beyond the log";
  EXPECT_EQ(status({hard, {}, {MakeEntry(2, 1)}, {}}), StatusCode::kDataLoss) << "a gap";
}

}  // namespace
}  // namespace quorate::consensus::raft
