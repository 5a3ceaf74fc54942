// ReadBack: reads keys linearizably until each is found, missing for good, or cannot be read. The second half of the
// availability check.
//
// Used by availability.cc. Thread rule: Run runs its own event loop on the calling thread. Invariant: a key counts as
// missing only after kLooks answers without it, half a second apart at least.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "client/etcd_client.h"

namespace quorate::cli {

inline constexpr int kLooks = 6;

struct ExpectedKey {
  std::string key;
  std::string value;
  std::int64_t revision = 0;  // of its only write
};

// One answered read, for the history.
struct ReadRecord {
  std::size_t index = 0;  // of the key in the list
  std::uint64_t sent_ns = 0;
  std::uint64_t done_ns = 0;
  bool found = false;
  std::int64_t revision = 0;  // of the store, as the answer says
};

struct ReadBackReport {
  std::uint64_t lost = 0;
  std::uint64_t stale = 0;
  std::uint64_t altered = 0;
  std::uint64_t unverifiable = 0;
};

ReadBackReport RunReadBack(const std::vector<client::Endpoint>& endpoints, const std::vector<ExpectedKey>& expected,
                           std::uint64_t patience_ns, const std::function<void(const ReadRecord&)>& on_read);

}  // namespace quorate::cli
