// The data directory's own files: the lock, and the list of members that it was made for.
//
// Called by Node at start, before anything else is opened. Thread rule: blocking, at start only.
#pragma once

#include "base/result.h"
#include "env/disk.h"
#include "server/config.h"

namespace quorate::server {

// Locks the directory. A new one gets the cluster file, durably, before the log exists; an old one overrides config's
// members and token by its own. DATA_LOSS when there is a log and no cluster file.
Status OpenDataDirectory(env::Disk& disk, ServeConfig* config);

}  // namespace quorate::server
