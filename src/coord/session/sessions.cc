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
constexpr std::uint8_t kFormatVersion = 1;
constexpr std::uint8_t kKindLease = 1;  // of etcd; further kinds of session get further numbers

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

std::string EncodeSession(std::int64_t ttl, std::uint64_t deadline_ns) {
  Writer w;
  w.Put8(kFormatVersion);
  w.Put8(kKindLease);
  w.PutSigned(ttl);
  w.Put64(deadline_ns);
  return std::move(w).Take();
}

// ttl <= kLeaseTtlMax, so this cannot overflow while cluster time is below 290 years.
std::uint64_t DeadlineAfter(std::uint64_t now_ns, std::int64_t ttl) {
  return now_ns + static_cast<std::uint64_t>(ttl) * kNsPerSecond;
}

}  // namespace

Sessions::Sessions(Tables& tables, store::Mvcc& mvcc, std::int64_t min_ttl)
    : tables_(tables), mvcc_(mvcc), min_ttl_(min_ttl) {
  Load();
}

void Sessions::Load() {
  tables_.Scan(Table::kSession, [this](std::string_view key, std::string_view value) {
    Reader k(key);
    const auto lease = static_cast<std::int64_t>(k.GetOrdered64());
    Reader r(value);
    CHECK(r.Get8() == kFormatVersion && r.Get8() == kKindLease) << "session " << lease << " is of a newer format";
    Session session;
    session.ttl = r.GetSigned();
    session.deadline_ns = r.Get64();
    CHECK(k.Done() && r.Done()) << "the record of session " << lease << " is damaged";
    AddToViews(lease, std::move(session));
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

void Sessions::AddToViews(std::int64_t lease, Session session) {
  deadlines_.insert({session.deadline_ns, lease});
  sessions_.emplace(lease, std::move(session));
}

Result<LeaseGrantResponse> Sessions::Grant(const LeaseGrantRequest& request, std::uint64_t now_ns) {
  if (request.id == 0) return errors::LeaseNotFound();
  if (request.ttl > kLeaseTtlMax) return errors::LeaseTtlTooLarge();
  if (Exists(request.id)) return errors::LeaseExists();
  Session session;
  session.ttl = std::max(request.ttl, min_ttl_);
  session.deadline_ns = DeadlineAfter(now_ns, session.ttl);
  const LeaseGrantResponse response{request.id, session.ttl};
  tables_.Insert(Table::kSession, EncodeId(request.id), Bytes(EncodeSession(session.ttl, session.deadline_ns)));
  AddToViews(request.id, std::move(session));
  return response;
}

LeaseRenewResponse Sessions::Renew(const LeaseRenewRequest& request, std::uint64_t now_ns) {
  const auto found = sessions_.find(request.id);
  if (found == sessions_.end()) return {.ttl = 0};
  Session& session = found->second;
  const std::uint64_t deadline_ns = DeadlineAfter(now_ns, session.ttl);
  if (deadline_ns != session.deadline_ns) {
    tables_.Replace(Table::kSession, EncodeId(request.id), EncodeSession(session.ttl, session.deadline_ns),
                    Bytes(EncodeSession(session.ttl, deadline_ns)));
    deadlines_.erase({session.deadline_ns, request.id});
    deadlines_.insert({deadline_ns, request.id});
    session.deadline_ns = deadline_ns;
  }
  return {.ttl = session.ttl};
}

Result<LeaseRevokeResponse> Sessions::Revoke(const LeaseRevokeRequest& request) {
  const auto found = sessions_.find(request.id);
  if (found == sessions_.end()) return errors::LeaseNotFound();
  for (const std::string_view key : found->second.keys) CHECK(mvcc_.Delete(key)) << "an attached key must exist";
  End(request.id);
  return LeaseRevokeResponse{};
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
    if (Exists(lease)) End(lease);
  }
  return {};
}

void Sessions::End(std::int64_t lease) {
  const auto found = sessions_.find(lease);
  Session& session = found->second;
  for (const std::string_view key : session.keys) {
    tables_.Erase(Table::kSessionKey, EncodeAttachment(lease, key), {});
    owner_.erase(owner_.find(key));
  }
  tables_.Erase(Table::kSession, EncodeId(lease), EncodeSession(session.ttl, session.deadline_ns));
  deadlines_.erase({session.deadline_ns, lease});
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
  if (found == sessions_.end()) return std::nullopt;
  const Session& session = found->second;
  LeaseInfo info;
  info.id = lease;
  info.granted_ttl = session.ttl;
  if (session.deadline_ns > now_ns) {
    info.remaining_ttl = static_cast<std::int64_t>((session.deadline_ns - now_ns) / kNsPerSecond);
  }
  if (with_keys) info.keys.assign(session.keys.begin(), session.keys.end());
  return info;
}

std::vector<std::int64_t> Sessions::All() const {
  std::vector<std::int64_t> all;
  all.reserve(sessions_.size());
  for (const Deadline& deadline : deadlines_) all.push_back(deadline.lease);
  return all;
}

std::size_t Sessions::KeyCount(std::int64_t lease) const {
  const auto found = sessions_.find(lease);
  return found == sessions_.end() ? 0 : found->second.keys.size();
}

}  // namespace quorate::coord
