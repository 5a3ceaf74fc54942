#include "coord/machine.h"

#include <limits>
#include <utility>
#include <variant>

#include "base/bug.h"
#include "base/check.h"
#include "coord/admission.h"
#include "coord/cluster/alarms.h"
#include "coord/cluster/feature_level.h"
#include "coord/cluster/members.h"
#include "coord/errors.h"
#include "coord/kv/kv_executor.h"
#include "coord/kv/range.h"
#include "coord/session/expiry.h"
#include "coord/session/sessions.h"
#include "coord/tables.h"
#include "coord/time/cluster_time.h"
#include "coord/watch_hub.h"
#include "store/mvcc.h"

namespace quorate::coord {
namespace {

class GroupMachine final : public Machine {
 public:
  GroupMachine(MachineOptions options, store::Engine& engine)
      : options_(options),
        tables_(engine),
        mvcc_(store::Mvcc::Open(engine)),
        time_(tables_),
        sessions_(tables_, *mvcc_, options.min_lease_ttl),
        members_(tables_),
        alarms_(tables_),
        level_(tables_, options.feature_level_max),
        kv_(*mvcc_, sessions_),
        watches_(*mvcc_),
        admission_(alarms_, level_),
        applied_(engine.applied()) {}

  std::unique_ptr<replica::Outcome> Apply(const consensus::Entry& entry) override;
  LogIndex applied() const override { return applied_; }
  bool Prepare(const consensus::Entry&, std::function<void()>) override { return true; }
  LogIndex flushed() const override { return tables_.engine().flushed(); }
  std::shared_ptr<replica::SnapshotSource> OpenSnapshot() override { return nullptr; }
  std::unique_ptr<replica::SnapshotSink> BeginInstall(LogIndex) override { return nullptr; }
  void Stamp(std::string& command, std::uint64_t monotonic_ns, std::int64_t wall_ns) override {
    StampCommand(command, time_.Stamp(monotonic_ns), wall_ns);
  }
  void OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns) override;
  std::uint64_t StateHash() const override { return tables_.hash(); }

  Revision revision() const override { return mvcc_->revision(); }
  Revision compact_revision() const override { return mvcc_->compact_revision(); }
  Result<RangeResponse> Range(const RangeRequest& request) const override;
  Result<TxnResponse> ReadTxn(const TxnRequest& request) const override;
  std::optional<LeaseInfo> Lease(std::int64_t id, bool with_keys) const override {
    return sessions_.Find(id, with_keys, time_.known());
  }
  std::vector<std::int64_t> Leases() const override { return sessions_.All(); }
  Result<HashKv> Hash(Revision at) const override;
  std::vector<MemberInfo> members() const override { return members_.All(); }
  std::vector<ReplicaId> removed_members() const override { return members_.Removed(); }
  std::uint64_t member_changes() const override { return members_.changes(); }
  std::vector<Alarm> alarms() const override { return alarms_.All(); }
  std::uint32_t feature_level() const override { return level_.now(); }
  std::uint64_t size_bytes() const override { return mvcc_->size_bytes(); }
  std::uint64_t size_in_use_bytes() const override { return mvcc_->size_in_use_bytes(); }
  WatchHub& watches() override { return watches_; }
  std::vector<Command> Due(std::uint64_t monotonic_ns) override;

 private:
  // What each kind of command does. They fill in body or status; the rest of the outcome is Apply's.
  void Execute(const PutRequest& put, CommandOutcome* outcome) { ExecuteKv(put, outcome); }
  void Execute(const DeleteRangeRequest& erase, CommandOutcome* outcome) { ExecuteKv(erase, outcome); }
  void Execute(const TxnRequest& txn, CommandOutcome* outcome) { ExecuteKv(txn, outcome); }
  void Execute(const CompactRequest& compact, CommandOutcome* outcome);
  void Execute(const LeaseGrantRequest& grant, CommandOutcome* outcome) {
    Settle(sessions_.Grant(grant, time_.applied()), outcome);
  }
  void Execute(const LeaseRevokeRequest& revoke, CommandOutcome* outcome);
  void Execute(const LeaseRenewRequest& renew, CommandOutcome* outcome) {
    outcome->body = sessions_.Renew(renew, time_.applied());
  }
  void Execute(const ExpireRequest& expire, CommandOutcome* outcome);
  void Execute(const AdvanceTime&, CommandOutcome* outcome) { outcome->body = AdvanceTimeResponse{}; }
  void Execute(const PublishMember& member, CommandOutcome* outcome) {
    Settle(members_.Publish(member, level_.now()), outcome);
  }
  void Execute(const RaiseFeatureLevel& raise, CommandOutcome* outcome);
  void Execute(const AddMember& add, CommandOutcome* outcome) { Settle(members_.Execute(add), outcome); }
  void Execute(const RemoveMember& remove, CommandOutcome* outcome) { Settle(members_.Execute(remove), outcome); }
  void Execute(const UpdateMember& update, CommandOutcome* outcome) { Settle(members_.Execute(update), outcome); }
  void Execute(const PromoteMember& promote, CommandOutcome* outcome) { Settle(members_.Execute(promote), outcome); }
  void Execute(const ReplaceMember& replace, CommandOutcome* outcome) { Settle(members_.Execute(replace), outcome); }
  void Execute(const AlarmRequest& alarm, CommandOutcome* outcome) { outcome->body = alarms_.Execute(alarm); }

  template <class Request>
  void ExecuteKv(const Request& request, CommandOutcome* outcome) {
    const bool good = Settle(kv_.Execute(request), outcome);
    if (good || (QUORATE_BUG(coord_txn_partial_apply) && mvcc_->wrote())) CommitKv();
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

  const MachineOptions options_;
  Tables tables_;
  std::unique_ptr<store::Mvcc> mvcc_;
  ClusterTime time_;
  Sessions sessions_;
  Members members_;
  Alarms alarms_;
  FeatureLevel level_;
  KvExecutor kv_;
  AppliedWatchHub watches_;
  Admission admission_;
  Expiry expiry_;
  LogIndex applied_;
};

std::unique_ptr<replica::Outcome> GroupMachine::Apply(const consensus::Entry& entry) {
  CHECK(entry.index == applied_.Next()) << "entry " << entry.index.value << " after " << applied_.value;
  auto outcome = std::make_unique<CommandOutcome>();
  if (entry.kind == consensus::EntryKind::kCommand) {
    Result<Command> command = DecodeCommand(entry.payload);
    CHECK(command.ok()) << "entry " << entry.index.value << ": " << command.status().message()
                        << "; skipping it would make this member differ from the others";
    time_.Apply(command->envelope.cluster_time_ns);
    outcome->status = admission_.AdmitCommand(*command);
    if (outcome->status.ok()) {
      std::visit([&](const auto& body) { Execute(body, outcome.get()); }, command->body);
    }
  }
  applied_ = entry.index;
  tables_.Commit(applied_);
  outcome->revision = mvcc_->revision();
  return outcome;
}

void GroupMachine::CommitKv() {
  std::vector<store::Event> events = mvcc_->Commit(tables_.mvcc_writes());
  if (!events.empty()) watches_.OnApplied(mvcc_->revision(), std::move(events));
}

void GroupMachine::Execute(const CompactRequest& compact, CommandOutcome* outcome) {
  if (compact.revision == 0 && mvcc_->compact_revision() == 0) {
    outcome->body = CompactResponse{};  // as etcd: nothing was compacted yet, and nothing is
  } else if (compact.revision <= mvcc_->compact_revision()) {
    outcome->status = errors::Compacted();
  } else if (compact.revision > mvcc_->revision()) {
    outcome->status = errors::FutureRevision();
  } else {
    mvcc_->Compact(compact.revision, tables_.mvcc_writes());
    outcome->body = CompactResponse{};
  }
}

void GroupMachine::Execute(const LeaseRevokeRequest& revoke, CommandOutcome* outcome) {
  mvcc_->Begin();
  Settle(sessions_.Revoke(revoke), outcome);
  CommitKv();
}

void GroupMachine::Execute(const ExpireRequest& expire, CommandOutcome* outcome) {
  mvcc_->Begin();
  outcome->body = sessions_.Expire(expire, time_.applied());
  CommitKv();
}

void GroupMachine::Execute(const RaiseFeatureLevel& raise, CommandOutcome* outcome) {
  const bool first = level_.now() < 2 && raise.level >= 2;
  level_.Raise(raise.level);
  if (first || (level_.now() >= 2 && members_.empty())) members_.Enter(raise.members);
  outcome->body = RaiseFeatureLevelResponse{level_.now()};
}

void GroupMachine::OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns) {
  const bool led = time_.leads();
  time_.OnLeadership(leadership.role == consensus::Role::kLeader, monotonic_ns);
  if (!led) expiry_.Reset();
}

// Idle time is logged only while it matters to somebody: without it, a new leader would start from the last write and
// every lease would live longer by the whole idle time.
std::vector<Command> GroupMachine::Due(std::uint64_t monotonic_ns) {
  if (!time_.leads() || sessions_.empty()) return {};
  std::vector<Command> due = expiry_.Due(sessions_, time_.Project(monotonic_ns), monotonic_ns);
  if (due.empty() && monotonic_ns >= time_.last_stamp_monotonic_ns() + options_.time_interval_ns) {
    due.push_back({Envelope{}, AdvanceTime{}});
  }
  return due;
}

Result<RangeResponse> GroupMachine::Range(const RangeRequest& request) const {
  RETURN_IF_ERROR(admission_.AdmitRead(request.key, request.end));
  RETURN_IF_ERROR(CheckRange(request));
  if (request.revision > 0) RETURN_IF_ERROR(CheckRevision(*mvcc_, request.revision));
  return ExecuteRange(*mvcc_, request);
}

Result<TxnResponse> GroupMachine::ReadTxn(const TxnRequest& request) const {
  CHECK(IsReadOnly(request)) << "a transaction that writes goes through the log";
  RETURN_IF_ERROR(CheckTxn(request, std::numeric_limits<std::size_t>::max()));
  for (const Compare& compare : request.compares) RETURN_IF_ERROR(admission_.AdmitRead(compare.key, compare.end));
  for (const auto* branch : {&request.success, &request.failure}) {
    for (const RequestOp& op : *branch) {
      const auto& range = std::get<RangeRequest>(op);
      RETURN_IF_ERROR(admission_.AdmitRead(range.key, range.end));
    }
  }
  return ExecuteReadTxn(*mvcc_, request);
}

Result<HashKv> GroupMachine::Hash(Revision at) const {
  if (at > 0) RETURN_IF_ERROR(CheckRevision(*mvcc_, at));
  const Revision revision = at > 0 ? at : mvcc_->revision();
  return HashKv{mvcc_->Hash(revision), mvcc_->compact_revision(), revision};
}

}  // namespace

std::unique_ptr<Machine> Machine::Make(MachineOptions options, store::Engine& engine) {
  return std::make_unique<GroupMachine>(options, engine);
}

}  // namespace quorate::coord
