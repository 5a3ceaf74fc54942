// What the parts of `quorate snapshot` share. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/commands.h"
#include "server/quantities.h"

namespace CLI {
class App;
}

namespace quorate::cli {

void AddSnapshotRestore(CLI::App& snapshot, Action* action);

// "2026-11-25T01:02:03Z", to the second.
using server::FormatTime;
// That, with a fraction or an offset like +02:00 if wanted, or seconds since 1970. INVALID_ARGUMENT says what it takes.
Result<std::int64_t> ParseTime(std::string_view text);

}  // namespace quorate::cli
