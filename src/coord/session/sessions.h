// Sessions: who is alive, until when, and which keys end with them. So far the etcd lease is the one kind.
//
// Owned by Machine; used by the kv executor when keys are written and deleted. Thread rule: the owner's thread. Tables
// kSession (lease -> ttl, deadline) and kSessionKey (lease, key -> nothing); the RAM structures are views of them.
//
// Invariants:
//  1. A key is attached to at most one session, the one that the key's newest record names.
//  2. Deadlines are cluster time. A session ends only by a logged command: revocation, or expiry that found
//     deadline <= cluster time when it was applied.
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

  bool Exists(std::int64_t lease) const { return sessions_.contains(lease); }
  // The key's newest record now names `lease` (0 = none): detaches it from any other.
  void Attach(std::string_view key, std::int64_t lease);
  void Detach(std::string_view key) { Attach(key, 0); }

  std::optional<LeaseInfo> Find(std::int64_t lease, bool with_keys, std::uint64_t now_ns) const;
  std::vector<std::int64_t> All() const;  // the one that ends first comes first, as etcd lists them
  bool empty() const { return sessions_.empty(); }
  const std::set<Deadline>& deadlines() const { return deadlines_; }
  std::size_t KeyCount(std::int64_t lease) const;

 private:
  struct Session {
    std::int64_t ttl = 0;  // seconds
    std::uint64_t deadline_ns = 0;
    std::set<std::string_view> keys;  // into owner_
  };

  void Load();
  void AddToViews(std::int64_t lease, Session session);
  void End(std::int64_t lease);

  Tables& tables_;
  store::Mvcc& mvcc_;
  const std::int64_t min_ttl_;
  std::map<std::int64_t, Session> sessions_;
  std::set<Deadline> deadlines_;
  std::map<std::string, std::int64_t, std::less<>> owner_;  // attached key -> lease
};

}  // namespace quorate::coord
