// Clock: the only way to learn the time outside env/posix. Given to the few who need it; thread rule: any thread.
#pragma once

#include <cstdint>

namespace quorate::env {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::uint64_t MonotonicNs() const = 0;  // never goes back; starts anywhere
  virtual std::int64_t WallNs() const = 0;        // since 1970-01-01 UTC; may jump; for display only, never in apply
};

}  // namespace quorate::env
