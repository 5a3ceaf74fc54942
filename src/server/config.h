// ServeConfig: what `quorate serve` was asked for, checked, and the identities that follow from it.
//
// Filled by cli/ (flags beat environment beats file), validated here once. Plain values, no thread rule.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "env/posix/host_port.h"

namespace quorate::server {

using env::HostPort;
// "HOST:PORT"; an etcd-style "http://HOST:PORT" is understood as well.
Result<HostPort> ParseAddress(std::string_view text);

struct Member {
  ReplicaId id;
  std::string name;
  HostPort peer;
  friend bool operator==(const Member&, const Member&) = default;
};

struct ServeFlags {  // as typed; empty = not given
  std::string name = "n1";
  std::string data_dir = "quorate.data";
  std::string protocol = "raft";
  std::string listen_peer;
  std::string advertise_peer;
  std::string initial_cluster;
  std::string cluster_token = "quorate";
  std::string listen_etcd;
  std::string advertise_etcd;
  std::string listen_admin;
  std::string listen_zookeeper;
  std::string listen_consul;
  std::string snapshot_rate;
  std::string log_retention;
  std::string log_keep;
  std::string memory = "512MiB";
  std::string initial_cluster_state;
  std::string quota_backend_bytes;
  bool join = false;
};

// The one list of the string flags: command line, environment and file read it.
struct FlagSpec {
  std::string_view name;  // without the dashes
  std::string ServeFlags::*field;
  std::string_view help;
};
const std::vector<FlagSpec>& ServeFlagSpecs();

inline constexpr std::uint64_t kDefaultLogKeepBytes = std::uint64_t{256} << 20;
inline constexpr std::int64_t kDefaultQuotaBytes = std::int64_t{2} << 30;  // etcd's

struct ServeConfig {
  std::string name;
  std::string data_dir;
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  std::string token;
  std::vector<Member> members;            // ascending by id; of the initial cluster, later those of the member table
  ReplicaId self;                         // one of them
  ClusterId cluster;                      // 0 while joining and not yet told
  std::vector<ReplicaId> initial_voters;  // what consensus begins with when the log says nothing; never changes
  std::vector<HostPort> join;             // whom to ask for admission; empty = not joining
  HostPort advertise_peer;                // where the others reach this member
  HostPort listen_peer;                   // port 0 = none: a lone server
  bool listen_peer_named = false;         // by --listen-peer: stays when the cluster file names another address
  HostPort listen_etcd;                   // port 0 = none
  HostPort listen_admin;                  // port 0 = none
  std::string advertise_etcd;             // URL
  std::int64_t quota_bytes = kDefaultQuotaBytes;  // of the keyspace; 0 = no limit
  std::uint64_t snapshot_rate_bytes = 0;          // a second, of snapshots sent to other members; 0 = no limit
  std::uint64_t log_retention_ns = 0;             // how long released segments of the log are kept; 0 = not at all
  std::uint64_t log_keep_bytes = kDefaultLogKeepBytes;  // of the log, for a linked member that is behind
  std::uint64_t memory_bytes = 0;  // for the keyspace: index, cache, what is not yet durable, the engine's own
};

// INVALID_ARGUMENT names the flag and what to write instead.
Result<ServeConfig> Validate(const ServeFlags& flags);

// Ids are hashes of names, peer addresses and the token, so every member computes the same.
ReplicaId MakeReplicaId(std::string_view name, const HostPort& peer, std::string_view token);
ClusterId MakeClusterId(const std::vector<Member>& members, std::string_view token);
// The identities of a cluster that begins with config->members.
void SetIdentities(ServeConfig* config);

}  // namespace quorate::server
