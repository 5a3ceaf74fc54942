// What the etcd frontend is made of and with: its options, and the references that every service of it needs.
//
// Made by server/ (through EtcdFrontend) and by tests. Thread rule: the reactor's thread that owns the group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "coord/backend.h"
#include "env/executor.h"
#include "env/random.h"

namespace quorate::frontend::etcd {

struct Options {
  // What clients switch features on by: kube-apiserver asks for 3.5.13 or later before it requests watch progress.
  std::string server_version = "3.5.21";
  std::string cluster_version = "3.5.0";
  std::string storage_version = "3.5.0";
  std::size_t max_request_bytes = 3 << 19;  // etcd's 1.5 MiB; more is refused
  std::size_t max_txn_operations = 128;     // nested ones get what is left
  std::int64_t quota_bytes = std::int64_t{2} << 30;
  std::uint64_t election_timeout_ns = 1'000'000'000;  // three of them without a leader end a stream that requires one
  std::uint64_t progress_interval_ns = 600'000'000'000;  // of an idle watch that asked for progress; at least 100 ms
  std::size_t watches_per_stream = 1 << 16;
  std::size_t keep_alives_per_stream = 1 << 16;  // not yet answered
};

struct Wiring {
  coord::Backend& backend;
  env::Executor& executor;
  env::Random& random;
  Options options;
};

}  // namespace quorate::frontend::etcd
