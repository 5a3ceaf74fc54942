// Node: one member, wired. The only place that names the concrete parts; see docs/ARCHITECTURE.md for the picture.
//
// Called by cli/. Thread rule: RunNode owns the calling thread, which becomes the reactor; the log has a thread of its
// own.
#pragma once

#include "base/result.h"
#include "server/config.h"

namespace quorate::server {

// Opens the data directory, joins the cluster, serves until SIGTERM or SIGINT, and closes the log cleanly. A Status
// says why it could not start or had to stop: foreign or damaged directory, port in use (with the flag), failed disk.
Status RunNode(const ServeConfig& config);

}  // namespace quorate::server
