// For the frontend's tests: a cluster of one member that decides at once, on the real state machine, with time that
// stands still until the test moves it.
//
// Thread rule: the test's thread. Nothing runs from inside a call: answers and timers wait for RunReady or Advance.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coord/backend.h"
#include "coord/machine.h"
#include "env/executor.h"
#include "env/random.h"
#include "store/engine_memory/memory_engine.h"

namespace quorate::frontend::etcd {

class ManualExecutor final : public env::Executor {
 public:
  void Post(std::function<void()> task) override { ready_.push_back(std::move(task)); }
  env::TimerId After(std::uint64_t delay_ns, std::function<void()> task) override {
    timers_.emplace(std::pair(now_ns_ + delay_ns, ++last_timer_), std::move(task));
    return last_timer_;
  }
  void Cancel(env::TimerId timer) override {
    std::erase_if(timers_, [timer](const auto& entry) { return entry.first.second == timer; });
  }

  void RunReady() {
    while (!ready_.empty()) {
      const std::function<void()> task = std::move(ready_.front());
      ready_.pop_front();
      task();
    }
  }
  // Runs every timer that falls due on the way, at its time.
  void Advance(std::uint64_t ns) {
    RunReady();
    const std::uint64_t until = now_ns_ + ns;
    while (!timers_.empty() && timers_.begin()->first.first <= until) {
      const auto timer = timers_.extract(timers_.begin());
      now_ns_ = timer.key().first;
      timer.mapped()();
      RunReady();
    }
    now_ns_ = until;
  }
  std::uint64_t now_ns() const { return now_ns_; }
  std::size_t timers() const { return timers_.size(); }

 private:
  std::deque<std::function<void()>> ready_;
  std::map<std::pair<std::uint64_t, env::TimerId>, std::function<void()>> timers_;
  std::uint64_t now_ns_ = 1'000'000'000;
  env::TimerId last_timer_ = 0;
};

class CountingRandom final : public env::Random {
 public:
  std::uint64_t Next() override { return next_++; }
  void Restart(std::uint64_t next) { next_ = next; }

 private:
  std::uint64_t next_ = 1000;
};

// A file in pieces of 200,000 bytes.
class FakeDownload final : public coord::SnapshotDownload {
 public:
  FakeDownload(std::string file, ManualExecutor& executor) : file_(std::move(file)), executor_(executor) {}
  std::uint64_t size_estimate_bytes() const override { return file_.size(); }
  void Next(std::function<void(Result<Piece>)> done) override {
    const std::size_t length = std::min<std::size_t>(kPieceBytes, file_.size() - at_);
    Piece piece{Bytes(file_.substr(at_, length)), at_ + length == file_.size()};
    at_ += length;
    executor_.Post([alive = std::weak_ptr<const bool>(alive_), piece = std::move(piece), done = std::move(done)] {
      if (!alive.expired()) done(piece);
    });
  }

 private:
  static constexpr std::size_t kPieceBytes = 200'000;
  const std::string file_;
  ManualExecutor& executor_;
  std::size_t at_ = 0;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

class FakeBackend final : public coord::Backend {
 public:
  explicit FakeBackend(ManualExecutor& executor)
      : executor_(executor), engine_(storage_, executor), machine_(coord::Machine::Make({}, engine_)) {
    view_.cluster = ClusterId(0xC1);
    view_.self = ReplicaId(0xA);
    view_.leader = ReplicaId(0xA);
    view_.term = 7;
    consensus::Leadership leadership;
    leadership.role = consensus::Role::kLeader;
    leadership.leader = view_.self;
    leadership.established = true;
    machine_->OnLeadership(leadership, executor_.now_ns());
  }

  void Propose(const coord::RequestContext& context, coord::Command command,
               std::function<void(Result<coord::CommandOutcome>)> done) override {
    last_context = context;
    ++proposals;
    if (!refuse_with.ok()) return Answer([done = std::move(done), status = refuse_with] { done(status); });
    std::string encoded = coord::EncodeCommand(command);
    machine_->Stamp(encoded, executor_.now_ns(), 0);
    consensus::Entry entry;
    entry.index = machine_->applied().Next();
    entry.kind = consensus::EntryKind::kCommand;
    entry.payload = Bytes(std::move(encoded));
    std::shared_ptr<replica::Outcome> outcome = machine_->Apply(entry);
    executor_.Post([this] {
      while (machine_->watches().Pump()) continue;
    });
    Answer([done = std::move(done), outcome] { done(static_cast<const coord::CommandOutcome&>(*outcome)); });
  }

  void ReadBarrier(const coord::RequestContext& context, std::function<void(Status)> done) override {
    last_context = context;
    ++barriers;
    Answer([done = std::move(done), status = refuse_with] { done(status); });
  }

  // Gives out `snapshot_file` in pieces.
  Result<std::unique_ptr<coord::SnapshotDownload>> OpenSnapshot() override {
    if (!refuse_with.ok()) return refuse_with;
    return std::unique_ptr<coord::SnapshotDownload>(std::make_unique<FakeDownload>(snapshot_file, executor_));
  }
  std::string snapshot_file;

  coord::Machine& machine() override { return *machine_; }
  coord::ClusterView cluster() const override {
    coord::ClusterView view = view_;
    view.commit = view.applied = machine_->applied();
    return view;
  }
  std::vector<coord::MemberInfo> members() const override { return member_list; }

  void MoveLeader(const coord::RequestContext& context, ReplicaId to, std::function<void(Status)> done) override {
    last_context = context;
    moved_to = to;
    Answer([done = std::move(done), status = refuse_with] { done(status); });
  }

  void RaiseFeatureLevel(std::vector<coord::InitialMember> members) {
    Propose({}, coord::Command{{}, coord::RaiseFeatureLevel{2, std::move(members)}}, [](const auto&) {});
    executor_.RunReady();
    proposals = 0;
  }

  // What the leader's clock asks for, as server/ does it about every 100 ms.
  void Tick() {
    for (coord::Command& command : machine_->Due(executor_.now_ns()))
      Propose({}, std::move(command), [](const auto&) {});
  }
  // From now on answers wait for ReleaseAnswers.
  void HoldAnswers() { hold_ = true; }
  void ReleaseAnswers() {
    hold_ = false;
    for (std::function<void()>& answer : std::exchange(held_, {})) executor_.Post(std::move(answer));
  }

  coord::ClusterView& view() { return view_; }
  Status refuse_with;  // unless ok, what proposals and barriers are answered with
  coord::RequestContext last_context;
  int proposals = 0;
  int barriers = 0;
  ReplicaId moved_to;
  std::vector<coord::MemberInfo> member_list;

 private:
  void Answer(std::function<void()> answer) {
    if (hold_) {
      held_.push_back(std::move(answer));
    } else {
      executor_.Post(std::move(answer));
    }
  }

  ManualExecutor& executor_;
  store::MemoryStorage storage_;
  store::MemoryEngine engine_;
  std::unique_ptr<coord::Machine> machine_;
  coord::ClusterView view_;
  std::vector<std::function<void()>> held_;
  bool hold_ = false;
};

}  // namespace quorate::frontend::etcd
