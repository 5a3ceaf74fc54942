// OsRandom: the kernel's generator, read in small lots. For seeds, jitter and tokens. Thread rule: the owner's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "env/random.h"

namespace quorate::env {

class OsRandom final : public Random {
 public:
  std::uint64_t Next() override;

 private:
  std::array<std::uint64_t, 32> lot_{};  // 256 bytes: getrandom gives that many without being interrupted
  std::size_t left_ = 0;
};

}  // namespace quorate::env
