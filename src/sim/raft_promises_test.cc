#include "sim/raft_promises.h"

#include <gtest/gtest.h>

#include "consensus/raft/messages.h"
#include "replica/peer_message.h"

namespace quorate::sim {
namespace {

using consensus::raft::AppendReply;
using consensus::raft::Term;
using consensus::raft::VoteReply;
using consensus::raft::VoteRequest;

constexpr ReplicaId kOne{1}, kTwo{2}, kThree{3};

template <class Body>
Bytes Frame(std::uint64_t term, Body body) {
  return replica::EncodePeerMessage(
      GroupId(1), replica::CoreMessage{consensus::raft::EncodeMessage({Term(term), std::move(body)})});
}

// A core that recovered what it is told.
class Recovered final : public consensus::Core {
 public:
  Recovered(std::uint64_t term, std::uint64_t vote, std::uint64_t last) : term_(term), vote_(vote), last_(last) {}
  void Inspect(consensus::Inspector& out) const override {
    out.Number("term", term_);
    out.Number("vote", vote_);
    out.Number("last_index", last_);
  }
  const consensus::Traits& traits() const override { return traits_; }
  void Step(consensus::Event) override {}
  bool HasReady() const override { return false; }
  consensus::Ready TakeReady() override { return {}; }
  std::optional<Ticks> NextDeadline() const override { return std::nullopt; }
  consensus::SnapshotMeta MetaAt(LogIndex) const override { return {}; }
  void CheckInvariants() const override {}
  std::unique_ptr<Core> Clone() const override { return nullptr; }
  std::uint64_t Fingerprint() const override { return 0; }

 private:
  std::uint64_t term_, vote_, last_;
  consensus::Traits traits_;
};

TEST(RaftPromises, OneVoteMayBeRepeatedButNotGivenToAnother) {
  RaftPromises promises;
  EXPECT_FALSE(promises.OnSent(kOne, kTwo, Frame(3, VoteReply{false, true})));
  EXPECT_FALSE(promises.OnSent(kOne, kTwo, Frame(3, VoteReply{false, true})));
  EXPECT_FALSE(promises.OnSent(kOne, kThree, Frame(3, VoteReply{false, false})));
  EXPECT_FALSE(promises.OnSent(kOne, kThree, Frame(3, VoteReply{true, true})));
  EXPECT_FALSE(promises.OnSent(kOne, kThree, Frame(4, VoteReply{false, true})));
  EXPECT_TRUE(promises.OnSent(kOne, kThree, Frame(3, VoteReply{false, true})));
}

TEST(RaftPromises, ACandidateHasVotedForItself) {
  RaftPromises promises;
  VoteRequest request;
  EXPECT_FALSE(promises.OnSent(kOne, kTwo, Frame(3, request)));
  EXPECT_TRUE(promises.OnSent(kOne, kTwo, Frame(3, VoteReply{false, true})));
}

TEST(RaftPromises, AVoteSurvivesTheCrash) {
  RaftPromises promises;
  EXPECT_FALSE(promises.OnSent(kOne, kTwo, Frame(3, VoteReply{false, true})));
  EXPECT_FALSE(promises.OnStart(kOne, Recovered(3, 2, 0)));
  EXPECT_FALSE(promises.OnStart(kOne, Recovered(4, 0, 0)));
  EXPECT_TRUE(promises.OnStart(kOne, Recovered(3, 0, 0)));
  EXPECT_TRUE(promises.OnStart(kOne, Recovered(2, 2, 0)));
}

TEST(RaftPromises, AcknowledgedEntriesSurviveTheCrashUnlessANewerLeaderReplacedThem) {
  RaftPromises promises;
  EXPECT_FALSE(promises.OnSent(kOne, kTwo, Frame(3, AppendReply{LogIndex(9)})));
  EXPECT_FALSE(promises.OnStart(kOne, Recovered(3, 0, 9)));
  EXPECT_TRUE(promises.OnStart(kOne, Recovered(3, 0, 8)));
  EXPECT_TRUE(promises.OnStart(kOne, Recovered(2, 0, 9)));
  EXPECT_FALSE(promises.OnStart(kOne, Recovered(4, 0, 5)));
}

TEST(RaftPromises, OtherFramesAreNobodysPromise) {
  RaftPromises promises;
  EXPECT_FALSE(promises.OnSent(kOne, kTwo, Bytes::Copy("garbage")));
}

}  // namespace
}  // namespace quorate::sim
