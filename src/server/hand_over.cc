#include "server/hand_over.h"

#include <optional>
#include <string>
#include <utility>

#include "base/log.h"

namespace quorate::server {

void HandOver(replica::Group& group, env::Executor& executor, const env::Clock& clock, std::uint64_t timeout_ns,
              std::function<void()> done) {
  const std::optional<ReplicaId> to = group.Successor();
  if (!to) {
    executor.Post(std::move(done));
    return;
  }
  LogInfo("handing leadership over to member " + std::to_string(to->value));
  group.TransferLeadership(*to, clock.MonotonicNs() + timeout_ns, [done = std::move(done)](replica::Fate fate) {
    if (fate != replica::Fate::kApplied) LogWarn("no other member took leadership over in time; the rest will elect");
    done();
  });
}

}  // namespace quorate::server
