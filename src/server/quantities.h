// Amounts as people write them in flags. Plain functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quorate::server {

// "1048576", "50MiB", "50MB", "2GiB": at most 8 GiB. INVALID_ARGUMENT says what it takes.
Result<std::uint64_t> ParseBytes(std::string_view text);
// "90s", "45m", "24h", "7d", in nanoseconds: at most ten years.
Result<std::uint64_t> ParseDuration(std::string_view text);
// Nanoseconds since 1970 as "2026-11-25T01:02:03Z".
std::string FormatTime(std::int64_t wall_ns);

}  // namespace quorate::server
