#include "coord/machine.h"

#include <limits>
#include <utility>
#include <variant>

#include "base/bug.h"
#include "base/check.h"
#include "coord/errors.h"
#include "coord/kv/kv_executor.h"
#include "coord/kv/range.h"
#include "coord/session/expiry.h"
#include "coord/snapshot.h"
#include "coord/state.h"
#include "coord/watch_hub.h"
#include "store/mvcc.h"

namespace quorate::coord {
namespace {

constexpr int kReadAttemptsMax = 100;
constexpr std::uint64_t kRetryNs = 100'000'000;      // after a read that failed
constexpr std::uint64_t kEntriesPerBalance = 1'024;  // between two looks at how large the index has become

Status OpenState(const MachineOptions& options, store::Engine& engine, std::unique_ptr<State>* out) {
  Result<std::unique_ptr<State>> state = State::Open(options, engine);
  if (state.ok()) *out = *std::move(state);
  return state.status();
}

class GroupMachine final : public Machine {
 public:
  GroupMachine(MachineOptions options, store::Engine& engine, std::unique_ptr<State> state)
      : options_(std::move(options)),
        engine_(engine),
        state_(std::move(state)),
        watches_(*state_->mvcc),
        applied_(engine.flushed()) {}

  bool Prepare(const consensus::Entry& entry, std::function<void()> ready) override;
  std::unique_ptr<replica::Outcome> Apply(const consensus::Entry& entry) override;
  LogIndex applied() const override { return applied_; }
  LogIndex flushed() const override { return state_->buffer->flushed(); }
  std::shared_ptr<replica::SnapshotSource> OpenSnapshot() override;
  std::unique_ptr<replica::SnapshotSink> BeginInstall(LogIndex last) override;
  void Stamp(std::string& command, std::uint64_t monotonic_ns, std::int64_t wall_ns) override {
    StampCommand(command, state_->cluster_time.Stamp(monotonic_ns), wall_ns, state_->cluster_time.stamps_as());
  }
  void OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns) override;
  std::uint64_t StateHash() const override { return state_->buffer->local().hash; }

  Revision revision() const override { return mvcc().revision(); }
  Revision compact_revision() const override { return mvcc().compact_revision(); }
  void ReadRange(const RangeRequest& request, std::function<void(Result<RangeResponse>)> done) override;
  void ReadTxn(const TxnRequest& request, std::function<void(Result<TxnResponse>)> done) override;
  void ReadHash(Revision at, std::function<void(Result<HashKv>)> done) override;
  Status CheckReadBytes(const CommandBody& body) const override;
  std::uint64_t ReadBytes(const CommandBody& body) const override;
  std::uint64_t ReadBytes(const RangeRequest& request) const override { return coord::ReadBytes(mvcc(), request); }
  Result<RangeResponse> Range(const RangeRequest& request) const override { return RangeWith(request, nullptr); }
  Result<TxnResponse> ReadTxn(const TxnRequest& request) const override { return ReadTxnWith(request, nullptr); }
  std::optional<LeaseInfo> Lease(std::int64_t id, bool with_keys) const override {
    return state_->sessions.Find(id, with_keys, state_->cluster_time.known());
  }
  std::vector<std::int64_t> Leases() const override { return state_->sessions.All(); }
  std::optional<std::uint64_t> LastSequence(SessionId session) const override {
    return state_->sessions.LastSequence(session);
  }
  Result<HashKv> Hash(Revision at) const override;
  std::vector<MemberInfo> members() const override { return state_->members.All(); }
  std::vector<ReplicaId> removed_members() const override { return state_->members.Removed(); }
  std::uint64_t member_changes() const override { return changes_before_ + state_->members.changes(); }
  std::vector<Alarm> alarms() const override { return state_->alarms.All(); }
  std::uint32_t feature_level() const override { return state_->level.now(); }
  std::uint64_t size_bytes() const override { return mvcc().size_bytes(); }
  std::uint64_t size_in_use_bytes() const override { return mvcc().size_in_use_bytes(); }
  WatchHub& watches() override { return watches_; }
  bool backlogged() const override { return backlog_bytes() > state_->buffer->options().backlog_bytes; }
  std::uint64_t backlog_bytes() const override { return state_->buffer->backlog_bytes(); }
  void FlushAll(std::function<void(Status)> done) override;
  MachineStats stats() const override;
  std::vector<Command> Due(std::uint64_t monotonic_ns) override;

 private:
  const store::Mvcc& mvcc() const { return *state_->mvcc; }
  store::Mvcc& mvcc() { return *state_->mvcc; }

  // What each kind of command does. They fill in body or status; the rest of the outcome is Apply's.
  void Execute(const PutRequest& put, CommandOutcome* outcome) { ExecuteKv(put, outcome); }
  void Execute(const DeleteRangeRequest& erase, CommandOutcome* outcome) { ExecuteKv(erase, outcome); }
  void Execute(const TxnRequest& txn, CommandOutcome* outcome) { ExecuteKv(txn, outcome); }
  void Execute(const CompactRequest& compact, CommandOutcome* outcome);
  void Execute(const LeaseGrantRequest& grant, CommandOutcome* outcome) {
    Settle(state_->sessions.Grant(grant, state_->cluster_time.applied()), outcome);
  }
  void Execute(const LeaseRevokeRequest& revoke, CommandOutcome* outcome);
  void Execute(const LeaseRenewRequest& renew, CommandOutcome* outcome) {
    outcome->body = state_->sessions.Renew(renew, state_->cluster_time.applied());
  }
  void Execute(const ExpireRequest& expire, CommandOutcome* outcome);
  void Execute(const OpenSessionRequest& open, CommandOutcome* outcome) {
    Settle(state_->sessions.Open(open, state_->cluster_time.applied()), outcome);
  }
  void Execute(const CloseSessionRequest& close, CommandOutcome* outcome);
  void Execute(const RenewSessionsRequest& renew, CommandOutcome* outcome) {
    outcome->body = state_->sessions.Renew(renew, state_->cluster_time.applied());
  }
  void Execute(const AdvanceTime&, CommandOutcome* outcome) { outcome->body = AdvanceTimeResponse{}; }
  void Execute(const PublishMember& member, CommandOutcome* outcome) {
    Settle(state_->members.Publish(member, state_->level.now()), outcome);
  }
  void Execute(const RaiseFeatureLevel& raise, CommandOutcome* outcome);
  void Execute(const AddMember& add, CommandOutcome* outcome) { Settle(state_->members.Execute(add), outcome); }
  void Execute(const RemoveMember& remove, CommandOutcome* outcome) {
    Settle(state_->members.Execute(remove), outcome);
  }
  void Execute(const UpdateMember& update, CommandOutcome* outcome) {
    Settle(state_->members.Execute(update), outcome);
  }
  void Execute(const PromoteMember& promote, CommandOutcome* outcome) {
    Settle(state_->members.Execute(promote), outcome);
  }
  void Execute(const ReplaceMember& replace, CommandOutcome* outcome) {
    Settle(state_->members.Execute(replace), outcome);
  }
  void Execute(const AlarmRequest& alarm, CommandOutcome* outcome) { outcome->body = state_->alarms.Execute(alarm); }

  template <class Request>
  void ExecuteKv(const Request& request, CommandOutcome* outcome) {
    const bool good = Settle(state_->kv.Execute(request), outcome);
    if (good || (QUORATE_BUG(coord_txn_partial_apply) && mvcc().wrote())) CommitKv();
  }
  template <class Response>
  static bool Settle(Result<Response> result, CommandOutcome* outcome) {
    if (!result.ok()) {
      outcome->status = result.status();
      return false;
    }
    outcome->body = std::move(result).value();
    return true;
  }
  void CommitKv();

  Result<RangeResponse> RangeWith(const RangeRequest& request, store::ReadSet* reads) const;
  Result<TxnResponse> ReadTxnWith(const TxnRequest& request, store::ReadSet* reads) const;
  store::ReadBudget Budget() const;
  Status TooLarge(store::ReadSet* reads) const;
  // Reads with `attempt` until nothing is missing.
  template <class Response>
  void Answer(std::function<Result<Response>(store::ReadSet*)> attempt, std::shared_ptr<store::ReadSet> reads,
              int attempts, std::function<void(Result<Response>)> done);
  void Need(const CommandBody& body, store::ReadSet* reads) const;
  void Flip(LogIndex last, std::function<void(Status)> done);
  void Replace(std::unique_ptr<State> state, LogIndex last);

  // The entry that comes next, once it was looked at.
  struct Prepared {
    LogIndex index;
    std::optional<Command> command;
    std::shared_ptr<store::ReadSet> reads;
    int attempts = 0;
  };

  const MachineOptions options_;
  store::Engine& engine_;
  std::unique_ptr<State> state_;
  AppliedWatchHub watches_;
  Expiry expiry_;
  Prepared prepared_;
  std::uint64_t changes_before_ = 0;  // of the member tables of earlier states
  LogIndex applied_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

// Only commands that answer with old values, compare them, or read ranges can need the disk. Entries are also held back
// here while too much waits for the disk: that bounds the memory of followers, whom nobody asks before proposing.
bool GroupMachine::Prepare(const consensus::Entry& entry, std::function<void()> ready) {
  CHECK(entry.index == applied_.Next()) << "entry " << entry.index.value << " is prepared after " << applied_.value;
  const std::uint64_t bound = state_->buffer->options().backlog_bytes;
  if (backlog_bytes() > bound + bound / 4) {
    state_->buffer->WhenBelow(bound, std::move(ready));
    return false;
  }
  if (entry.kind != consensus::EntryKind::kCommand) return true;
  if (prepared_.index != entry.index) {
    prepared_ = {entry.index, std::nullopt, nullptr, 0};
    Result<Command> command = DecodeCommand(entry.payload);
    if (!command.ok()) return true;  // Apply says what is wrong
    prepared_.command = *std::move(command);
  }
  store::ReadSet first;
  store::ReadSet* reads = prepared_.reads != nullptr ? prepared_.reads.get() : &first;
  Need(prepared_.command->body, reads);
  if (reads->missing.empty()) {
    mvcc().Pin(prepared_.reads);
    return true;
  }
  CHECK(++prepared_.attempts < kReadAttemptsMax)
      << "entry " << entry.index.value << " reads records that are not there";
  if (prepared_.reads == nullptr) prepared_.reads = std::make_shared<store::ReadSet>(std::move(first));
  mvcc().Load(prepared_.reads,
              [this, ready = std::move(ready), alive = std::weak_ptr<const bool>(alive_)](const Status& status) {
                if (alive.expired()) return;
                if (status.ok()) return ready();
                engine_.executor().After(kRetryNs, [ready, alive] {
                  if (!alive.expired()) ready();
                });
              });
  return false;
}

void GroupMachine::Need(const CommandBody& body, store::ReadSet* reads) const {
  if (const auto* put = std::get_if<PutRequest>(&body)) {
    state_->kv.Need(*put, reads);
  } else if (const auto* erase = std::get_if<DeleteRangeRequest>(&body)) {
    state_->kv.Need(*erase, reads);
  } else if (const auto* txn = std::get_if<TxnRequest>(&body)) {
    state_->kv.Need(*txn, reads);
  }
}

Status GroupMachine::CheckReadBytes(const CommandBody& body) const {
  if (const auto* put = std::get_if<PutRequest>(&body)) return coord::CheckReadBytes(mvcc(), *put);
  if (const auto* erase = std::get_if<DeleteRangeRequest>(&body)) return coord::CheckReadBytes(mvcc(), *erase);
  if (const auto* txn = std::get_if<TxnRequest>(&body)) return coord::CheckReadBytes(mvcc(), *txn);
  return {};
}

std::uint64_t GroupMachine::ReadBytes(const CommandBody& body) const {
  if (const auto* put = std::get_if<PutRequest>(&body)) return coord::ReadBytes(mvcc(), *put);
  if (const auto* erase = std::get_if<DeleteRangeRequest>(&body)) return coord::ReadBytes(mvcc(), *erase);
  if (const auto* txn = std::get_if<TxnRequest>(&body)) return coord::ReadBytes(mvcc(), *txn);
  return 0;
}

std::unique_ptr<replica::Outcome> GroupMachine::Apply(const consensus::Entry& entry) {
  CHECK(entry.index == applied_.Next()) << "entry " << entry.index.value << " after " << applied_.value;
  auto outcome = std::make_unique<CommandOutcome>();
  if (entry.kind == consensus::EntryKind::kCommand) {
    const bool prepared = prepared_.index == entry.index && prepared_.command;
    Result<Command> command = prepared ? Result<Command>(*std::move(prepared_.command)) : DecodeCommand(entry.payload);
    CHECK(command.ok()) << "entry " << entry.index.value << ": " << command.status().message()
                        << "; skipping it would make this member differ from the others";
    state_->cluster_time.Apply(command->envelope.cluster_time_ns, command->envelope.leader);
    outcome->status = state_->admission.AdmitCommand(*command);
    if (outcome->status.ok()) {
      std::visit([&](const auto& body) { Execute(body, outcome.get()); }, command->body);
    }
  }
  if (prepared_.reads != nullptr) mvcc().Pin(nullptr);
  prepared_ = {};
  applied_ = entry.index;
  state_->buffer->Commit(applied_);
  if (options_.memory_bytes != 0 && applied_.value % kEntriesPerBalance == 0) state_->Balance(options_.memory_bytes);
  outcome->revision = mvcc().revision();
  return outcome;
}

void GroupMachine::CommitKv() {
  std::vector<store::Event> events = mvcc().Commit();
  if (!events.empty()) watches_.OnApplied(mvcc().revision(), std::move(events));
}

void GroupMachine::Execute(const CompactRequest& compact, CommandOutcome* outcome) {
  if (compact.revision == 0 && mvcc().compact_revision() == 0) {
    outcome->body = CompactResponse{};  // as etcd: nothing was compacted yet, and nothing is
  } else if (compact.revision <= mvcc().compact_revision()) {
    outcome->status = errors::Compacted();
  } else if (compact.revision > mvcc().revision()) {
    outcome->status = errors::FutureRevision();
  } else {
    mvcc().Compact(compact.revision);
    outcome->body = CompactResponse{};
  }
}

void GroupMachine::Execute(const LeaseRevokeRequest& revoke, CommandOutcome* outcome) {
  mvcc().Begin();
  Settle(state_->sessions.Revoke(revoke), outcome);
  CommitKv();
}

void GroupMachine::Execute(const CloseSessionRequest& close, CommandOutcome* outcome) {
  mvcc().Begin();
  Settle(state_->sessions.Close(close), outcome);
  CommitKv();
}

void GroupMachine::Execute(const ExpireRequest& expire, CommandOutcome* outcome) {
  mvcc().Begin();
  outcome->body = state_->sessions.Expire(expire, state_->cluster_time.applied());
  CommitKv();
}

void GroupMachine::Execute(const RaiseFeatureLevel& raise, CommandOutcome* outcome) {
  FeatureLevel& level = state_->level;
  const bool first = level.now() < 2 && raise.level >= 2;
  level.Raise(raise.level);
  if (first || (level.now() >= 2 && state_->members.empty())) state_->members.Enter(raise.members);
  outcome->body = RaiseFeatureLevelResponse{level.now()};
}

void GroupMachine::OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns) {
  const bool led = state_->cluster_time.leads();
  state_->cluster_time.OnLeadership(leadership, monotonic_ns);
  if (!led) expiry_.Reset();
}

// Idle time is logged only while it matters to somebody: without it, a new leader would start from the last write and
// every lease would live longer by the whole idle time.
std::vector<Command> GroupMachine::Due(std::uint64_t monotonic_ns) {
  if (!state_->cluster_time.leads() || state_->sessions.empty()) return {};
  std::vector<Command> due = expiry_.Due(state_->sessions, state_->cluster_time.Project(monotonic_ns), monotonic_ns);
  if (due.empty() && monotonic_ns >= state_->cluster_time.last_stamp_monotonic_ns() + options_.time_interval_ns) {
    due.push_back({Envelope{}, AdvanceTime{}});
  }
  return due;
}

Result<RangeResponse> GroupMachine::RangeWith(const RangeRequest& request, store::ReadSet* reads) const {
  RETURN_IF_ERROR(state_->admission.AdmitRead(request.key, request.end));
  RETURN_IF_ERROR(CheckRange(request));
  if (request.revision > 0) RETURN_IF_ERROR(CheckRevision(mvcc(), request.revision));
  store::ReadBudget budget = Budget();
  RangeResponse response = ExecuteRange(mvcc(), request, reads, &budget);
  if (budget.exceeded) return TooLarge(reads);
  return response;
}

store::ReadBudget GroupMachine::Budget() const {
  const std::uint64_t most = options_.answer_bytes_max;
  return {most == 0 ? std::numeric_limits<std::uint64_t>::max() : most};
}

// Nothing is loaded for an answer that is not given.
Status GroupMachine::TooLarge(store::ReadSet* reads) const {
  if (reads != nullptr) reads->missing.clear();
  return errors::AnswerTooLarge(options_.answer_bytes_max);
}

Result<TxnResponse> GroupMachine::ReadTxnWith(const TxnRequest& request, store::ReadSet* reads) const {
  CHECK(IsReadOnly(request)) << "a transaction that writes goes through the log";
  RETURN_IF_ERROR(CheckTxn(request, std::numeric_limits<std::size_t>::max()));
  for (const Compare& compare : request.compares)
    RETURN_IF_ERROR(state_->admission.AdmitRead(compare.key, compare.end));
  for (const auto* branch : {&request.success, &request.failure}) {
    for (const RequestOp& op : *branch) {
      const auto& range = std::get<RangeRequest>(op);
      RETURN_IF_ERROR(state_->admission.AdmitRead(range.key, range.end));
    }
  }
  store::ReadBudget budget = Budget();
  Result<TxnResponse> response = ExecuteReadTxn(mvcc(), request, reads, &budget);
  if (budget.exceeded) return TooLarge(reads);
  return response;
}

Result<HashKv> GroupMachine::Hash(Revision at) const {
  if (at > 0) RETURN_IF_ERROR(CheckRevision(mvcc(), at));
  const Revision revision = at > 0 ? at : mvcc().revision();
  return HashKv{mvcc().Hash(revision), mvcc().compact_revision(), revision};
}

template <class Response>
void GroupMachine::Answer(std::function<Result<Response>(store::ReadSet*)> attempt,
                          std::shared_ptr<store::ReadSet> reads, int attempts,
                          std::function<void(Result<Response>)> done) {
  mvcc().Load(reads, [this, attempt = std::move(attempt), reads, attempts, done = std::move(done),
                      alive = std::weak_ptr<const bool>(alive_)](const Status& status) mutable {
    if (!status.ok()) return done(status);
    if (alive.expired()) return done(Status::Unavailable("the server is stopping"));
    Result<Response> response = attempt(reads.get());
    if (!response.ok() || reads->missing.empty()) return done(std::move(response));
    if (attempts == kReadAttemptsMax)
      return done(Status::DataLoss("the index names records that the disk does not hold"));
    Answer<Response>(std::move(attempt), std::move(reads), attempts + 1, std::move(done));
  });
}

void GroupMachine::ReadRange(const RangeRequest& request, std::function<void(Result<RangeResponse>)> done) {
  store::ReadSet reads;
  Result<RangeResponse> response = RangeWith(request, &reads);
  if (reads.missing.empty()) return done(std::move(response));
  Answer<RangeResponse>([this, request](store::ReadSet* set) { return RangeWith(request, set); },
                        std::make_shared<store::ReadSet>(std::move(reads)), 1, std::move(done));
}

void GroupMachine::ReadTxn(const TxnRequest& request, std::function<void(Result<TxnResponse>)> done) {
  store::ReadSet reads;
  Result<TxnResponse> response = ReadTxnWith(request, &reads);
  if (reads.missing.empty()) return done(std::move(response));
  Answer<TxnResponse>([this, request](store::ReadSet* set) { return ReadTxnWith(request, set); },
                      std::make_shared<store::ReadSet>(std::move(reads)), 1, std::move(done));
}

void GroupMachine::ReadHash(Revision at, std::function<void(Result<HashKv>)> done) {
  if (at > 0) {
    if (const Status readable = CheckRevision(mvcc(), at); !readable.ok()) return done(readable);
  }
  const Revision revision = at > 0 ? at : mvcc().revision();
  mvcc().StartHash(revision, [revision, done = std::move(done)](Result<std::optional<store::Mvcc::Hashed>> hashed) {
    if (!hashed.ok()) return done(hashed.status());
    if (!hashed->has_value()) return done(errors::Compacted());
    done(HashKv{(*hashed)->hash, (*hashed)->compact_revision, revision});
  });
}

void GroupMachine::FlushAll(std::function<void(Status)> done) {
  if (!state_->buffer->stopped()) return state_->buffer->Flush(std::move(done));
  engine_.executor().Post([done = std::move(done)] { done(Status::Unavailable("a snapshot is being installed")); });
}

MachineStats GroupMachine::stats() const {
  return {mvcc().stats(), engine_.stats(), backlog_bytes(), state_->buffer->bytes(), state_->cache_capacity};
}

std::shared_ptr<replica::SnapshotSource> GroupMachine::OpenSnapshot() {
  return std::make_shared<ImageSource>(engine_, state_->buffer->Pin(), revision(), size_bytes());
}

std::unique_ptr<replica::SnapshotSink> GroupMachine::BeginInstall(LogIndex last) {
  return std::make_unique<InstallSink>(*state_->buffer, last, [this, last](auto done) { Flip(last, std::move(done)); });
}

// The index of a large state takes seconds to build, and this thread has peers and clients to answer. Meanwhile the old
// state answers those who read without asking anybody, from what it has in memory.
void GroupMachine::Flip(LogIndex last, std::function<void(Status)> done) {
  mvcc().Retire();
  auto opened = std::make_shared<std::unique_ptr<State>>();
  engine_.Apart(
      [options = options_, &engine = engine_, opened] { return OpenState(options, engine, opened.get()); },
      [this, last, opened, done = std::move(done), alive = std::weak_ptr<const bool>(alive_)](const Status& status) {
        if (alive.expired()) return;
        if (status.ok()) Replace(std::move(*opened), last);
        done(status);
      });
}

void GroupMachine::Replace(std::unique_ptr<State> state, LogIndex last) {
  CHECK(engine_.flushed() == last) << "the snapshot covers " << last.value << ", installed was "
                                   << engine_.flushed().value;
  watches_.Rebase(*state->mvcc);
  changes_before_ += state_->members.changes() + 1;
  state->cluster_time.GoOnAs(state_->cluster_time);
  state_ = std::move(state);
  state_->mvcc->Start();
  prepared_ = {};
  applied_ = last;
}

}  // namespace

Result<std::unique_ptr<Machine>> Machine::Open(MachineOptions options, store::Engine& engine) {
  Result<std::unique_ptr<State>> state = State::Open(options, engine);
  if (!state.ok()) return state.status();
  (*state)->mvcc->Start();
  return std::unique_ptr<Machine>(std::make_unique<GroupMachine>(std::move(options), engine, *std::move(state)));
}

void Machine::OpenApart(MachineOptions options, store::Engine& engine,
                        std::function<void(Result<std::unique_ptr<Machine>>)> done) {
  auto state = std::make_shared<std::unique_ptr<State>>();
  engine.Apart([options, &engine, state] { return OpenState(options, engine, state.get()); },
               [options, &engine, state, done = std::move(done)](const Status& status) {
                 if (!status.ok()) return done(status);
                 (*state)->mvcc->Start();
                 done(std::unique_ptr<Machine>(std::make_unique<GroupMachine>(options, engine, std::move(*state))));
               });
}

std::unique_ptr<Machine> Machine::Make(MachineOptions options, store::Engine& engine) {
  Result<std::unique_ptr<Machine>> machine = Open(std::move(options), engine);
  CHECK(machine.ok()) << machine.status().message();
  return *std::move(machine);
}

}  // namespace quorate::coord
