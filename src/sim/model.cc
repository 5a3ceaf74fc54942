#include "sim/model.h"

#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>
#include <variant>

namespace quorate::sim {
namespace {

using coord::Compare;
using NestedTxn = std::shared_ptr<const coord::TxnRequest>;

constexpr std::int64_t kMinLeaseTtl = 2;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNsPerMs = 1'000'000;

coord::CommandOutcome Refused(StatusCode code) {
  coord::CommandOutcome outcome;
  outcome.status = Status(code, "");
  return outcome;
}
template <class Response>
coord::CommandOutcome Good(Response response) {
  coord::CommandOutcome outcome;
  outcome.body = std::move(response);
  return outcome;
}

template <class T>
bool Related(Compare::Result result, const T& a, const T& b) {
  switch (result) {
    case Compare::Result::kEqual:
      return a == b;
    case Compare::Result::kNotEqual:
      return a != b;
    case Compare::Result::kGreater:
      return a > b;
    case Compare::Result::kLess:
      return a < b;
  }
  return false;
}

bool HoldsFor(const Compare& compare, const store::KeyValue& kv) {
  switch (compare.target) {
    case Compare::Target::kVersion:
      return Related(compare.result, kv.version, compare.number);
    case Compare::Target::kCreate:
      return Related(compare.result, kv.create_revision, compare.number);
    case Compare::Target::kMod:
      return Related(compare.result, kv.mod_revision, compare.number);
    case Compare::Target::kLease:
      return Related(compare.result, kv.lease, compare.number);
    case Compare::Target::kValue:
      return Related(compare.result, kv.value.ToString(), compare.value);
  }
  return false;
}

const std::vector<coord::RequestOp>& Branch(const coord::TxnRequest& txn, bool succeeded) {
  return succeeded ? txn.success : txn.failure;
}

}  // namespace

coord::CommandOutcome Model::Execute(const coord::Command& command) {
  // What a former leader stamped says nothing behind a later one.
  if (command.envelope.leader >= newest_leader_) {
    newest_leader_ = command.envelope.leader;
    time_ns_ = std::max(time_ns_, command.envelope.cluster_time_ns);
  }
  coord::CommandOutcome outcome;
  outcome.status = TakeTurn(command.envelope);
  if (outcome.status.ok()) outcome = std::visit([this](const auto& body) { return Run(body); }, command.body);
  if (events_.contains(revision_ + 1)) ++revision_;
  outcome.revision = revision_;
  return outcome;
}

std::optional<store::KeyValue> Model::At(const std::string& key, Revision revision) const {
  const auto found = versions_.find(key);
  if (found == versions_.end()) return std::nullopt;
  for (auto kv = found->second.rbegin(); kv != found->second.rend(); ++kv) {
    if (kv->mod_revision > revision) continue;
    if (kv->version == 0) return std::nullopt;
    return *kv;
  }
  return std::nullopt;
}

std::vector<std::string> Model::KeysIn(const std::string& key, const std::string& end) const {
  if (end.empty()) return {key};
  const bool open = end == std::string(1, '\0');
  std::vector<std::string> keys;
  for (auto it = versions_.lower_bound(key); it != versions_.end() && (open || it->first < end); ++it) {
    keys.push_back(it->first);
  }
  return keys;
}

coord::RangeResponse Model::Range(const coord::RangeRequest& request) const {
  const Revision at = request.revision > 0 ? request.revision : revision_ + 1;
  coord::RangeResponse response;
  for (const std::string& key : KeysIn(request.key, request.end)) {
    std::optional<store::KeyValue> kv = At(key, at);
    if (!kv) continue;
    ++response.count;
    if (request.count_only) continue;
    if (request.limit > 0 && response.kvs.size() == static_cast<std::size_t>(request.limit)) {
      response.more = true;
      continue;
    }
    if (request.keys_only) kv->value = Bytes();
    response.kvs.push_back(*std::move(kv));
  }
  return response;
}

const std::vector<store::Event>& Model::EventsOf(Revision revision) const {
  static const std::vector<store::Event> none;
  const auto found = events_.find(revision);
  return found == events_.end() ? none : found->second;
}

void Model::Write(store::KeyValue kv, store::Event::Type type) {
  kv.mod_revision = revision_ + 1;
  events_[revision_ + 1].push_back({type, kv});
  versions_[kv.key.ToString()].push_back(std::move(kv));
}

void Model::Erase(const std::string& key) {
  const std::optional<store::KeyValue> before = Latest(key);
  if (before->lease != 0) leases_.at(before->lease).keys.erase(key);
  store::KeyValue tombstone;
  tombstone.key = Bytes::Copy(key);
  Write(std::move(tombstone), store::Event::Type::kDelete);
}

// ---- the commands

coord::CommandOutcome Model::Run(const coord::PutRequest& put) {
  const Status valid = Validate(put);
  return valid.ok() ? Good(Perform(put)) : Refused(valid.code());
}

coord::CommandOutcome Model::Run(const coord::DeleteRangeRequest& erase) {
  return Good(Perform(erase));
}

coord::CommandOutcome Model::Run(const coord::TxnRequest& txn) {
  Path path;
  Choose(txn, &path);
  std::size_t at = 0;
  if (const Status valid = Validate(txn, path, &at); !valid.ok()) return Refused(valid.code());
  at = 0;
  return Good(Perform(txn, path, &at));
}

coord::CommandOutcome Model::Run(const coord::CompactRequest& compact) {
  if (compact.revision == 0 && compacted_ == 0) return Good(coord::CompactResponse{});  // as etcd answers it
  if (compact.revision <= compacted_ || compact.revision > revision_) return Refused(StatusCode::kOutOfRange);
  compacted_ = compact.revision;
  return Good(coord::CompactResponse{});
}

coord::CommandOutcome Model::Run(const coord::LeaseGrantRequest& grant) {
  if (leases_.contains(grant.id)) return Refused(StatusCode::kFailedPrecondition);
  Lease& lease = leases_[grant.id];
  lease.ttl = std::max(grant.ttl, kMinLeaseTtl);
  lease.deadline_ns = time_ns_ + static_cast<std::uint64_t>(lease.ttl) * kNsPerSecond;
  return Good(coord::LeaseGrantResponse{grant.id, lease.ttl});
}

coord::CommandOutcome Model::Run(const coord::LeaseRevokeRequest& revoke) {
  if (FindLease(revoke.id) == nullptr) return Refused(StatusCode::kNotFound);
  End(revoke.id);
  return Good(coord::LeaseRevokeResponse{});
}

coord::CommandOutcome Model::Run(const coord::LeaseRenewRequest& renew) {
  Lease* lease = FindLease(renew.id);
  if (lease == nullptr) return Good(coord::LeaseRenewResponse{0});
  lease->deadline_ns = time_ns_ + static_cast<std::uint64_t>(lease->ttl) * kNsPerSecond;
  return Good(coord::LeaseRenewResponse{lease->ttl});
}

// ---- native sessions

Model::Lease* Model::FindLease(std::int64_t id) {
  const auto found = leases_.find(id);
  return found == leases_.end() || found->second.ttl_ms != 0 ? nullptr : &found->second;
}

Model::Lease* Model::FindSession(SessionId id) {
  const auto found = leases_.find(static_cast<std::int64_t>(id.value));
  return found == leases_.end() || found->second.ttl_ms == 0 ? nullptr : &found->second;
}

Status Model::TakeTurn(const coord::Envelope& envelope) {
  if (!envelope.session) return {};
  Lease* session = FindSession(envelope.session);
  if (session == nullptr) return Status::NotFound("");
  if (session->last_sequence + 1 != envelope.sequence) return Status::FailedPrecondition("");
  ++session->last_sequence;
  return {};
}

coord::CommandOutcome Model::Run(const coord::OpenSessionRequest& open) {
  const auto id = static_cast<std::int64_t>(open.id.value);
  if (!KnowsSessions() || leases_.contains(id)) return Refused(StatusCode::kFailedPrecondition);
  Lease& session = leases_[id];
  session.ttl_ms = open.ttl_ms;
  session.deadline_ns = time_ns_ + open.ttl_ms * kNsPerMs;
  return Good(coord::OpenSessionResponse{});
}

coord::CommandOutcome Model::Run(const coord::CloseSessionRequest& close) {
  if (!KnowsSessions()) return Refused(StatusCode::kFailedPrecondition);
  if (FindSession(close.id) == nullptr) return Refused(StatusCode::kNotFound);
  End(static_cast<std::int64_t>(close.id.value));
  return Good(coord::CloseSessionResponse{});
}

coord::CommandOutcome Model::Run(const coord::RenewSessionsRequest& renew) {
  if (!KnowsSessions()) return Refused(StatusCode::kFailedPrecondition);
  coord::RenewSessionsResponse response;
  for (const SessionId id : renew.ids) {
    Lease* session = FindSession(id);
    if (session == nullptr) continue;
    session->deadline_ns = time_ns_ + session->ttl_ms * kNsPerMs;
    response.alive.push_back(id);
  }
  return Good(std::move(response));
}

// All that one command ends takes one revision, its keys in byte order.
coord::CommandOutcome Model::Run(const coord::ExpireRequest& expire) {
  std::set<std::string> keys;
  std::set<std::int64_t> over;
  for (const std::int64_t id : expire.leases) {
    const auto found = leases_.find(id);
    if (found == leases_.end() || found->second.deadline_ns > time_ns_) continue;
    over.insert(id);
    keys.insert(found->second.keys.begin(), found->second.keys.end());
  }
  for (const std::string& key : keys) Erase(key);
  for (const std::int64_t id : over) leases_.erase(id);
  return Good(coord::ExpireResponse{});
}

coord::CommandOutcome Model::Run(const coord::AdvanceTime&) {
  return Good(coord::AdvanceTimeResponse{});
}
coord::CommandOutcome Model::Run(const coord::PublishMember&) {
  return Good(coord::PublishMemberResponse{});
}
coord::CommandOutcome Model::Run(const coord::RaiseFeatureLevel& raise) {
  level_ = std::max(level_, raise.level);
  return Good(coord::RaiseFeatureLevelResponse{raise.level});
}
coord::CommandOutcome Model::Run(const coord::AddMember&) {
  return Good(coord::MembersResponse{});
}
coord::CommandOutcome Model::Run(const coord::RemoveMember&) {
  return Good(coord::MembersResponse{});
}
coord::CommandOutcome Model::Run(const coord::UpdateMember&) {
  return Good(coord::MembersResponse{});
}
coord::CommandOutcome Model::Run(const coord::PromoteMember&) {
  return Good(coord::MembersResponse{});
}
coord::CommandOutcome Model::Run(const coord::ReplaceMember&) {
  return Good(coord::MembersResponse{});
}
coord::CommandOutcome Model::Run(const coord::AlarmRequest&) {
  return Good(coord::AlarmResponse{});
}

void Model::End(std::int64_t lease) {
  const std::set<std::string> keys = leases_.at(lease).keys;
  for (const std::string& key : keys) Erase(key);
  leases_.erase(lease);
}

// ---- transactions: all compares first, then all that could be refused, then the operations in order

bool Model::Holds(const Compare& compare) const {
  std::vector<store::KeyValue> present;
  for (const std::string& key : KeysIn(compare.key, compare.end)) {
    if (std::optional<store::KeyValue> kv = Latest(key)) present.push_back(*std::move(kv));
  }
  if (present.empty()) return compare.target != Compare::Target::kValue && HoldsFor(compare, store::KeyValue{});
  return std::all_of(present.begin(), present.end(), [&](const auto& kv) { return HoldsFor(compare, kv); });
}

void Model::Choose(const coord::TxnRequest& txn, Path* path) const {
  const bool succeeded =
      std::all_of(txn.compares.begin(), txn.compares.end(), [this](const Compare& compare) { return Holds(compare); });
  path->push_back(succeeded);
  for (const coord::RequestOp& op : Branch(txn, succeeded)) {
    if (const auto* nested = std::get_if<NestedTxn>(&op)) Choose(**nested, path);
  }
}

Status Model::ValidateRevision(Revision revision) const {
  const bool bad = revision != 0 && (revision > revision_ || revision < compacted_ || revision < 0);
  return bad ? Status::OutOfRange("") : Status();
}

Status Model::Validate(const coord::PutRequest& put) const {
  return put.lease != 0 && !leases_.contains(put.lease) ? Status::NotFound("") : Status();
}

Status Model::Validate(const coord::TxnRequest& txn, const Path& path, std::size_t* at) const {
  for (const coord::RequestOp& op : Branch(txn, path[(*at)++])) {
    if (const auto* range = std::get_if<coord::RangeRequest>(&op)) RETURN_IF_ERROR(ValidateRevision(range->revision));
    if (const auto* put = std::get_if<coord::PutRequest>(&op)) RETURN_IF_ERROR(Validate(*put));
    if (const auto* nested = std::get_if<NestedTxn>(&op)) RETURN_IF_ERROR(Validate(**nested, path, at));
  }
  return {};
}

coord::TxnResponse Model::Perform(const coord::TxnRequest& txn, const Path& path, std::size_t* at) {
  coord::TxnResponse response;
  response.succeeded = path[(*at)++];
  for (const coord::RequestOp& op : Branch(txn, response.succeeded)) {
    if (const auto* range = std::get_if<coord::RangeRequest>(&op)) {
      response.responses.emplace_back(Range(*range));
    } else if (const auto* put = std::get_if<coord::PutRequest>(&op)) {
      response.responses.emplace_back(Perform(*put));
    } else if (const auto* erase = std::get_if<coord::DeleteRangeRequest>(&op)) {
      response.responses.emplace_back(Perform(*erase));
    } else {
      const coord::TxnRequest& nested = *std::get<NestedTxn>(op);
      response.responses.emplace_back(std::make_shared<const coord::TxnResponse>(Perform(nested, path, at)));
    }
  }
  return response;
}

coord::PutResponse Model::Perform(const coord::PutRequest& put) {
  const std::optional<store::KeyValue> before = Latest(put.key);
  if (before && before->lease != 0) leases_.at(before->lease).keys.erase(put.key);
  if (put.lease != 0) leases_.at(put.lease).keys.insert(put.key);
  store::KeyValue kv;
  kv.key = Bytes::Copy(put.key);
  kv.value = put.value;
  kv.create_revision = before ? before->create_revision : revision_ + 1;
  kv.version = before ? before->version + 1 : 1;
  kv.lease = put.lease;
  Write(std::move(kv), store::Event::Type::kPut);
  coord::PutResponse response;
  if (put.prev_kv) response.prev_kv = before;
  return response;
}

coord::DeleteRangeResponse Model::Perform(const coord::DeleteRangeRequest& erase) {
  coord::DeleteRangeResponse response;
  for (const std::string& key : KeysIn(erase.key, erase.end)) {
    const std::optional<store::KeyValue> before = Latest(key);
    if (!before) continue;
    ++response.deleted;
    if (erase.prev_kv) response.prev_kvs.push_back(*before);
    Erase(key);
  }
  return response;
}

// ---- digests

namespace {

struct BodyPrinter {
  std::ostream& out;
  void operator()(std::monostate) const { out << "nothing"; }
  void operator()(const coord::PutResponse& put) const { out << "put " << (put.prev_kv ? Digest(*put.prev_kv) : "-"); }
  void operator()(const coord::DeleteRangeResponse& erased) const {
    out << "deleted " << erased.deleted;
    for (const store::KeyValue& kv : erased.prev_kvs) out << " " << Digest(kv);
  }
  void operator()(const coord::RangeResponse& range) const { out << Digest(range); }
  void operator()(const std::shared_ptr<const coord::TxnResponse>& nested) const { (*this)(*nested); }
  void operator()(const coord::TxnResponse& txn) const {
    out << "txn " << (txn.succeeded ? "then" : "else") << " (";
    for (const coord::ResponseOp& op : txn.responses) {
      std::visit(*this, op);
      out << "; ";
    }
    out << ")";
  }
  void operator()(const coord::CompactResponse&) const { out << "compacted"; }
  void operator()(const coord::LeaseGrantResponse& grant) const {
    out << "granted " << grant.id << " for " << grant.ttl;
  }
  void operator()(const coord::LeaseRevokeResponse&) const { out << "revoked"; }
  void operator()(const coord::LeaseRenewResponse& renew) const { out << "renewed for " << renew.ttl; }
  void operator()(const coord::ExpireResponse&) const { out << "expired"; }
  void operator()(const coord::AdvanceTimeResponse&) const { out << "time"; }
  void operator()(const coord::PublishMemberResponse&) const { out << "published"; }
  void operator()(const coord::RaiseFeatureLevelResponse&) const { out << "feature level"; }
  void operator()(const coord::MembersResponse&) const { out << "members"; }
  void operator()(const coord::AlarmResponse&) const { out << "alarms"; }
  void operator()(const coord::OpenSessionResponse&) const { out << "session opened"; }
  void operator()(const coord::CloseSessionResponse&) const { out << "session closed"; }
  void operator()(const coord::RenewSessionsResponse& renew) const {
    out << "renewed";
    for (const SessionId id : renew.alive) out << " " << id.value;
  }
};

}  // namespace

std::string Digest(const store::KeyValue& kv) {
  std::ostringstream out;
  out << kv.key.view() << "=" << kv.value.view() << "@" << kv.create_revision << "/" << kv.mod_revision << " version "
      << kv.version << " lease " << kv.lease;
  return out.str();
}

std::string Digest(const coord::RangeResponse& range) {
  std::ostringstream out;
  out << "range of " << range.count << (range.more ? " and more:" : ":");
  for (const store::KeyValue& kv : range.kvs) out << " " << Digest(kv);
  return out.str();
}

std::string Digest(const coord::CommandOutcome& outcome) {
  std::ostringstream out;
  out << "revision " << outcome.revision << ", ";
  if (!outcome.status.ok()) {
    out << "refused with " << static_cast<int>(outcome.status.code());
  } else {
    std::visit(BodyPrinter{out}, outcome.body);
  }
  return out.str();
}

}  // namespace quorate::sim
