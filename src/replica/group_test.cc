// Three members, each the shipped group, log and Raft core on a disk that forgets, with a state machine that has a
// flushed image: what is released, what is sent instead, and what a crash or a lost keyspace leaves.
#include "replica/group.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "env/disk_testing.h"
#include "env/memory_disk.h"
#include "replica/group_testing.h"
#include "replica/peer_message.h"
#include "wal/log.h"

namespace quorate::replica {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// Every call becomes a task that does nothing once the member's life is over.
class LifeExecutor final : public env::Executor {
 public:
  explicit LifeExecutor(env::ManualExecutor& target) : target_(target) {}
  void Post(std::function<void()> task) override { target_.Post(Guarded(std::move(task))); }
  env::TimerId After(std::uint64_t delay_ns, std::function<void()> task) override {
    return target_.After(delay_ns, Guarded(std::move(task)));
  }
  void Cancel(env::TimerId timer) override { target_.Cancel(timer); }

 private:
  std::function<void()> Guarded(std::function<void()> task) {
    return [alive = std::weak_ptr<const bool>(alive_), task = std::move(task)] {
      if (!alive.expired()) task();
    };
  }
  env::ManualExecutor& target_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

class Network {
 public:
  explicit Network(env::ManualExecutor& executor) : executor_(executor) {}
  void Attach(ReplicaId id, env::TransportListener* listener, Incarnation incarnation) {
    members_[id] = {listener, incarnation};
    for (const auto& [other, member] : members_) {
      if (other != id) Link(id, other);
    }
  }
  void Detach(ReplicaId id) {
    members_.erase(id);
    for (const auto& [other, member] : members_) Cut(id, other);
  }
  void Link(ReplicaId a, ReplicaId b) {
    if (!members_.contains(a) || !members_.contains(b)) return;
    const LinkId link(++last_link_);
    links_[{std::min(a, b), std::max(a, b)}] = link;
    members_[a].listener->OnLinkUp(b, link, members_[b].incarnation);
    members_[b].listener->OnLinkUp(a, link, members_[a].incarnation);
  }
  void Cut(ReplicaId a, ReplicaId b) {
    const auto it = links_.find({std::min(a, b), std::max(a, b)});
    if (it == links_.end()) return;
    const LinkId link = it->second;
    links_.erase(it);
    if (members_.contains(a)) members_[a].listener->OnLinkDown(b, link);
    if (members_.contains(b)) members_[b].listener->OnLinkDown(a, link);
  }
  void Send(ReplicaId from, ReplicaId to, Bytes frame) {
    const auto it = links_.find({std::min(from, to), std::max(from, to)});
    if (it == links_.end()) return;
    executor_.After(500'000, [this, from, to, link = it->second, frame = std::move(frame)] {
      const auto now = links_.find({std::min(from, to), std::max(from, to)});
      if (now == links_.end() || now->second != link) return;
      members_[to].listener->OnFrame(from, link, frame);
    });
  }

 private:
  struct Attached {
    env::TransportListener* listener = nullptr;
    Incarnation incarnation;
  };
  env::ManualExecutor& executor_;
  std::map<ReplicaId, Attached> members_;
  std::map<std::pair<ReplicaId, ReplicaId>, LinkId> links_;
  std::uint64_t last_link_ = 0;
};

class MemberTransport final : public env::Transport {
 public:
  MemberTransport(Network& network, ReplicaId self) : network_(network), self_(self) {}
  void Start(env::TransportListener*) override {}
  void Send(ReplicaId peer, Bytes frame) override { network_.Send(self_, peer, std::move(frame)); }

 private:
  Network& network_;
  const ReplicaId self_;
};

// The executor's time as a clock.
class ManualClock final : public env::Clock {
 public:
  std::uint64_t MonotonicNs() const override { return now_ns; }
  std::int64_t WallNs() const override { return 0; }
  std::uint64_t now_ns = 0;
};

class Member {
 public:
  Member(ReplicaId id, std::vector<ReplicaId> voters, env::ManualExecutor& executor, const env::Clock& clock,
         Network& network, FakeSnapshotNetwork& snapshots)
      : id_(id),
        voters_(std::move(voters)),
        executor_(executor),
        clock_(clock),
        network_(network),
        snapshot_network_(snapshots),
        disk(executor, id.value) {}

  Status Start() {
    life_ = std::make_unique<Life>(executor_, network_, id_);
    wal::LogOptions log;
    log.identity = {ClusterId(1), id_, consensus::Protocol::kRaft};
    log.segment_bytes = 16 << 10;
    log.on_failure = [](const Status&) {};
    life_->log = wal::Log::Open(disk, life_->executor, std::move(log)).value();
    GroupOptions options;
    options.core.self = id_;
    options.core.initial.voters = voters_;
    options.core.seed = id_.value * 1000 + ++lives_;
    options.core.log_cache_bytes = 1 << 10;
    options.log_keep_bytes = 8 << 10;
    options.log_keep_always_bytes = 1 << 10;
    options.log_release_step_bytes = 1 << 10;
    options.apply_queue_bytes_max = 64 << 10;
    options.make_snapshots = [this](SnapshotHost& host, StateMachine&) {
      auto made = std::make_unique<FakeSnapshots>(host, machine, files, snapshot_network_, life_->executor, id_);
      life_->snapshots = made.get();
      return made;
    };
    options.refuse = [this] { return refuse; };
    options.hold = [this] { return hold; };
    options.on_removed = [this] { removed = true; };
    Result<std::unique_ptr<Group>> group =
        Group::Start(std::move(options), *life_->log, life_->transport, life_->executor, clock_, machine);
    if (!group.ok()) {
      life_.reset();
      return group.status();
    }
    life_->group = *std::move(group);
    network_.Attach(id_, life_->group.get(), life_->log->incarnation());
    return Status::Ok();
  }
  void Crash(env::Survival survival = env::Survival::kNothing) {
    if (!running()) return;
    network_.Detach(id_);
    life_.reset();
    disk.Crash(survival);
    machine.Crash();
  }
  bool running() const { return life_ != nullptr; }
  Group& group() { return *life_->group; }
  FakeSnapshots& snapshots() { return *life_->snapshots; }
  bool leads() const {
    return running() && life_->group->status().leadership.role == consensus::Role::kLeader &&
           life_->group->status().leadership.established;
  }
  ReplicaId id() const { return id_; }

 private:
  struct Life {
    Life(env::ManualExecutor& target, Network& network, ReplicaId id) : executor(target), transport(network, id) {}
    LifeExecutor executor;
    MemberTransport transport;
    std::unique_ptr<wal::Log> log;
    FakeSnapshots* snapshots = nullptr;
    std::unique_ptr<Group> group;
  };
  const ReplicaId id_;
  const std::vector<ReplicaId> voters_;
  env::ManualExecutor& executor_;
  const env::Clock& clock_;
  Network& network_;
  FakeSnapshotNetwork& snapshot_network_;
  std::unique_ptr<Life> life_;
  std::uint64_t lives_ = 0;

 public:
  env::MemoryDisk disk;
  FakeMachine machine;
  FakeSnapshotFiles files;
  std::optional<Fate> refuse;
  bool hold = false;
  bool removed = false;
};

class GroupTest : public ::testing::Test {
 protected:
  void Begin(std::uint64_t count, std::uint64_t voters = 0) {
    std::vector<ReplicaId> ids;
    for (std::uint64_t i = 1; i <= (voters == 0 ? count : voters); ++i) ids.push_back(ReplicaId(i));
    for (std::uint64_t i = 1; i <= count; ++i) {
      members_.push_back(std::make_unique<Member>(ReplicaId(i), ids, executor_, clock_, network_, snapshots_));
    }
    for (auto& member : members_) ASSERT_TRUE(member->Start().ok());
    RunUntil([this] { return Leader() != nullptr; });
  }
  void Step() {
    executor_.RunFor(1'000'000);
    clock_.now_ns += 1'000'000;
  }
  void RunFor(std::uint64_t ns) {
    for (std::uint64_t done = 0; done < ns; done += 1'000'000) Step();
  }
  void RunUntil(const std::function<bool()>& condition) {
    for (int turn = 0; turn < 60'000 && !condition(); ++turn) Step();
    ASSERT_TRUE(condition());
  }
  Member* Leader() {
    for (auto& member : members_) {
      if (member->leads()) return member.get();
    }
    return nullptr;
  }
  Member& Of(std::uint64_t id) { return *members_[id - 1]; }
  Member& Follower() {
    for (auto& member : members_) {
      if (member->running() && !member->leads()) return *member;
    }
    ADD_FAILURE() << "no follower";
    return *members_[0];
  }
  Fate Put(Member& member, const std::string& command) {
    std::optional<Fate> fate;
    member.group().Propose(command, 0, [&fate](const ProposeResult& result) { fate = result.fate; });
    RunUntil([&fate] { return fate.has_value(); });
    if (fate == Fate::kApplied) ++answered_;
    return fate.value_or(Fate::kTimedOut);
  }
  void Fill(int count, std::size_t bytes = 500) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(Put(*Leader(), "put " + std::to_string(answered_) + std::string(bytes, 'x')), Fate::kApplied);
    }
  }
  void Flush() {
    for (auto& member : members_) member->machine.Flush();
    RunFor(kSecond / 2);
  }
  void ExpectAllEqual() {
    RunUntil([this] {
      for (auto& member : members_) {
        if (!member->running() || member->machine.state != members_[0]->machine.state) return false;
      }
      return true;
    });
    EXPECT_GE(members_[0]->machine.state.size(), answered_);
  }

  env::ManualExecutor executor_;
  ManualClock clock_;
  Network network_{executor_};
  FakeSnapshotNetwork snapshots_;
  std::vector<std::unique_ptr<Member>> members_;
  std::size_t answered_ = 0;
};

TEST_F(GroupTest, NothingIsReleasedBeforeTheMachineHasFlushedIt) {
  Begin(1);
  Fill(40);
  RunFor(kSecond);
  EXPECT_EQ(Of(1).group().status().log_first, LogIndex(1));
  Flush();
  EXPECT_GT(Of(1).group().status().log_first, LogIndex(30));
  Of(1).Crash();
  ASSERT_TRUE(Of(1).Start().ok());
  RunUntil([this] { return Leader() != nullptr; });
  EXPECT_EQ(Of(1).machine.state.size(), answered_);
}

TEST_F(GroupTest, AFollowerThatIsAwayPinsNoMoreThanTheCapAndComesBackByASnapshot) {
  Begin(3);
  Member& away = Follower();
  away.Crash();
  Fill(8);
  Flush();
  EXPECT_EQ(Leader()->group().status().log_first, LogIndex(1));
  Fill(60);
  Flush();
  EXPECT_GT(Leader()->group().status().log_first, LogIndex(40));
  ASSERT_TRUE(away.Start().ok());
  ExpectAllEqual();
  EXPECT_EQ(away.group().status().snapshots_installed, 1u);
  EXPECT_FALSE(away.machine.executed_while_installing);
}

TEST_F(GroupTest, AFollowerWithinTheCapGetsEntriesAndNoSnapshot) {
  Begin(3);
  Member& away = Follower();
  away.Crash();
  Fill(12);
  Flush();
  ASSERT_TRUE(away.Start().ok());
  ExpectAllEqual();
  EXPECT_EQ(away.group().status().snapshots_installed, 0u);
}

TEST_F(GroupTest, ColdDataHoldsAMembersExecutionButNeitherItsAcknowledgementsNorTheCluster) {
  Begin(3);
  Fill(3);
  for (auto& member : members_) {
    if (member.get() == Leader()) continue;
    for (std::uint64_t i = 5; i < 20; ++i) member->machine.cold.insert(i);
  }
  const consensus::Leadership before = Leader()->group().status().leadership;
  Fill(5);
  EXPECT_EQ(Leader()->group().status().leadership, before);
  for (auto& member : members_) member->machine.Warm();
  ExpectAllEqual();
  for (auto& member : members_) EXPECT_FALSE(member->machine.executed_cold);
}

TEST_F(GroupTest, AFollowerThatExecutesTooSlowlyHoldsABoundedQueueAndCatchesUpLater) {
  Begin(3);
  Member& slow = Follower();
  for (std::uint64_t i = 1; i < 1'000; ++i) slow.machine.cold.insert(i);
  Fill(300);
  EXPECT_LE(slow.group().status().apply_queue_bytes, 80u << 10);
  EXPECT_EQ(Put(slow, "refused"), Fate::kOverloaded);
  slow.machine.Warm();
  ExpectAllEqual();
}

TEST_F(GroupTest, ALeaderThatExecutesTooSlowlyRefusesAlsoWhatIsForwarded) {
  Begin(3);
  for (std::uint64_t i = 1; i < 1'000; ++i) Leader()->machine.cold.insert(i);
  Member& follower = Follower();
  Fate fate = Fate::kApplied;
  for (int i = 0; i < 300 && fate == Fate::kApplied; ++i) fate = Put(follower, std::string(500, 'x'));
  EXPECT_EQ(fate, Fate::kOverloaded);
  Leader()->machine.Warm();
  ExpectAllEqual();
}

TEST_F(GroupTest, WhileFlushingIsBehindProposalsWaitAtTheLeaderAndAreExecutedAfterwards) {
  Begin(3);
  Member& leader = *Leader();
  Member& follower = Follower();
  leader.hold = true;
  std::vector<Fate> fates;
  for (Member* member : {&leader, &follower}) {
    member->group().Propose("held", 0, [&fates](const ProposeResult& result) { fates.push_back(result.fate); });
  }
  RunFor(2 * kSecond);
  EXPECT_TRUE(fates.empty());
  leader.hold = false;
  RunUntil([&fates] { return fates.size() == 2; });
  EXPECT_EQ(fates, (std::vector<Fate>{Fate::kApplied, Fate::kApplied}));
  ExpectAllEqual();
}

TEST_F(GroupTest, WhatWaitsLongerThanItMayIsAnsweredAndEnteredNoLog) {
  Begin(3);
  Member& leader = *Leader();
  Member& follower = Follower();
  leader.hold = follower.hold = true;
  std::optional<Fate> fate;
  follower.group().Propose("held", 0, [&fate](const ProposeResult& result) { fate = result.fate; });
  RunFor(8 * kSecond);
  EXPECT_EQ(fate, Fate::kNoLeader);  // it was sent to nobody
  follower.hold = false;
  EXPECT_EQ(Put(follower, std::string(1 << 20, 'x')), Fate::kTimedOut);
  leader.hold = false;
  EXPECT_EQ(Put(follower, "x"), Fate::kApplied);
  ExpectAllEqual();
}

TEST_F(GroupTest, AFullDiskOfTheLeaderIsSaidToWhoeverAsks) {
  Begin(3);
  Leader()->refuse = Fate::kNoSpace;
  EXPECT_EQ(Put(*Leader(), "x"), Fate::kNoSpace);
  EXPECT_EQ(Put(Follower(), "x"), Fate::kNoSpace);
  Leader()->refuse.reset();
  EXPECT_EQ(Put(Follower(), "x"), Fate::kApplied);
}

TEST_F(GroupTest, WhatNoMemberSendsIsDroppedAndCountedAndDisturbsNobody) {
  Begin(3);
  Fill(5);
  Member& leader = *Leader();
  Member& sender = Follower();
  const ReplicaId other(6 - leader.id().value - sender.id().value);
  const Bytes proposal = EncodePeerMessage(GroupId(1), ForwardedProposal{{other, Incarnation(1), ProposalId(9)}, {}});
  const std::vector<std::pair<std::string, Bytes>> cases{
      {"nothing", Bytes()},
      {"garbage", Bytes(std::string(500, '\x7f'))},
      {"another version", Bytes(std::string("\2\1\1", 3))},
      {"another kind", Bytes(std::string("\1\1\x63", 3))},
      {"another group", EncodePeerMessage(GroupId(2), CoreMessage{Bytes(std::string("x"))})},
      {"a core's message that is none", EncodePeerMessage(GroupId(1), CoreMessage{Bytes(std::string(40, '\xee'))})},
      {"a core's message of no bytes", EncodePeerMessage(GroupId(1), CoreMessage{})},
      {"a proposal that is cut off", Bytes(std::string("\1\1\2\x80", 4))},
      {"a proposal in another's name", proposal},
      {"a change in another's name",
       EncodePeerMessage(GroupId(1),
                         ForwardedChange{{other, Incarnation(1), ProposalId(9)}, {{ReplicaId(1)}, {}, {}}})},
      {"a piece of no snapshot", EncodePeerMessage(GroupId(1), SnapshotFrame{Bytes(std::string("?"))})},
  };
  std::uint64_t dropped = leader.group().messages_dropped();
  for (const auto& [what, frame] : cases) {
    network_.Send(sender.id(), leader.id(), frame);
    RunFor(2'000'000);
    EXPECT_EQ(leader.group().messages_dropped(), dropped + 1) << what;
    dropped = leader.group().messages_dropped();
  }
  EXPECT_TRUE(leader.leads());
  Fill(5);
  ExpectAllEqual();
  EXPECT_EQ(leader.machine.state.size(), answered_);
}

TEST_F(GroupTest, ARefusalByAnotherThanWhomItWasSentToCountsForNothing) {
  Begin(3);
  Member& leader = *Leader();
  Member& proposer = Follower();
  const ReplicaId other(6 - leader.id().value - proposer.id().value);
  std::optional<Fate> fate;
  proposer.group().Propose("put once", 0, [&fate](const ProposeResult& result) { fate = result.fate; });
  for (std::uint64_t id = 1; id <= 3; ++id) {
    network_.Send(other, proposer.id(), EncodePeerMessage(GroupId(1), ProposalRefused{Incarnation(1), ProposalId(id)}));
  }
  RunUntil([&fate] { return fate.has_value(); });
  EXPECT_EQ(fate, Fate::kApplied);
  RunFor(kSecond);
  EXPECT_EQ(leader.machine.state.size(), 1u) << "it was sent again, and executed twice";
}

TEST_F(GroupTest, ATransferIsAnsweredWhenTheOtherLeads) {
  Begin(3);
  Member& leader = *Leader();
  const std::optional<ReplicaId> to = leader.group().Successor();
  ASSERT_TRUE(to);
  std::optional<Fate> fate;
  leader.group().TransferLeadership(*to, 0, [&fate](Fate f) { fate = f; });
  RunUntil([&fate] { return fate.has_value(); });
  EXPECT_EQ(*fate, Fate::kApplied);
  EXPECT_EQ(leader.group().status().leadership.leader, to);
  fate.reset();
  leader.group().TransferLeadership(leader.id(), 0, [&fate](Fate f) { fate = f; });
  RunUntil([&fate] { return fate.has_value(); });
  EXPECT_EQ(*fate, Fate::kNoLeader);
}

TEST_F(GroupTest, ALostKeyspaceIsFilledFromTheLeaderAlthoughTheLogIsGood) {
  Begin(3);
  Fill(60);
  Flush();
  Member& victim = Follower();
  RunUntil([&victim] { return victim.group().status().log_first > LogIndex(40); });
  victim.Crash();
  victim.machine.Lose();
  Fill(3);
  ASSERT_TRUE(victim.Start().ok());
  EXPECT_TRUE(victim.group().status().installing);
  std::optional<Fate> read;
  victim.group().ReadBarrier(0, [&read](Fate f) { read = f; });
  RunUntil([&read] { return read.has_value(); });
  EXPECT_EQ(*read, Fate::kNotReady);
  ExpectAllEqual();
  EXPECT_FALSE(victim.group().status().installing);
  EXPECT_EQ(victim.group().status().snapshots_installed, 1u);
}

TEST_F(GroupTest, ALostKeyspaceOfTheOnlyMemberIsReplayedOrNamesTheWayBack) {
  Begin(1);
  Fill(3);
  Of(1).Crash();
  Of(1).machine.Lose();
  ASSERT_TRUE(Of(1).Start().ok());
  RunUntil([this] { return Leader() != nullptr && Of(1).machine.state.size() == answered_; });
  Fill(60);
  Flush();
  Of(1).Crash();
  Of(1).machine.Lose();
  const Status status = Of(1).Start();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("quorate snapshot restore"), std::string::npos);
}

TEST_F(GroupTest, AKeyspaceThatIsAheadOfTheLogIsRefused) {
  Begin(1);
  Fill(3);
  Of(1).Crash();
  Of(1).machine.Install(LogIndex(50), {});
  const Status status = Of(1).Start();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
}

TEST_F(GroupTest, MembersAreAddedAndRemovedThroughAnyMemberAndALeaderThatIsRemovedHearsOfIt) {
  Begin(4, 3);
  Fill(3);
  const auto change = [this](Member& through, consensus::Membership target) {
    std::optional<Fate> fate;
    through.group().ChangeMembers(std::move(target), 0, [&fate](Fate f) { fate = f; });
    RunUntil([&fate] { return fate.has_value(); });
    return *fate;
  };
  const ReplicaId one(1), two(2), three(3), four(4);
  EXPECT_EQ(change(Follower(), {{one, two, three, four}, {}, {}}), Fate::kRefused) << "it has not caught up";
  EXPECT_EQ(change(Follower(), {{one, two, three}, {}, {four}}), Fate::kApplied);
  RunUntil([this] { return Leader()->group().progress().at(ReplicaId(4)).caught_up; });
  EXPECT_EQ(change(Follower(), {{one, two, three, four}, {}, {}}), Fate::kApplied);
  Member& leader = *Leader();
  Member& staying = Follower();
  consensus::Membership without{{one, two, three, four}, {}, {}};
  std::erase(without.voters, leader.id());
  change(staying, without);  // its answer may be that the leader is lost: it is
  RunUntil([&] { return leader.removed && Leader() != nullptr && Leader() != &leader; });
  EXPECT_EQ(Leader()->group().membership(), without);
  EXPECT_FALSE(staying.removed);
  EXPECT_EQ(Put(staying, "x"), Fate::kApplied);
}

// Crashes, cut links, slow flushes, cold data and lost keyspaces in any order: nothing answered is lost, and in the end
// all have the same.
class RandomGroupTest : public GroupTest, public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  std::uint64_t Draw(std::uint64_t below) {  // xorshift64*
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (state_ * 0x2545f4914f6cdd1dULL >> 33) % below;
  }
  Member& Any() { return *members_[Draw(members_.size())]; }
  void Act() {
    Member& member = Any();
    switch (Draw(12)) {
      case 0:
        member.Crash(Draw(2) == 0 ? env::Survival::kNothing : env::Survival::kPrefix);
        break;
      case 1:
      case 2:
        if (!member.running()) Restart(member);
        break;
      case 3:
      case 4:
        member.machine.Flush();
        break;
      case 5:
        network_.Cut(member.id(), Any().id());
        break;
      case 6:
        Relink(member, Any());
        break;
      case 7:
        for (std::uint64_t i = 0; i < 20; ++i) member.machine.cold.insert(member.machine.applied().value + 2 + i);
        break;
      case 8:
        member.machine.Warm();
        break;
      case 9:
        if (Draw(4) == 0) LoseKeyspace(member);
        break;
      default:
        if (member.running()) PutSome(member);
    }
  }
  void PutSome(Member& member) {
    for (std::uint64_t i = Draw(12); i > 0; --i) {
      const std::string command = "put " + std::to_string(++asked_) + std::string(Draw(900), 'x');
      member.group().Propose(command, 0, [this, command](const ProposeResult& result) {
        if (result.fate == Fate::kApplied) answered_commands_[result.index.value] = command;
      });
    }
  }
  // Of one member at a time: two of three have what was answered, and what the log has released.
  void LoseKeyspace(Member& member) {
    for (auto& other : members_) {
      if (other.get() != &member && lost_ == other->id() && !CaughtUp(*other)) return;
    }
    member.Crash();
    member.machine.Lose();
    lost_ = member.id();
  }
  bool CaughtUp(Member& member) const {
    return member.running() && !member.group().status().installing &&
           member.machine.flushed() >= member.group().status().log_first;
  }
  void Restart(Member& member) {
    member.machine.Warm();
    const Status status = member.Start();
    ASSERT_TRUE(status.ok()) << status.message();
  }
  void Relink(Member& a, Member& b) {
    if (&a == &b) return;
    network_.Cut(a.id(), b.id());
    network_.Link(a.id(), b.id());
  }
  void Heal() {
    for (auto& member : members_) {
      if (!member->running()) Restart(*member);
    }
    for (std::size_t i = 0; i < members_.size(); ++i) {
      for (std::size_t j = i + 1; j < members_.size(); ++j) Relink(*members_[i], *members_[j]);
    }
    for (auto& member : members_) member->machine.Warm();
  }

  std::uint64_t state_ = 0;
  std::uint64_t asked_ = 0;
  ReplicaId lost_;
  std::map<std::uint64_t, std::string> answered_commands_;
};

TEST_P(RandomGroupTest, NothingAnsweredIsLostAndAllEndEqual) {
  state_ = GetParam() * 0x9e3779b97f4a7c15ULL + 1;
  Begin(3);
  for (int i = 0; i < 600; ++i) {
    Act();
    RunFor((1 + Draw(60)) * 1'000'000);
    if (HasFatalFailure()) return;
  }
  Heal();
  Fate last = Fate::kTimedOut;
  for (int i = 0; i < 10 && last != Fate::kApplied; ++i) {  // the leader may still change
    RunUntil([this] { return Leader() != nullptr; });
    last = Put(*Leader(), "last");
  }
  EXPECT_EQ(last, Fate::kApplied);
  ExpectAllEqual();
  EXPECT_GT(answered_commands_.size(), 20u);
  for (auto& member : members_) {
    for (const auto& [index, command] : answered_commands_) ASSERT_EQ(member->machine.state[index], command) << index;
    EXPECT_FALSE(member->machine.executed_cold || member->machine.executed_while_installing);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGroupTest, ::testing::Range<std::uint64_t>(1, 61));

// The log says that the state is the snapshot's, and the machine does not have it yet.
TEST_F(GroupTest, ACrashBetweenTheInstallationInTheLogAndTheLoadIsMadeUpForFromTheLocalFile) {
  Begin(3);
  Member& victim = Follower();
  victim.Crash();
  Fill(60);
  Flush();
  ASSERT_TRUE(victim.Start().ok());
  victim.snapshots().hold_loads = true;
  RunUntil([&victim] { return victim.snapshots().held != nullptr; });
  Fill(3);
  EXPECT_TRUE(victim.machine.state.empty());
  victim.Crash();
  ASSERT_TRUE(victim.Start().ok());
  EXPECT_TRUE(victim.group().status().installing);
  EXPECT_FALSE(victim.snapshots().wanted);
  ExpectAllEqual();
  EXPECT_EQ(victim.snapshots().loads, 1);
  EXPECT_TRUE(victim.files.files.size() <= 1);
}

TEST_F(GroupTest, WithoutTheLocalFileTheLeaderIsAskedAgain) {
  Begin(3);
  Member& victim = Follower();
  victim.Crash();
  Fill(60);
  Flush();
  ASSERT_TRUE(victim.Start().ok());
  victim.snapshots().hold_loads = true;
  RunUntil([&victim] { return victim.snapshots().held != nullptr; });
  victim.Crash();
  victim.files.files.clear();
  ASSERT_TRUE(victim.Start().ok());
  EXPECT_TRUE(victim.group().status().installing);
  ExpectAllEqual();
}

// The disk of a member that installs a snapshot stops at each of its operations in turn.
TEST_F(GroupTest, ACrashAtAnyStepOfAnInstallationLeavesTheOldStateOrTheNew) {
  Begin(3);
  Member& victim = Follower();
  int installed = 0;
  for (std::uint64_t step = 1; step <= 14; ++step) {
    victim.Crash();
    Fill(30);
    for (auto& member : members_) {
      if (member.get() != &victim) member->machine.Flush();
    }
    RunFor(kSecond / 2);
    ASSERT_TRUE(victim.Start().ok()) << step;
    victim.disk.StopAfter(step);
    for (int turn = 0; turn < 2'000 && !victim.disk.stopped(); ++turn) Step();
    RunFor(20'000'000);
    installed += victim.group().status().snapshots_installed > 0 ? 1 : 0;
    victim.Crash(step % 2 == 0 ? env::Survival::kPrefix : env::Survival::kNothing);
    ASSERT_TRUE(victim.Start().ok()) << step;
    ExpectAllEqual();
    ASSERT_FALSE(victim.machine.executed_while_installing) << step;
  }
  EXPECT_GT(installed, 0);
}

}  // namespace
}  // namespace quorate::replica
