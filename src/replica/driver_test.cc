// The driver's order of writing, sending and applying, shown with a core that says what the test tells it to.
#include "replica/driver.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "replica/group_testing.h"
#include "replica/peer_message.h"

namespace quorate::replica {
namespace {

using consensus::Entry;
using consensus::Ready;

class QueueExecutor final : public env::Executor {
 public:
  void Post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  env::TimerId After(std::uint64_t, std::function<void()>) override { return 1; }
  void Cancel(env::TimerId) override {}
  void Run() {
    while (!tasks_.empty()) {
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

 private:
  std::deque<std::function<void()>> tasks_;
};

class ManualLog final : public wal::Log {
 public:
  Incarnation incarnation() const override { return Incarnation(1); }
  bool fresh() const override { return true; }
  consensus::Recovered TakeRecovered(GroupId) override { return {}; }
  void Submit(GroupId, consensus::WriteBatch, std::function<void()> done) override { done_.push_back(std::move(done)); }
  void Load(GroupId, consensus::LoadLog, std::function<void(std::vector<Entry>)> done) override { done({}); }
  Status Close() override { return Status::Ok(); }
  void Release(GroupId, const consensus::SnapshotMeta&, LogIndex) override {}
  LogIndex first(GroupId) const override { return LogIndex(1); }
  std::uint64_t bytes() const override { return 0; }
  bool low_on_space() const override { return false; }
  wal::LogStats stats() const override { return {}; }
  void CompleteOne() {
    std::function<void()> done = std::move(done_.front());
    done_.pop_front();
    done();
  }

 private:
  std::deque<std::function<void()>> done_;
};

class RecordingTransport final : public env::Transport {
 public:
  void Start(env::TransportListener*) override {}
  void Send(ReplicaId peer, Bytes frame) override {
    const auto message = DecodePeerMessage(GroupId(1), frame);
    sent.push_back(std::to_string(peer.value) + ":" + std::get<CoreMessage>(*message).payload.ToString());
  }
  std::vector<std::string> sent;
};

class ScriptedCore final : public consensus::Core {
 public:
  const consensus::Traits& traits() const override { return traits_; }
  void Step(consensus::Event event) override { events.push_back(std::move(event)); }
  bool HasReady() const override { return !ready.empty(); }
  Ready TakeReady() override {
    Ready next = std::move(ready.front());
    ready.pop_front();
    return next;
  }
  std::optional<Ticks> NextDeadline() const override { return std::nullopt; }
  consensus::SnapshotMeta MetaAt(LogIndex index) const override {
    return {.id = 0, .last = index, .ballot = {}, .members = {}};
  }
  void Inspect(consensus::Inspector&) const override {}
  void CheckInvariants() const override {}
  std::unique_ptr<Core> Clone() const override { return nullptr; }
  std::uint64_t Fingerprint() const override { return 0; }

  consensus::Traits traits_{.name = "scripted"};
  std::deque<Ready> ready;
  std::vector<consensus::Event> events;
};

class SilentListener final : public DriverListener {
 public:
  void OnExecuted(const Entry& entry, std::unique_ptr<Outcome>) override { executed.push_back(entry.index.value); }
  void OnReadReady(ReadId, LogIndex) override {}
  void OnReadFailed(ReadId) override {}
  void OnProposalFailed(const consensus::Failed&) override {}
  void OnLeadership(const consensus::Leadership&) override {}
  void OnMembership(const consensus::Membership&) override {}
  void OnDecided(const std::vector<Entry>&) override {}
  void OnMembershipDecided(const consensus::Membership&) override { ++memberships; }
  void OnLogRestarted(LogIndex start) override { log_start = start; }
  void OnSendSnapshot(ReplicaId) override {}
  void OnFailure(const Status& status) override { failure = status; }
  void BeforePump() override {}
  void AfterPump(LogIndex) override {}
  std::vector<std::uint64_t> executed;
  int memberships = 0;
  LogIndex log_start;
  Status failure;
};

class NoHost final : public SnapshotHost {
 public:
  std::optional<consensus::SnapshotMeta> MetaNow() const override { return std::nullopt; }
  bool LogFollows(LogIndex) const override { return true; }
  std::string WhyNot(LogIndex, bool) const override { return ""; }
  void SendFrame(ReplicaId, Bytes) override {}
  void OnSent(ReplicaId, const consensus::SnapshotMeta&, bool) override {}
  void OnArrived(ReplicaId, const consensus::SnapshotMeta&) override {}
};

class DriverTest : public ::testing::Test {
 protected:
  explicit DriverTest(std::uint64_t log_start = 0) { Begin(log_start); }
  void Begin(std::uint64_t log_start) {
    driver_.reset();
    auto core = std::make_unique<ScriptedCore>();
    core_ = core.get();
    driver_ = std::make_unique<Driver>(DriverEnv{GroupId(1), log_, transport_, executor_, clock_, machine_},
                                       std::move(core), LogIndex(log_start), listener_);
    snapshots_ = std::make_unique<FakeSnapshots>(host_, machine_, files_, network_, executor_, ReplicaId(1));
    snapshots_->hold_loads = true;
    driver_->UseSnapshots(snapshots_.get());
    driver_->SetLink(ReplicaId(2), LinkId(7));
    executor_.Run();
  }
  void Emit(Ready ready) {
    core_->ready.push_back(std::move(ready));
    driver_->SchedulePump();
    executor_.Run();
  }
  static consensus::Outbound To2(const char* text, std::uint64_t after, std::uint64_t link = 0) {
    return {ReplicaId(2), Bytes(std::string(text)), PersistSeq(after), LinkId(link)};
  }
  static Ready Writing(std::uint64_t seq, std::vector<consensus::Outbound> outbound) {
    Ready ready;
    ready.write.emplace();
    ready.write->seq = PersistSeq(seq);
    ready.outbound = std::move(outbound);
    return ready;
  }
  static Ready Deciding(std::uint64_t first, std::uint64_t last,
                        consensus::EntryKind kind = consensus::EntryKind::kCommand) {
    Ready ready;
    for (std::uint64_t i = first; i <= last; ++i) {
      ready.decided.push_back(Entry{LogIndex(i), {}, kind, {}, Bytes(std::to_string(i))});
    }
    return ready;
  }
  static consensus::SnapshotMeta Meta(std::uint64_t last) {
    consensus::SnapshotMeta meta;
    meta.last = LogIndex(last);
    return meta;
  }
  static Ready Installing(std::uint64_t seq, std::uint64_t last) {
    Ready ready = Writing(seq, {});
    ready.write->ops.push_back(consensus::InstallSnapshot{Meta(last)});
    return ready;
  }
  void PutFile(std::uint64_t last, bool damaged = false) {
    files_.files[last] = {Meta(last), {{last, "from the snapshot"}}, damaged};
  }
  void FinishLoad() {
    ASSERT_TRUE(snapshots_->held);
    std::exchange(snapshots_->held, nullptr)();
    executor_.Run();
  }
  std::uint64_t AppliedTold() const {
    std::uint64_t told = 0;
    for (const consensus::Event& event : core_->events) {
      if (const auto* applied = std::get_if<consensus::Applied>(&event)) told = applied->upto.value;
    }
    return told;
  }
  bool PersistedWasStepped(std::uint64_t seq) const {
    for (const consensus::Event& event : core_->events) {
      const auto* persisted = std::get_if<consensus::Persisted>(&event);
      if (persisted != nullptr && persisted->upto == PersistSeq(seq)) return true;
    }
    return false;
  }

  QueueExecutor executor_;
  ZeroClock clock_;
  ManualLog log_;
  RecordingTransport transport_;
  FakeMachine machine_;
  FakeSnapshotFiles files_;
  FakeSnapshotNetwork network_;
  NoHost host_;
  SilentListener listener_;
  ScriptedCore* core_ = nullptr;
  std::unique_ptr<Driver> driver_;
  std::unique_ptr<FakeSnapshots> snapshots_;
};

using Sent = std::vector<std::string>;

TEST_F(DriverTest, AMessageLeavesOnlyAfterTheBatchItNamesIsDurable) {
  Emit(Writing(1, {To2("vote", 1), To2("append", 0)}));
  EXPECT_EQ(transport_.sent, Sent{"2:append"});
  EXPECT_FALSE(PersistedWasStepped(1));
  log_.CompleteOne();
  executor_.Run();
  EXPECT_EQ(transport_.sent, (Sent{"2:append", "2:vote"}));
  EXPECT_TRUE(PersistedWasStepped(1));
}

TEST_F(DriverTest, OnAFifoLinkNothingOvertakesAHeldMessage) {
  core_->traits_.needs_fifo_links = true;
  Emit(Writing(1, {To2("first", 1), To2("second", 0)}));
  EXPECT_TRUE(transport_.sent.empty());
  log_.CompleteOne();
  EXPECT_EQ(transport_.sent, (Sent{"2:first", "2:second"}));
}

TEST_F(DriverTest, AHeldMessageOfOneLinkIsDroppedWhenTheLinkIsReplaced) {
  Emit(Writing(1, {To2("old session", 1, 7), To2("any session", 1)}));
  driver_->SetLink(ReplicaId(2), LinkId(8));
  log_.CompleteOne();
  EXPECT_EQ(transport_.sent, Sent{"2:any session"});
}

TEST_F(DriverTest, DecidedEntriesAreExecutedInOrderAndAGapIsFatal) {
  Ready ready;
  ready.decided = {Entry{LogIndex(1), {}, consensus::EntryKind::kNoop, {}, {}},
                   Entry{LogIndex(2), {}, consensus::EntryKind::kNoop, {}, {}}};
  Emit(std::move(ready));
  EXPECT_EQ(listener_.executed, (std::vector<std::uint64_t>{1, 2}));
  Ready gap;
  gap.decided = {Entry{LogIndex(4), {}, consensus::EntryKind::kNoop, {}, {}}};
  EXPECT_DEATH(Emit(std::move(gap)), "decided after 2");
}

TEST_F(DriverTest, AnEntryWhoseDataIsColdHoldsExecutionAndNothingElse) {
  machine_.cold = {2};
  Ready ready = Deciding(1, 3);
  ready.outbound = {To2("append", 0)};
  Emit(std::move(ready));
  EXPECT_EQ(listener_.executed, std::vector<std::uint64_t>{1});
  EXPECT_EQ(AppliedTold(), 1u);
  EXPECT_EQ(driver_->decided(), LogIndex(3));
  EXPECT_EQ(driver_->queue().entries(), 2u);
  Emit(Writing(1, {To2("ack", 1), To2("heartbeat", 0)}));
  log_.CompleteOne();
  executor_.Run();
  EXPECT_EQ(transport_.sent, (Sent{"2:append", "2:heartbeat", "2:ack"}));
  machine_.Warm();
  executor_.Run();
  EXPECT_EQ(listener_.executed, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_FALSE(machine_.executed_cold);
  EXPECT_EQ(AppliedTold(), 3u);
  EXPECT_EQ(driver_->queue().bytes(), 0u);
}

TEST_F(DriverTest, ALongReplayIsCutIntoSlices) {
  Emit(Deciding(1, 2 * ApplyQueue::kSliceEntries + 1));
  EXPECT_EQ(listener_.executed.size(), 2 * ApplyQueue::kSliceEntries + 1);
  int told = 0;
  for (const consensus::Event& event : core_->events) told += std::holds_alternative<consensus::Applied>(event) ? 1 : 0;
  EXPECT_EQ(told, 3);
}

TEST_F(DriverTest, ASnapshotIsLoadedOnceItsBatchIsDurableAndEntriesWaitForIt) {
  PutFile(10);
  Emit(Deciding(1, 2));
  Emit(Installing(1, 10));
  EXPECT_TRUE(driver_->installer().installing());
  EXPECT_EQ(snapshots_->loads, 0);
  EXPECT_EQ(listener_.log_start, LogIndex(10));
  log_.CompleteOne();
  executor_.Run();
  EXPECT_EQ(snapshots_->loads, 1);
  Emit(Deciding(11, 12));
  EXPECT_EQ(listener_.executed, (std::vector<std::uint64_t>{1, 2}));
  FinishLoad();
  EXPECT_EQ(listener_.executed, (std::vector<std::uint64_t>{1, 2, 11, 12}));
  EXPECT_FALSE(machine_.executed_while_installing);
  EXPECT_EQ(AppliedTold(), 12u);
  EXPECT_EQ(machine_.state.at(10), "from the snapshot");
  EXPECT_FALSE(driver_->installer().installing());
}

TEST_F(DriverTest, WhatASnapshotCoversIsDroppedAlsoWhenItWaitedForItsData) {
  PutFile(10);
  machine_.cold = {2};
  Emit(Deciding(1, 5));
  Emit(Installing(1, 10));
  EXPECT_EQ(driver_->queue().entries(), 0u);
  log_.CompleteOne();
  machine_.Warm();
  executor_.Run();
  EXPECT_EQ(listener_.executed, std::vector<std::uint64_t>{1});
  FinishLoad();
  Emit(Deciding(11, 11));
  EXPECT_EQ(listener_.executed, (std::vector<std::uint64_t>{1, 11}));
}

TEST_F(DriverTest, ASecondSnapshotThatComesDuringALoadIsLoadedAfterIt) {
  PutFile(10);
  PutFile(20);
  Emit(Installing(1, 10));
  log_.CompleteOne();
  executor_.Run();
  Emit(Installing(2, 20));
  log_.CompleteOne();
  executor_.Run();
  Emit(Deciding(21, 21));
  FinishLoad();
  EXPECT_TRUE(listener_.executed.empty());
  FinishLoad();
  EXPECT_EQ(listener_.executed, std::vector<std::uint64_t>{21});
  EXPECT_EQ(snapshots_->loads, 2);
}

TEST_F(DriverTest, AStartBehindTheLogLoadsTheFileOfThisMemberBeforeAnythingIsExecuted) {
  PutFile(10);
  Begin(10);
  Emit(Deciding(11, 11));
  EXPECT_TRUE(listener_.executed.empty());
  FinishLoad();
  EXPECT_EQ(listener_.executed, std::vector<std::uint64_t>{11});
  EXPECT_FALSE(snapshots_->wanted);
}

TEST_F(DriverTest, AStartBehindTheLogWithoutAFileAsksForOneAndTakesItOnlyWhenTheLogContainsIt) {
  Begin(10);
  EXPECT_TRUE(snapshots_->wanted);
  Emit(Deciding(11, 12));
  PutFile(14);
  driver_->SnapshotArrived(Meta(14));
  executor_.Run();
  EXPECT_EQ(snapshots_->loads, 0);
  Emit(Deciding(13, 15));
  FinishLoad();
  EXPECT_EQ(listener_.executed, std::vector<std::uint64_t>{15});
  EXPECT_EQ(AppliedTold(), 15u);
}

TEST_F(DriverTest, AFileThatDoesNotVerifyIsNoReasonToStop) {
  PutFile(10, true);
  Begin(10);
  EXPECT_EQ(snapshots_->loads, 1);
  EXPECT_TRUE(snapshots_->wanted);
  EXPECT_TRUE(driver_->installer().installing());
  EXPECT_TRUE(listener_.failure.ok());
  PutFile(10);
  driver_->SnapshotArrived(Meta(10));
  FinishLoad();
  EXPECT_FALSE(driver_->installer().installing());
}

TEST_F(DriverTest, MembersAreReportedOnceTheirEntryIsExecuted) {
  machine_.cold = {1};
  Emit(Deciding(1, 1, consensus::EntryKind::kMembership));
  EXPECT_EQ(listener_.memberships, 0);
  machine_.Warm();
  executor_.Run();
  EXPECT_EQ(listener_.memberships, 1);
}

TEST_F(DriverTest, ACallbackOfTheLogThatComesAfterTheDriversEndDoesNothing) {
  Emit(Writing(1, {To2("vote", 1)}));
  driver_.reset();
  log_.CompleteOne();
  EXPECT_TRUE(transport_.sent.empty());
}

}  // namespace
}  // namespace quorate::replica
