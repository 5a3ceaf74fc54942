// What the random schedules of the protocols have in common: how many there are, what they must come to, and the hunt
// for a seeded bug. Tests only. `Chaos` is a cluster of one protocol under a schedule drawn from a seed: Run(steps),
// Heal(), and what happened.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/bug.h"

namespace quorate::consensus {

#ifdef NDEBUG
inline constexpr std::uint64_t kRandomSeeds = 300;
#else
inline constexpr std::uint64_t kRandomSeeds = 20;  // sanitizers make a seed some fifty times slower
#endif

// Three to five members; with every odd seed two more come and go.
template <class Chaos>
Chaos DrawChaos(std::uint64_t seed) {
  return Chaos(seed, 3 + seed % 3, seed % 2 * 2);
}

// Members agree under chaos of `steps`, and get on in `healed_steps` after it. Over all seeds more than `installs_min`
// snapshots are installed.
template <class Chaos>
void ExpectAgreement(std::uint64_t steps, std::uint64_t healed_steps, std::size_t installs_min) {
  std::size_t decided = 0, leaders = 0, reads = 0, changes = 0, installs = 0;
  for (std::uint64_t seed = 1; seed <= kRandomSeeds && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    auto chaos = DrawChaos<Chaos>(seed);
    chaos.Run(steps);
    const std::size_t before = chaos.agreed();
    chaos.Heal();
    chaos.Run(healed_steps);
    EXPECT_GT(chaos.agreed(), before) << "no progress after everything was healed";
    decided += chaos.agreed();
    leaders += chaos.leaders();
    reads += chaos.reads_good();
    changes += chaos.changes();
    installs += chaos.installs();
  }
  EXPECT_GT(decided, 30 * kRandomSeeds);
  EXPECT_GT(leaders, 3 * kRandomSeeds);
  EXPECT_GT(reads, 30 * kRandomSeeds);
  EXPECT_GT(changes, 2 * kRandomSeeds);
  EXPECT_GT(installs, installs_min);
}

#ifdef QUORATE_BUGS
// The same schedules find the bug, by an expectation or by an invariant.
template <class Chaos>
void ExpectFound(const std::string& bug, std::uint64_t steps) {
  const auto hunt = [&] {
    SelectBug(bug);
    for (std::uint64_t seed = 1; seed <= 5'000; ++seed) {
      auto chaos = DrawChaos<Chaos>(seed);
      chaos.Run(steps);
      if (!testing::Test::HasFailure()) continue;
      std::fprintf(stderr, "found by seed %d\n", static_cast<int>(seed));
      std::_Exit(1);
    }
    std::_Exit(0);
  };
  const auto found = [](int status) { return status != 0; };
  EXPECT_EXIT(hunt(), found, "");
}
#endif

}  // namespace quorate::consensus
