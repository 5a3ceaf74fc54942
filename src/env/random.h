// Random: seeded from the operating system at wiring, from the run's seed in the simulator. Thread rule: the owner's
// thread.
#pragma once

#include <cstdint>

namespace quorate::env {

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t Next() = 0;  // uniform over 64 bits
  std::uint64_t Below(std::uint64_t bound) {
    return bound == 0 ? 0 : Next() % bound;
  }  // slight bias is fine for what it is used for
};

}  // namespace quorate::env
