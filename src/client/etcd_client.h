// EtcdClient: etcd's API as blocking typed calls, against a list of members.
//
// For the command line and for tests; the load generator speaks to net::GrpcChannel itself with the paths below. It
// runs its own event loop inside the calls, so nothing happens between them. Thread rule: one thread. Invariants:
//  1. A request whose outcome is unknown is sent again only if it is a read.
//  2. A call ends within ClientOptions::timeout_ns and one timer tick, connecting and failing over included.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "etcd/rpc.pb.h"
#include "quorate/cluster.pb.h"

namespace google::protobuf {
class MessageLite;
}

namespace quorate::client {

namespace path {
inline constexpr std::string_view kRange = "/etcdserverpb.KV/Range";
inline constexpr std::string_view kPut = "/etcdserverpb.KV/Put";
inline constexpr std::string_view kDeleteRange = "/etcdserverpb.KV/DeleteRange";
inline constexpr std::string_view kTxn = "/etcdserverpb.KV/Txn";
inline constexpr std::string_view kCompact = "/etcdserverpb.KV/Compact";
inline constexpr std::string_view kWatch = "/etcdserverpb.Watch/Watch";
inline constexpr std::string_view kLeaseGrant = "/etcdserverpb.Lease/LeaseGrant";
inline constexpr std::string_view kLeaseRevoke = "/etcdserverpb.Lease/LeaseRevoke";
inline constexpr std::string_view kLeaseKeepAlive = "/etcdserverpb.Lease/LeaseKeepAlive";
inline constexpr std::string_view kLeaseTimeToLive = "/etcdserverpb.Lease/LeaseTimeToLive";
inline constexpr std::string_view kLeaseLeases = "/etcdserverpb.Lease/LeaseLeases";
inline constexpr std::string_view kMemberList = "/etcdserverpb.Cluster/MemberList";
inline constexpr std::string_view kMemberAdd = "/etcdserverpb.Cluster/MemberAdd";
inline constexpr std::string_view kMemberRemove = "/etcdserverpb.Cluster/MemberRemove";
inline constexpr std::string_view kMemberUpdate = "/etcdserverpb.Cluster/MemberUpdate";
inline constexpr std::string_view kMemberPromote = "/etcdserverpb.Cluster/MemberPromote";
inline constexpr std::string_view kMemberReplace = "/quoratepb.Cluster/MemberReplace";
inline constexpr std::string_view kStatus = "/etcdserverpb.Maintenance/Status";
inline constexpr std::string_view kHashKv = "/etcdserverpb.Maintenance/HashKV";
inline constexpr std::string_view kAlarm = "/etcdserverpb.Maintenance/Alarm";
inline constexpr std::string_view kSnapshot = "/etcdserverpb.Maintenance/Snapshot";
inline constexpr std::string_view kMoveLeader = "/etcdserverpb.Maintenance/MoveLeader";
}  // namespace path

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  std::string ToString() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// "host:port,http://host:port,[::1]:2379": INVALID_ARGUMENT names the part that is wrong. https is refused.
Result<std::vector<Endpoint>> ParseEndpoints(std::string_view list);

struct ClientOptions {
  std::uint64_t timeout_ns = 5'000'000'000;          // of one call
  std::uint64_t connect_timeout_ns = 2'000'000'000;  // of one member's connection
};

class EtcdClient {
 public:
  EtcdClient(std::vector<Endpoint> endpoints, ClientOptions options);  // REQUIRES an endpoint
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;
  ~EtcdClient();

  Result<etcdserverpb::RangeResponse> Range(const etcdserverpb::RangeRequest& request);
  Result<etcdserverpb::PutResponse> Put(const etcdserverpb::PutRequest& request);
  Result<etcdserverpb::DeleteRangeResponse> DeleteRange(const etcdserverpb::DeleteRangeRequest& request);
  Result<etcdserverpb::TxnResponse> Txn(const etcdserverpb::TxnRequest& request);
  Result<etcdserverpb::CompactionResponse> Compact(const etcdserverpb::CompactionRequest& request);
  Result<etcdserverpb::LeaseGrantResponse> LeaseGrant(const etcdserverpb::LeaseGrantRequest& request);
  Result<etcdserverpb::LeaseRevokeResponse> LeaseRevoke(const etcdserverpb::LeaseRevokeRequest& request);
  Result<etcdserverpb::LeaseKeepAliveResponse> LeaseKeepAliveOnce(std::int64_t lease);
  Result<etcdserverpb::LeaseTimeToLiveResponse> LeaseTimeToLive(const etcdserverpb::LeaseTimeToLiveRequest& request);
  Result<etcdserverpb::LeaseLeasesResponse> LeaseLeases();
  Result<etcdserverpb::MemberListResponse> MemberList(const etcdserverpb::MemberListRequest& request);
  Result<etcdserverpb::StatusResponse> MemberStatus();  // of the member that is connected: use one endpoint
  Result<etcdserverpb::HashKVResponse> HashKv(const etcdserverpb::HashKVRequest& request);
  Result<etcdserverpb::AlarmResponse> Alarm(const etcdserverpb::AlarmRequest& request);
  Result<etcdserverpb::MemberAddResponse> MemberAdd(const etcdserverpb::MemberAddRequest& request);
  Result<etcdserverpb::MemberRemoveResponse> MemberRemove(const etcdserverpb::MemberRemoveRequest& request);
  Result<etcdserverpb::MemberUpdateResponse> MemberUpdate(const etcdserverpb::MemberUpdateRequest& request);
  Result<etcdserverpb::MemberPromoteResponse> MemberPromote(const etcdserverpb::MemberPromoteRequest& request);
  // Quorate's own: etcd answers that it does not know it.
  Result<etcdserverpb::MemberAddResponse> MemberReplace(const quoratepb::MemberReplaceRequest& request);
  Result<etcdserverpb::MoveLeaderResponse> MoveLeader(const etcdserverpb::MoveLeaderRequest& request);

  // Watches until `on_response` returns false (then Ok) or the server cancels the watch (its reason). A lost member is
  // replaced by another, from the revision after the last whole one seen: no event is missed, and only those of a reply
  // in fragments that broke off are seen twice. Fails when no member can be reached for ClientOptions::timeout_ns.
  Status Watch(const etcdserverpb::WatchCreateRequest& create,
               const std::function<bool(const etcdserverpb::WatchResponse&)>& on_response);

  // The connected member's state, piece by piece, until `on_piece` returns a failure (then that) or the end. From the
  // beginning or not at all: another member is tried only before the first piece. ClientOptions::timeout_ns is how long
  // a piece may take.
  Status Snapshot(const std::function<Status(const etcdserverpb::SnapshotResponse&)>& on_piece);

  // The member that answered last, or is tried next.
  const Endpoint& current() const;

 private:
  enum class Effect { kRead, kWrite };
  Status Invoke(std::string_view path, const google::protobuf::MessageLite& request,
                google::protobuf::MessageLite* response, Effect effect);

  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::client
