// Strike: one fault of a run, by its number. Told as it happens, so that the strikes of a run that ends in a CHECK are
// known, too; and enough of it to strike again in the same way when others are left out. Plain values, no thread rule.
#pragma once

#include <cstdint>
#include <string>

#include "sim/scheduler.h"

namespace quorate::sim {

struct Strike {
  std::uint64_t number = 0;  // from 1
  std::uint64_t at_ns = 0;
  std::string kind;
  std::uint64_t dice = 0;  // the nemesis' stream, before it drew the kind
  std::uint64_t storm_left = 0;
  std::uint64_t storm_gap_max_ns = 0;

  std::uint64_t at_ms() const { return at_ns / kMillisecond; }
  friend bool operator==(const Strike&, const Strike&) = default;
};

}  // namespace quorate::sim
