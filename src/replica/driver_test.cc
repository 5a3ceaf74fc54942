// The driver's order of writing, sending and applying, shown with a core that says what the test tells it to.
#include "replica/driver.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

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

class StillClock final : public env::Clock {
 public:
  std::uint64_t MonotonicNs() const override { return 0; }
  std::int64_t WallNs() const override { return 0; }
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

class CountingMachine final : public StateMachine {
 public:
  std::unique_ptr<Outcome> Apply(const Entry& entry) override {
    applied_ = entry.index;
    return nullptr;
  }
  LogIndex applied() const override { return applied_; }
  bool Prepare(const consensus::Entry&, std::function<void()>) override { return true; }
  LogIndex flushed() const override { return LogIndex(); }
  std::shared_ptr<SnapshotSource> OpenSnapshot() override { return nullptr; }
  std::unique_ptr<SnapshotSink> BeginInstall(LogIndex) override { return nullptr; }
  void Stamp(std::string&, std::uint64_t, std::int64_t) override {}
  void OnLeadership(const consensus::Leadership&, std::uint64_t) override {}
  std::uint64_t StateHash() const override { return 0; }

 private:
  LogIndex applied_;
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
  void BeforePump() override {}
  void AfterPump(LogIndex) override {}
  std::vector<std::uint64_t> executed;
};

class DriverTest : public ::testing::Test {
 protected:
  DriverTest() {
    auto core = std::make_unique<ScriptedCore>();
    core_ = core.get();
    driver_ = std::make_unique<Driver>(DriverEnv{GroupId(1), log_, transport_, executor_, clock_, machine_},
                                       std::move(core), listener_);
    driver_->SetLink(ReplicaId(2), LinkId(7));
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
  bool PersistedWasStepped(std::uint64_t seq) const {
    for (const consensus::Event& event : core_->events) {
      const auto* persisted = std::get_if<consensus::Persisted>(&event);
      if (persisted != nullptr && persisted->upto == PersistSeq(seq)) return true;
    }
    return false;
  }

  QueueExecutor executor_;
  StillClock clock_;
  ManualLog log_;
  RecordingTransport transport_;
  CountingMachine machine_;
  SilentListener listener_;
  ScriptedCore* core_ = nullptr;
  std::unique_ptr<Driver> driver_;
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

TEST_F(DriverTest, ACallbackOfTheLogThatComesAfterTheDriversEndDoesNothing) {
  Emit(Writing(1, {To2("vote", 1)}));
  driver_.reset();
  log_.CompleteOne();
  EXPECT_TRUE(transport_.sent.empty());
}

}  // namespace
}  // namespace quorate::replica
