// PosixClock: the machine's clocks. Made by server/ wiring and by cli/; thread rule: any thread.
#pragma once

#include "env/clock.h"

namespace quorate::env {

class PosixClock final : public Clock {
 public:
  std::uint64_t MonotonicNs() const override;
  std::int64_t WallNs() const override;
};

}  // namespace quorate::env
