// Requests and responses about sessions. One replicated session object serves the etcd lease, the ZooKeeper session,
// the Consul session and the lock owner; so far there are the etcd lease and the native session, whose commands are
// executed in the order in which its client sent them. Plain values, no thread rule.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace quorate::coord {

// A lease is a session whose end deletes the keys attached to it. TTLs are whole seconds, as on etcd's wire.
struct LeaseGrantRequest {
  std::int64_t id = 0;   // never 0 here: the frontend chooses one when the client gave none
  std::int64_t ttl = 0;  // seconds
};
struct LeaseGrantResponse {
  std::int64_t id = 0;
  std::int64_t ttl = 0;  // as granted: raised to the minimum
};
struct LeaseRevokeRequest {
  std::int64_t id = 0;
};
struct LeaseRevokeResponse {};
struct LeaseRenewRequest {
  std::int64_t id = 0;
};
struct LeaseRenewResponse {
  std::int64_t ttl = 0;  // 0: there is no such lease
};
// The leader's timer found these past their deadline; apply checks again and skips any that was renewed in between.
struct ExpireRequest {
  std::vector<std::int64_t> leases;
};
struct ExpireResponse {};

// A native session. It ends like a lease, with the keys attached to it. Its commands carry its id and their number in
// Envelope::session and Envelope::sequence, from 1 on, and may be sent without waiting for one another: one whose
// predecessor was not executed is refused (coord/admission.h). Needs feature level 3.
struct OpenSessionRequest {
  SessionId id;              // chosen by the frontend; shares the numbers with leases
  std::uint64_t ttl_ms = 0;  // in [kSessionTtlMinMs, kSessionTtlMaxMs]
};
struct OpenSessionResponse {};
struct CloseSessionRequest {
  SessionId id;
};
struct CloseSessionResponse {};
// What a leader gathered in a short while. Those that have ended are left out of the answer.
struct RenewSessionsRequest {
  std::vector<SessionId> ids;
};
struct RenewSessionsResponse {
  std::vector<SessionId> alive;
};

// What LeaseTimeToLive and LeaseLeases read.
struct LeaseInfo {
  std::int64_t id = 0;
  std::int64_t granted_ttl = 0;
  std::int64_t remaining_ttl = 0;  // seconds, by this member's idea of cluster time
  std::vector<std::string> keys;   // sorted
};

}  // namespace quorate::coord
