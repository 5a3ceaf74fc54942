// ReplayMachine: a state machine of its own, that a tool fills from a snapshot and drives through a log. Blocking calls
// over the machine's asynchronous ones.
//
// Used by restore.cc. Thread rule: one thread, which runs the loop inside the calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "consensus/core.h"
#include "coord/machine.h"
#include "env/posix/asio_executor.h"
#include "replica/snapshot_file.h"

namespace quorate::server {

class ReplayMachine {
 public:
  // `directory` is for what does not fit into memory; it is the caller's to remove.
  static Result<std::unique_ptr<ReplayMachine>> Open(const std::string& directory);
  virtual ~ReplayMachine() = default;

  // From the rows of a snapshot file, as `read` gives them: an empty vector is the end.
  virtual Status Install(LogIndex last, std::uint64_t state_hash,
                         const std::function<Result<std::vector<replica::SnapshotRow>>()>& read) = 0;
  virtual Status Apply(const consensus::Entry& entry) = 0;
  // All rows of the present state, in order, as often as it is called.
  virtual Status Walk(const std::function<Status(std::vector<replica::SnapshotRow>)>& visit) = 0;
  virtual coord::Machine& machine() = 0;
};

}  // namespace quorate::server
