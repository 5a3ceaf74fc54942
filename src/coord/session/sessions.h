// Sessions: who is alive, until when, and which keys end with them. Two kinds: the etcd lease, and the native session
// whose commands come in order.
//
// Owned by Machine; used by Admission before each command of a session, and by the kv executor when keys are written
// and deleted. Thread rule: the owner's thread. Tables kSession (id -> kind, ttl, deadline, last sequence) and
// kSessionKey (id, key -> nothing); the RAM structures are views of them.
//
// Invariants:
//  1. A key is attached to at most one session, the one that the key's newest record names.
//  2. Deadlines are cluster time. A session ends only by a logged command: revocation, or expiry that found
//     deadline <= cluster time when it was applied.
//  3. The commands of a native session have their turn in the order of their sequence numbers, each once, none skipped.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "coord/session/types.h"
#include "coord/tables.h"
#include "store/mvcc.h"

namespace quorate::coord {

inline constexpr std::int64_t kLeaseTtlMax = 9'000'000'000;  // seconds; etcd's
inline constexpr std::uint64_t kSessionTtlMinMs = 100;
inline constexpr std::uint64_t kSessionTtlMaxMs = 86'400'000;  // a day, as Consul's

class Sessions {
 public:
  struct Deadline {
    std::uint64_t at_ns = 0;
    std::int64_t lease = 0;
    auto operator<=>(const Deadline&) const = default;
  };

  Sessions(Tables& tables, store::Mvcc& mvcc, std::int64_t min_ttl);  // reads both tables

  Result<LeaseGrantResponse> Grant(const LeaseGrantRequest& request, std::uint64_t now_ns);
  LeaseRenewResponse Renew(const LeaseRenewRequest& request, std::uint64_t now_ns);
  // Both delete the keys in byte order within the transaction that the caller has opened on Mvcc.
  Result<LeaseRevokeResponse> Revoke(const LeaseRevokeRequest& request);
  ExpireResponse Expire(const ExpireRequest& request, std::uint64_t now_ns);

  Result<OpenSessionResponse> Open(const OpenSessionRequest& request, std::uint64_t now_ns);
  // As Revoke, for a native session.
  Result<CloseSessionResponse> Close(const CloseSessionRequest& request);
  RenewSessionsResponse Renew(const RenewSessionsRequest& request, std::uint64_t now_ns);
  // The turn of command `sequence` of `id`. Refused: the session is not there, the command had its turn before, or its
  // predecessor has not had one; then nothing changes.
  Status TakeTurn(SessionId id, std::uint64_t sequence);
  // The last command of `id` that had its turn; empty: no such session.
  std::optional<std::uint64_t> LastSequence(SessionId id) const;

  bool Exists(std::int64_t lease) const { return sessions_.contains(lease); }
  // The key's newest record now names `lease` (0 = none): detaches it from any other.
  void Attach(std::string_view key, std::int64_t lease);
  void Detach(std::string_view key) { Attach(key, 0); }

  std::optional<LeaseInfo> Find(std::int64_t lease, bool with_keys, std::uint64_t now_ns) const;
  std::vector<std::int64_t> All() const;  // leases; the one that ends first comes first, as etcd lists them
  bool empty() const { return sessions_.empty(); }
  const std::set<Deadline>& deadlines() const { return deadlines_; }
  std::size_t KeyCount(std::int64_t lease) const;

 private:
  // On disk: never reused.
  enum class Kind : std::uint8_t { kLease = 1, kNative = 2 };
  struct Session {
    Kind kind = Kind::kLease;
    std::uint64_t ttl_ms = 0;  // of a lease whole seconds
    std::uint64_t deadline_ns = 0;
    std::uint64_t last_sequence = 0;  // of a native session
    std::set<std::string_view> keys;  // into owner_
  };
  using Found = std::map<std::int64_t, Session>::iterator;

  void Load();
  static std::string Encode(const Session& session);
  static Session Decode(std::int64_t id, std::string_view record);
  // Empty unless there is one of that kind.
  std::optional<Found> FindKind(std::int64_t id, Kind kind);
  void Add(std::int64_t id, Session session);
  void Prolong(Found found, std::uint64_t now_ns);
  void DeleteKeysAndEnd(Found found);
  void AddToViews(std::int64_t lease, Session session);
  void End(Found found);

  Tables& tables_;
  store::Mvcc& mvcc_;
  const std::int64_t min_ttl_;
  std::map<std::int64_t, Session> sessions_;
  std::set<Deadline> deadlines_;
  std::map<std::string, std::int64_t, std::less<>> owner_;  // attached key -> lease
};

}  // namespace quorate::coord
