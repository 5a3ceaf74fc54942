// RecordHash: what one record of one table adds to the state hash.
//
// The state hash is the sum over all records of all replicated tables but kValue (a row of kKv names its value's
// checksum), modulo 2^64: independent of order and history, so it is kept up to date with the writes. What compaction
// of revisions removes is not taken out: members remove at their own pace, and remember the sum of what they removed
// (LocalState::dropped_hash), so that hash = sum over the tables + dropped_hash. Plain function, any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "store/engine.h"

namespace quorate::store {

std::uint64_t RecordHash(Table table, std::string_view key, std::string_view value);

}  // namespace quorate::store
