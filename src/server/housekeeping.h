// Housekeeping: what a member does without being asked. Runs the leader's due commands (lease expiry, cluster time),
// delivers watch events after applying, and tells the cluster this member's name and client URLs.
//
// Made by Node. Thread rule: the reactor's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "coord/backend.h"
#include "env/clock.h"
#include "env/executor.h"
#include "server/config.h"

namespace quorate::server {

class Housekeeping {
 public:
  // `chores` are run at every tick, about every 100 ms.
  Housekeeping(const ServeConfig& config, coord::Backend& backend, env::Executor& executor, const env::Clock& clock,
               std::function<void()> chores);
  ~Housekeeping();
  Housekeeping(const Housekeeping&) = delete;
  Housekeeping& operator=(const Housekeeping&) = delete;

  void OnApplied();

 private:
  void Tick();
  void ProposeDue();
  void Publish();
  void PumpWatches();

  const coord::PublishMember published_;  // what the cluster should know of this member
  const bool joined_;                     // it is not one of the first members
  const std::function<void()> chores_;
  coord::Backend& backend_;
  env::Executor& executor_;
  const env::Clock& clock_;
  env::TimerId timer_ = 0;
  bool publishing_ = false;
  bool pump_posted_ = false;
  std::uint64_t due_in_flight_ = 0;
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::server
