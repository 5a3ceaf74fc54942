#include "coord/session/sessions.h"

#include <algorithm>

#include "base/bug.h"
#include "base/check.h"
#include "base/codec.h"
#include "coord/errors.h"

namespace quorate::coord {
namespace {

using store::Table;

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kMsPerSecond = 1'000;
constexpr std::uint8_t kFormatVersion = 1;

std::string EncodeId(std::int64_t lease) {
  Writer w;
  w.PutOrdered64(static_cast<std::uint64_t>(lease));
  return std::move(w).Take();
}

std::string EncodeAttachment(std::int64_t lease, std::string_view key) {
  Writer w(8 + key.size());
  w.PutOrdered64(static_cast<std::uint64_t>(lease));
  w.PutRaw(key);
  return std::move(w).Take();
}

// A lease's longest TTL is below 2^63 ns, so this cannot overflow while cluster time is below 290 years.
std::uint64_t DeadlineAfter(std::uint64_t now_ns, std::uint64_t ttl_ms) {
  return now_ns + ttl_ms * kNsPerMs;
}

std::int64_t Number(SessionId id) {
  return static_cast<std::int64_t>(id.value);
}

}  // namespace

Sessions::Sessions(Tables& tables, store::Mvcc& mvcc, std::int64_t min_ttl)
    : tables_(tables), mvcc_(mvcc), min_ttl_(min_ttl) {
  Load();
}

void Sessions::Load() {
  tables_.Scan(Table::kSession, [this](std::string_view key, std::string_view value) {
    Reader k(key);
    const auto id = static_cast<std::int64_t>(k.GetOrdered64());
    CHECK(k.Done()) << "the key of a session is damaged";
    AddToViews(id, Decode(id, value));
  });
  tables_.Scan(Table::kSessionKey, [this](std::string_view key, std::string_view) {
    Reader k(key);
    const auto lease = static_cast<std::int64_t>(k.GetOrdered64());
    const auto session = sessions_.find(lease);
    CHECK(k.ok() && session != sessions_.end()) << "a key is attached to the unknown session " << lease;
    const auto [owner, fresh] = owner_.emplace(std::string(k.rest()), lease);
    CHECK(fresh) << "a key is attached to the sessions " << lease << " and " << owner->second;
    session->second.keys.insert(owner->first);
  });
}

std::string Sessions::Encode(const Session& session) {
  Writer w;
  w.Put8(kFormatVersion);
  w.Put8(static_cast<std::uint8_t>(session.kind));
  if (session.kind == Kind::kLease) {
    w.PutSigned(static_cast<std::int64_t>(session.ttl_ms / kMsPerSecond));
    w.Put64(session.deadline_ns);
  } else {
    w.PutVarint(session.ttl_ms);
    w.Put64(session.deadline_ns);
    w.PutVarint(session.last_sequence);
  }
  return std::move(w).Take();
}

Sessions::Session Sessions::Decode(std::int64_t id, std::string_view record) {
  Reader r(record);
  const std::uint8_t version = r.Get8();
  Session session;
  session.kind = static_cast<Kind>(r.Get8());
  CHECK(version == kFormatVersion && (session.kind == Kind::kLease || session.kind == Kind::kNative))
      << "session " << id << " is of a newer format";
  if (session.kind == Kind::kLease) {
    session.ttl_ms = static_cast<std::uint64_t>(r.GetSigned()) * kMsPerSecond;
    session.deadline_ns = r.Get64();
  } else {
    session.ttl_ms = r.GetVarint();
    session.deadline_ns = r.Get64();
    session.last_sequence = r.GetVarint();
  }
  CHECK(r.Done()) << "the record of session " << id << " is damaged";
  return session;
}

std::optional<Sessions::Found> Sessions::FindKind(std::int64_t id, Kind kind) {
  const Found found = sessions_.find(id);
  if (found == sessions_.end() || found->second.kind != kind) return std::nullopt;
  return found;
}

void Sessions::AddToViews(std::int64_t lease, Session session) {
  deadlines_.insert({session.deadline_ns, lease});
  sessions_.emplace(lease, std::move(session));
}

void Sessions::Add(std::int64_t id, Session session) {
  tables_.Insert(Table::kSession, EncodeId(id), Bytes(Encode(session)));
  AddToViews(id, std::move(session));
}

void Sessions::Prolong(Found found, std::uint64_t now_ns) {
  auto& [id, session] = *found;
  const std::uint64_t deadline_ns = DeadlineAfter(now_ns, session.ttl_ms);
  if (deadline_ns == session.deadline_ns) return;
  const std::string before = Encode(session);
  deadlines_.erase({session.deadline_ns, id});
  session.deadline_ns = deadline_ns;
  deadlines_.insert({deadline_ns, id});
  tables_.Replace(Table::kSession, EncodeId(id), before, Bytes(Encode(session)));
}

void Sessions::DeleteKeysAndEnd(Found found) {
  for (const std::string_view key : found->second.keys) CHECK(mvcc_.Delete(key)) << "an attached key must exist";
  End(found);
}

Result<LeaseGrantResponse> Sessions::Grant(const LeaseGrantRequest& request, std::uint64_t now_ns) {
  if (request.id == 0) return errors::LeaseNotFound();
  if (request.ttl > kLeaseTtlMax) return errors::LeaseTtlTooLarge();
  if (Exists(request.id)) return errors::LeaseExists();
  Session session;
  const std::int64_t ttl = std::max(request.ttl, min_ttl_);
  session.ttl_ms = static_cast<std::uint64_t>(ttl) * kMsPerSecond;
  session.deadline_ns = DeadlineAfter(now_ns, session.ttl_ms);
  Add(request.id, std::move(session));
  return LeaseGrantResponse{request.id, ttl};
}

LeaseRenewResponse Sessions::Renew(const LeaseRenewRequest& request, std::uint64_t now_ns) {
  const std::optional<Found> found = FindKind(request.id, Kind::kLease);
  if (!found) return {.ttl = 0};
  Prolong(*found, now_ns);
  return {.ttl = static_cast<std::int64_t>((*found)->second.ttl_ms / kMsPerSecond)};
}

Result<LeaseRevokeResponse> Sessions::Revoke(const LeaseRevokeRequest& request) {
  const std::optional<Found> found = FindKind(request.id, Kind::kLease);
  if (!found) return errors::LeaseNotFound();
  DeleteKeysAndEnd(*found);
  return LeaseRevokeResponse{};
}

Result<OpenSessionResponse> Sessions::Open(const OpenSessionRequest& request, std::uint64_t now_ns) {
  if (!request.id) return Status::InvalidArgument("quorate: a session's id must not be 0");
  if (request.ttl_ms < kSessionTtlMinMs || request.ttl_ms > kSessionTtlMaxMs) return errors::SessionTtlOutOfRange();
  if (Exists(Number(request.id))) return errors::SessionExists(request.id);
  Session session;
  session.kind = Kind::kNative;
  session.ttl_ms = request.ttl_ms;
  session.deadline_ns = DeadlineAfter(now_ns, session.ttl_ms);
  Add(Number(request.id), std::move(session));
  return OpenSessionResponse{};
}

Result<CloseSessionResponse> Sessions::Close(const CloseSessionRequest& request) {
  const std::optional<Found> found = FindKind(Number(request.id), Kind::kNative);
  if (!found) return errors::SessionNotFound(request.id);
  DeleteKeysAndEnd(*found);
  return CloseSessionResponse{};
}

RenewSessionsResponse Sessions::Renew(const RenewSessionsRequest& request, std::uint64_t now_ns) {
  RenewSessionsResponse response;
  for (const SessionId id : request.ids) {
    const std::optional<Found> found = FindKind(Number(id), Kind::kNative);
    if (!found) continue;
    Prolong(*found, now_ns);
    response.alive.push_back(id);
  }
  return response;
}

Status Sessions::TakeTurn(SessionId id, std::uint64_t sequence) {
  const std::optional<Found> found = FindKind(Number(id), Kind::kNative);
  if (!found) return errors::SessionNotFound(id);
  Session& session = (*found)->second;
  if (sequence <= session.last_sequence) {
    return QUORATE_BUG(coord_session_command_twice) ? Status() : errors::SessionTurnTaken(id, sequence);
  }
  if (sequence != session.last_sequence + 1 && !QUORATE_BUG(coord_session_gap_ignored)) {
    return errors::SessionGap(id, sequence, session.last_sequence);
  }
  const std::string before = Encode(session);
  session.last_sequence = sequence;
  tables_.Replace(Table::kSession, EncodeId((*found)->first), before, Bytes(Encode(session)));
  return {};
}

std::optional<std::uint64_t> Sessions::LastSequence(SessionId id) const {
  const auto found = sessions_.find(Number(id));
  if (found == sessions_.end() || found->second.kind != Kind::kNative) return std::nullopt;
  return found->second.last_sequence;
}

// The deadline is looked at again: a renewal may have been logged between the leader's look and this command, also by
// another leader.
ExpireResponse Sessions::Expire(const ExpireRequest& request, std::uint64_t now_ns) {
  std::vector<std::int64_t> ended;
  std::vector<std::string_view> keys;
  for (const std::int64_t lease : request.leases) {
    const auto found = sessions_.find(lease);
    if (found == sessions_.end()) continue;
    if (found->second.deadline_ns > now_ns && !QUORATE_BUG(coord_lease_expiry_not_rechecked)) continue;
    ended.push_back(lease);
    keys.insert(keys.end(), found->second.keys.begin(), found->second.keys.end());
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());  // the request may name a lease twice
  for (const std::string_view key : keys) CHECK(mvcc_.Delete(key)) << "an attached key must exist";
  for (const std::int64_t lease : ended) {
    const Found found = sessions_.find(lease);
    if (found != sessions_.end()) End(found);
  }
  return {};
}

void Sessions::End(Found found) {
  const auto& [id, session] = *found;
  for (const std::string_view key : session.keys) {
    tables_.Erase(Table::kSessionKey, EncodeAttachment(id, key), {});
    owner_.erase(owner_.find(key));
  }
  tables_.Erase(Table::kSession, EncodeId(id), Encode(session));
  deadlines_.erase({session.deadline_ns, id});
  sessions_.erase(found);
}

void Sessions::Attach(std::string_view key, std::int64_t lease) {
  if (lease == 0 && owner_.empty()) return;
  const auto owner = owner_.find(key);
  if (owner != owner_.end()) {
    if (owner->second == lease) return;
    sessions_.at(owner->second).keys.erase(owner->first);
    tables_.Erase(Table::kSessionKey, EncodeAttachment(owner->second, key), {});
    owner_.erase(owner);
  }
  if (lease == 0) return;
  tables_.Insert(Table::kSessionKey, EncodeAttachment(lease, key), {});
  const auto attached = owner_.emplace(std::string(key), lease).first;
  sessions_.at(lease).keys.insert(attached->first);
}

std::optional<LeaseInfo> Sessions::Find(std::int64_t lease, bool with_keys, std::uint64_t now_ns) const {
  const auto found = sessions_.find(lease);
  if (found == sessions_.end() || found->second.kind != Kind::kLease) return std::nullopt;
  const Session& session = found->second;
  LeaseInfo info;
  info.id = lease;
  info.granted_ttl = static_cast<std::int64_t>(session.ttl_ms / kMsPerSecond);
  if (session.deadline_ns > now_ns) {
    info.remaining_ttl = static_cast<std::int64_t>((session.deadline_ns - now_ns) / kNsPerSecond);
  }
  if (with_keys) info.keys.assign(session.keys.begin(), session.keys.end());
  return info;
}

std::vector<std::int64_t> Sessions::All() const {
  std::vector<std::int64_t> all;
  all.reserve(sessions_.size());
  for (const Deadline& deadline : deadlines_) {
    if (sessions_.at(deadline.lease).kind == Kind::kLease) all.push_back(deadline.lease);
  }
  return all;
}

std::size_t Sessions::KeyCount(std::int64_t lease) const {
  const auto found = sessions_.find(lease);
  return found == sessions_.end() ? 0 : found->second.keys.size();
}

}  // namespace quorate::coord
