// DataDirectory: the data directory's own files. The lock; "cluster", who this member and the others are, and its own
// random id; "peers", the directory ids of the other members as this one first saw them.
//
// Opened by Node before anything else. Thread rule: blocking; at start, and once per peer and life of a cluster.
//
// Invariants:
//  1. "cluster" is durable before the log exists, and says so durably once it does: a log that is missing later is
//  loss.
//  2. A peer's directory id is durable in "peers" before the first link to it is used. So a member that comes back with
//  an
//     empty directory under its old id, having forgotten its votes and acknowledgements, is refused by all it ever met.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "env/disk.h"
#include "env/random.h"
#include "server/config.h"

namespace quorate::server {

// Contents of "cluster"; the bytes are in docs/disk-format.md.
struct ClusterFile {
  std::string token;
  std::vector<Member> members;  // as of the member table when it last changed; the first ones at first
  std::uint64_t directory = 0;
  bool log_exists = false;
  ClusterId cluster;
  ReplicaId self;
  std::vector<ReplicaId> initial_voters;  // see ServeConfig
};
std::string EncodeClusterFile(const ClusterFile& file);
Result<ClusterFile> DecodeClusterFile(std::string_view content);

using PeerDirectories = std::map<ReplicaId, std::uint64_t>;
std::string EncodePeersFile(const PeerDirectories& peers);
Result<PeerDirectories> DecodePeersFile(std::string_view content);

class DataDirectory {
 public:
  // Locks it. A new one gets its cluster file, after `join` has filled in who this member is when config says so; an
  // old one overrides config's members, identities and token by its own. DATA_LOSS: damaged, or incomplete.
  // FAILED_PRECONDITION: it is another member's, or in use.
  static Result<DataDirectory> Open(env::Disk& disk, env::Random& random, ServeConfig* config,
                                    const std::function<Status(ServeConfig*)>& join);

  // The log is open; `fresh`: it was made just now. DATA_LOSS when it had been there before.
  Status LogOpened(bool fresh);
  // The members are others now, or elsewhere. Durable when it returns.
  Status SetMembers(const std::vector<Member>& members);
  Status RememberPeer(ReplicaId peer, std::uint64_t directory);
  std::uint64_t id() const { return cluster_.directory; }
  const PeerDirectories& peers() const { return peers_; }

 private:
  explicit DataDirectory(env::Disk& disk) : disk_(&disk) {}
  Status CheckNew() const;
  Status Create(const ServeConfig& config, env::Random& random);
  Status Load(ServeConfig* config);

  env::Disk* disk_;
  std::string path_;  // for messages
  ClusterFile cluster_;
  PeerDirectories peers_;
};

}  // namespace quorate::server
