// The keyspace's file system, telling a PowerCut of every operation: what RocksDB is given instead of its own.
#pragma once

#include <memory>

#include "power_cut.h"

namespace rocksdb {
class Env;
}

namespace quorate::crash_lab {

// `cut` outlives it.
std::unique_ptr<rocksdb::Env> MakeCutEnv(PowerCut& cut);

}  // namespace quorate::crash_lab
