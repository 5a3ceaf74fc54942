// History: what the clients of a simulation asked for and were told, as open intervals of virtual time.
//
// Written by sim/workload, read by the checkers. Plain values, no thread rule. Every value that is ever written is
// written by one operation only, so a value names its writer.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace quorate::sim {

inline constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

enum class OperationKind : std::uint8_t { kGet, kPut, kCompareAndSwap, kDelete };
std::string_view OperationName(OperationKind kind);

enum class OperationFate : std::uint8_t {
  kGood,
  kFailed,   // certainly not executed
  kUnknown,  // may have been executed, or be executed later
};

struct SeenValue {
  std::string value;
  Revision mod_revision = 0;
  friend bool operator==(const SeenValue&, const SeenValue&) = default;
};

struct Operation {
  std::uint64_t id = 0;
  std::uint64_t client = 0;
  ReplicaId member;
  OperationKind kind = OperationKind::kGet;
  std::string key;
  std::string value;                    // that a put or a swap writes
  std::optional<std::string> expected;  // of a swap; empty = the key is absent
  std::uint64_t invoked_ns = 0;
  std::uint64_t returned_ns = kNever;

  OperationFate fate = OperationFate::kUnknown;
  // The rest is known of a good operation only.
  bool swapped = false;           // a swap's compare held
  bool looked = true;             // `seen` was asked for: all but a plain put
  std::optional<SeenValue> seen;  // what the key held just before; empty = absent
  Revision revision = 0;          // of the response's header
  LogIndex index;                 // of the entry; 0 for a read

  bool Writes() const {
    switch (kind) {
      case OperationKind::kGet:
        return false;
      case OperationKind::kPut:
        return true;
      case OperationKind::kCompareAndSwap:
        return swapped;
      case OperationKind::kDelete:
        return seen.has_value();
    }
    return false;
  }
};

std::string Describe(const Operation& operation);
// "key", 3 -> "key3".
std::string Numbered(std::string_view prefix, std::uint64_t number);

using History = std::vector<Operation>;  // ascending by invoked_ns

}  // namespace quorate::sim
