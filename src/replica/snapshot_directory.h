// Where a member keeps snapshots that it received: snapshots/<id>.snap below the data directory, whole and verified
// under that name; <id>.part while one arrives; <name>.gone while a large one goes. Called by the receiver, by Group
// and by server/. Blocking, small calls; the thread rule is the disk's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/disk.h"
#include "env/executor.h"
#include "replica/snapshot_file.h"
#include "replica/state_machine.h"

namespace quorate::replica {

inline constexpr char kSnapshotDirectory[] = "snapshots";

std::string SnapshotPath(std::uint64_t id);
std::string SnapshotPartPath(std::uint64_t id);

// The ids of the whole ones, ascending; none when there is no directory.
std::vector<std::uint64_t> ListSnapshots(const env::Disk& disk);
// Makes the directory and removes what a crash left half received or half removed.
Status PrepareSnapshotDirectory(env::Disk& disk);
// Removes all whole ones but `keep` (0 = all).
Status RemoveSnapshotsExcept(env::Disk& disk, std::uint64_t keep);
// Removes a whole one or a part. A large file loses its name at once and its bytes in the background: the operating
// system takes half a millisecond for each megabyte, which a loop does not have.
Status RemoveSnapshotFile(env::Disk& disk, const std::string& path);
Result<SnapshotHeader> ReadSnapshotHeader(env::Disk& disk, const std::string& path);

// Loads snapshots/<id>.snap into `machine` (BeginInstall, Add, Finish), piece by piece on the executor, checking every
// byte again. `done` is called once, with the header, never from inside; the handle must live until then, and
// destroying it earlier stops the load without a word.
class SnapshotLoad {
 public:
  virtual ~SnapshotLoad() = default;
  virtual std::uint64_t bytes_done() const = 0;
  virtual std::uint64_t bytes_total() const = 0;
};
std::unique_ptr<SnapshotLoad> LoadSnapshot(env::Disk& disk, env::Executor& executor, std::uint64_t id,
                                           SnapshotExpectation expected, StateMachine& machine,
                                           std::function<void(Result<SnapshotHeader>)> done);

}  // namespace quorate::replica
