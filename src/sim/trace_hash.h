// TraceHash: a running hash over everything that happens in a simulation. Two runs of one seed must end with the same
// value; when they do not, something in the product or in the simulator is not deterministic. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace quorate::sim {

class TraceHash {
 public:
  void Mix(std::uint64_t value) {
    value_ = (value_ ^ value) * 0xff51afd7ed558ccdULL;
    value_ ^= value_ >> 32;
  }
  void MixBytes(std::string_view bytes);
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0x51f15eed;
};

}  // namespace quorate::sim
