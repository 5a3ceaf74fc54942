// Node: one member, wired. The only place that names the concrete parts; see docs/ARCHITECTURE.md for the picture.
//
// Called by cli/. Thread rule: RunNode owns the calling thread, which becomes the reactor; the log has a thread of its
// own.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "server/config.h"

namespace rocksdb {
class Env;
}
namespace quorate::env {
class Disk;
class Executor;
class Transport;
}  // namespace quorate::env
namespace quorate::wal {
struct LogOptions;
}
namespace quorate::coord {
struct MachineOptions;
}
namespace quorate::replica {
struct GroupOptions;
}

namespace quorate::server {

// Parts and amounts of a node that a program may choose; the server leaves all of them empty.
struct NodeParts {
  std::function<std::unique_ptr<env::Disk>(std::unique_ptr<env::Disk> real, env::Executor&)> wrap_disk;
  // Between the group and the peers' links; `real` outlives it.
  std::function<std::unique_ptr<env::Transport>(env::Transport& real, env::Executor&)> wrap_transport;
  rocksdb::Env* keyspace_env = nullptr;  // outlives the node
  std::function<void(wal::LogOptions*)> adjust_log;
  std::function<void(coord::MachineOptions*)> adjust_machine;
  std::function<void(replica::GroupOptions*)> adjust_group;
};

// Opens the data directory, joins the cluster, serves until SIGTERM or SIGINT, and closes the log cleanly. A Status
// says why it could not start or had to stop: foreign or damaged directory, port in use (with the flag), failed disk.
Status RunNode(const ServeConfig& config, NodeParts parts = {});

}  // namespace quorate::server
