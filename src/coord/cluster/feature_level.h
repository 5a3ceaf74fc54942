// FeatureLevel: what all members understand, as logged; in kMeta. Apply switches on it, so that every member executes a
// command the same way, whatever its build.
//
// Owned by Machine. Thread rule: the owner's thread. Invariant: it never falls, and is never above what this build
// knows: a build that is too old halts and says so, it does not guess.
#pragma once

#include <cstdint>

#include "coord/tables.h"

namespace quorate::coord {

class FeatureLevel {
 public:
  FeatureLevel(Tables& tables, std::uint32_t known_max);  // reads kMeta

  void Raise(std::uint32_t level);  // a lower one changes nothing
  std::uint32_t now() const { return now_; }

 private:
  void CheckKnown(std::uint32_t level) const;

  Tables& tables_;
  const std::uint32_t known_max_;
  std::uint32_t now_;
};

}  // namespace quorate::coord
