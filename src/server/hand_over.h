// HandOver: a member that is told to stop lets another lead first, so that the cluster does not wait for an election.
//
// Made by Node on SIGTERM. Thread rule: the reactor's thread.
#pragma once

#include <cstdint>
#include <functional>

#include "env/clock.h"
#include "replica/group.h"

namespace quorate::server {

// Calls `done` once: at once when this member does not lead or is alone, otherwise when another leads or after
// `timeout_ns`. Never from inside.
void HandOver(replica::Group& group, env::Executor& executor, const env::Clock& clock, std::uint64_t timeout_ns,
              std::function<void()> done);

}  // namespace quorate::server
