#include "server/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

#include "net/listener.h"
#include "store/engine_rocksdb/rocks_engine.h"

namespace quorate::server {
namespace {

// Segments, snapshots, links, handshakes under way (TcpTransportOptions::handshakes_max), RocksDB's own files.
constexpr std::uint64_t kOwn = 192;
constexpr std::uint64_t kAdmin = 32;
constexpr std::uint64_t kClientsMin = 16;
constexpr int kKeyspaceFilesMin = 32;

}  // namespace

DescriptorPlan PlanDescriptors(std::uint64_t limit) {
  const std::uint64_t keyspace =
      std::clamp<std::uint64_t>(limit / 4, kKeyspaceFilesMin, store::RocksOptions{}.open_files_max);
  const std::uint64_t taken = kOwn + kAdmin + keyspace;
  const std::uint64_t left = limit > taken + kClientsMin ? limit - taken : kClientsMin;
  return {std::min<std::uint64_t>(left, net::ServerLimits{}.max_connections), kAdmin, static_cast<int>(keyspace)};
}

std::uint64_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur;
}

}  // namespace quorate::server
