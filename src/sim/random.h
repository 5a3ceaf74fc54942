// SeededRandom: the only source of chance in a simulation. One stream per purpose, all split from the run's seed, so
// that drawing one number more for the network does not change what the workload does.
//
// Thread rule: one thread (the whole simulator has one).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "env/random.h"

namespace quorate::sim {

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
class SeededRandom final : public env::Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  // The stream of one purpose; `number` tells several of a kind apart (one per client, say).
  static SeededRandom ForPurpose(std::uint64_t seed, std::string_view purpose, std::uint64_t number = 0);

  std::uint64_t Next() override;
  std::uint64_t state() const { return state_; }  // SeededRandom(state()) goes on like this one
  // Uniform over [low, high].
  std::uint64_t Between(std::uint64_t low, std::uint64_t high) {
    CHECK(low <= high) << low << " > " << high;
    return low + Below(high - low + 1);
  }
  bool Chance(std::uint64_t permille) { return Below(1000) < permille; }
  template <class T>
  const T& Pick(const std::vector<T>& from) {
    CHECK(!from.empty());
    return from[Below(from.size())];
  }

 private:
  std::uint64_t state_;
};

}  // namespace quorate::sim
