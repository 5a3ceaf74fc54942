#include "env/posix/posix_clock.h"

#include <time.h>

namespace quorate::env {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

std::int64_t Read(clockid_t which) {
  timespec now{};
  clock_gettime(which, &now);
  return static_cast<std::int64_t>(now.tv_sec) * kNsPerSecond + now.tv_nsec;
}

}  // namespace

std::uint64_t PosixClock::MonotonicNs() const {
  return static_cast<std::uint64_t>(Read(CLOCK_MONOTONIC));
}
std::int64_t PosixClock::WallNs() const {
  return Read(CLOCK_REALTIME);
}

}  // namespace quorate::env
