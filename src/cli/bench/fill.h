// Filling: every key of a set, in order, one revision or several of each, with values that do not compress, many puts
// to a transaction. For measurements that need much data and not the time that single puts take.
//
// Used by `quorate bench fill`. Thread rule: RunFill blocks; it runs one thread for each connection, and `progress`
// comes on any of them, one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "client/etcd_client.h"

namespace quorate::cli {

struct FillOptions {
  std::vector<client::Endpoint> endpoints;
  int conns = 8;
  std::uint64_t keys = 1'000;
  std::uint64_t rounds = 1;  // how often each key is written
  std::size_t key_bytes = 16;
  std::size_t value_bytes = 1'000;
  std::size_t batch = 100;      // puts to a transaction: each is one revision
  double timeout_seconds = 30;  // of one transaction, and without a good one before it is given up
  std::function<void(std::uint64_t puts)> progress;
};

struct FillReport {
  std::uint64_t puts = 0;
  std::uint64_t revisions = 0;  // transactions
  std::uint64_t retries = 0;
  double seconds = 0;
};

Result<FillReport> RunFill(const FillOptions& options);

// Bytes that look random: a function of key and round.
std::string FillValue(std::uint64_t key, std::uint64_t round, std::size_t bytes);

}  // namespace quorate::cli
