// The closed-loop load: `conns` connections with `inflight` operations always outstanding on each, every answer
// checked, for a window of time.
//
// Used by `quorate bench put|get|compare`. Thread rule: RunLoad runs its own event loop on the calling thread. What is
// checked of an answer: gRPC status, that it can be read, that its revision is above (for a read: not below) every
// revision that was acknowledged before the request was sent, whatever member answered, and for a read key and value.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "client/etcd_client.h"

namespace quorate::cli {

enum class LoadKind { kPut, kGet };

struct LoadOptions {
  LoadKind kind = LoadKind::kPut;
  std::vector<client::Endpoint> endpoints;
  int conns = 64;
  int inflight = 1;
  double seconds = 5;
  double warmup_seconds = 1;
  std::uint64_t keys = 1000;
  std::size_t key_bytes = 16;
  std::size_t value_bytes = 128;
  bool serializable = false;  // reads from the asked member's state
  double timeout_seconds = 5;
  std::vector<int> pids;  // of the servers
};

struct LoadReport {
  std::uint64_t ops = 0;  // good ones that ended within the window
  double seconds = 0;
  std::uint64_t p50_ns = 0;
  std::uint64_t p90_ns = 0;
  std::uint64_t p99_ns = 0;
  std::uint64_t max_ns = 0;
  std::map<std::string, std::uint64_t> errors;  // by kind, the warm-up's too
  std::uint64_t wrong = 0;                      // answers that were not right: an error of the server
  double client_cpu_seconds = 0;
  double server_cpu_seconds = 0;
  std::uint64_t server_resident_bytes = 0;
  double other_cpu_seconds = 0;  // of whatever else ran on this machine: the noise

  double ops_per_second() const { return seconds > 0 ? static_cast<double>(ops) / seconds : 0; }
  double server_cpu_us_per_op() const { return ops > 0 ? server_cpu_seconds * 1e6 / static_cast<double>(ops) : 0; }
  double client_cpu_us_per_op() const { return ops > 0 ? client_cpu_seconds * 1e6 / static_cast<double>(ops) : 0; }
};

// UNAVAILABLE when no member can be reached or a server process is gone.
Result<LoadReport> RunLoad(const LoadOptions& options);

// The i-th key, and what it holds: a function of the key, so that any reader knows it.
std::string LoadKey(std::uint64_t index, std::size_t key_bytes);
std::string LoadValue(std::string_view key, std::size_t value_bytes);

// What an error is counted as: code and words, without the parts that differ each time.
std::string ErrorKind(const Status& status);

}  // namespace quorate::cli
