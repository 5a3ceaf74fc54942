// How the file descriptors that the operating system lets this process have are shared out. Clients, who come
// unasked, get what is left when the log, the keyspace and the peers have theirs: a server that cannot open its next
// segment stops.
//
// Called by server/node.cc at the start. Thread rule: plain functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quorate::server {

struct DescriptorPlan {
  std::size_t client_connections = 0;
  std::size_t admin_connections = 0;
  int keyspace_files = 0;
};

// REQUIRES limit > 0.
DescriptorPlan PlanDescriptors(std::uint64_t limit);

// Raises the soft limit to the hard one; the limit that is then in force.
std::uint64_t RaiseDescriptorLimit();

}  // namespace quorate::server
