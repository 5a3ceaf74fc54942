#include "frontend/etcd/leader_monitor.h"

#include <utility>

namespace quorate::frontend::etcd {
namespace {

constexpr int kLooksWithoutLeaderMax = 3;

}  // namespace

LeaderMonitor::~LeaderMonitor() {
  if (timer_ != 0) wiring_.executor.Cancel(timer_);
}

bool LeaderMonitor::Requires(const net::ServerCall& call) {
  return call.metadata("hasleader") == "true";
}

bool LeaderMonitor::has_leader() const {
  return static_cast<bool>(wiring_.backend.cluster().leader);
}

void LeaderMonitor::Add(LeaderDependent* stream) {
  streams_.insert(stream);
  if (timer_ == 0) {
    looks_without_leader_ = 0;
    Arm();
  }
}

void LeaderMonitor::Remove(LeaderDependent* stream) {
  streams_.erase(stream);
}

void LeaderMonitor::Arm() {
  timer_ = wiring_.executor.After(wiring_.options.election_timeout_ns, [this] { Look(); });
}

void LeaderMonitor::Look() {
  timer_ = 0;
  if (streams_.empty()) return;
  looks_without_leader_ = has_leader() ? 0 : looks_without_leader_ + 1;
  if (looks_without_leader_ < kLooksWithoutLeaderMax) return Arm();
  for (LeaderDependent* stream : std::exchange(streams_, {})) stream->OnNoLeader();
}

}  // namespace quorate::frontend::etcd
