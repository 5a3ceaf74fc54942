// MemoryDisk: a Disk in memory whose Crash() loses what was not synced, for tests and the simulator.
//
// Two images of everything: what the running system sees, and what a power cut would leave. Write changes the first;
// Sync carries it over to the second; names (create, rename, remove, directories) follow at SyncDirectory. Crash()
// decides by a seeded generator how much of the unsynced rest survives, makes every open File dead and keeps
// outstanding completions from ever arriving. The object itself lives on: open the files again.
//
// Thread rule: the executor's thread. Invariants: a byte that a returned Sync covered survives every crash (unless
// `sync lies` was set); a survivor is never anything but old bytes or new bytes, sector by sector.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "env/disk.h"
#include "env/executor.h"

namespace quorate::env {

// What a crash leaves of writes and directory changes that no sync had covered.
enum class Survival : std::uint8_t {
  kNothing = 1,      // only what was synced
  kPrefix = 2,       // the first operations, the last of them cut at any byte
  kTornSectors = 3,  // any choice of 512-byte sectors
  kEverything = 4,   // as after kill -9 of the process alone: the operating system still has it all
};

enum class DiskOp : std::uint8_t {
  kCreate = 1,
  kWrite = 2,
  kSync = 3,
  kTruncate = 4,
  kPreallocate = 5,
  kRename = 6,
  kRemove = 7,
  kCreateDirectory = 8,
  kSyncDirectory = 9,
  kNote = 10,  // not an operation: a mark that a test put there
};

struct DiskRecord {
  DiskOp op = DiskOp::kNote;
  std::string path;  // kNote: the text
  std::string to;    // kRename
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct DiskCounters {
  std::uint64_t operations = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t syncs = 0;
};

class MemoryDisk final : public Disk {
 public:
  static constexpr std::uint64_t kSectorBytes = 512;

  MemoryDisk(Executor& executor, std::uint64_t seed);
  ~MemoryDisk() override;

  Result<std::vector<std::string>> List(const std::string& directory) const override;
  Result<std::unique_ptr<File>> Open(const std::string& path) override;
  Result<std::unique_ptr<File>> Create(const std::string& path) override;
  bool Exists(const std::string& path) const override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status CreateDirectory(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  void InBackground(std::function<Status()> work, std::function<void(Status)> done) override;
  Status Lock(const std::string& path) override;

  // The power goes and comes back. Files opened before answer UNAVAILABLE from now on.
  void Crash(Survival survival);
  // The disk stops during the n-th operation from now (1 = the next): that one has its effect on unsynced state only,
  // and it and all later ones answer UNAVAILABLE and complete never, until Crash(). 0 = never.
  void StopAfter(std::uint64_t operations);
  bool stopped() const;

  // How long a WriteAndSync takes, and with an empty path a work in the background; default: it completes with the
  // executor's next turn.
  void SetLatency(std::function<std::uint64_t(const std::string& path, std::uint64_t bytes)> delay_ns);
  // The next `count` writes (or syncs) of the file fail. A sync that failed has dropped the dirty bytes: a later sync
  // of the same file returns ok without them, as Linux does.
  void FailWrites(const std::string& path, std::uint64_t count, Status status);
  void FailSyncs(const std::string& path, std::uint64_t count, Status status);
  // The n-th operation of this kind from now (1 = the next) answers `status` and has no effect; one such order at a
  // time for a kind. For kRemove to kSyncDirectory, whatever the path.
  void FailOperation(DiskOp kind, std::uint64_t n, Status status);
  // How many bytes fit: the sizes of all files and kNameBytes for each name. What does not fit is answered with
  // RESOURCE_EXHAUSTED; of a write, what fits is written. 0 = no limit.
  static constexpr std::uint64_t kNameBytes = 512;
  void SetCapacity(std::uint64_t bytes);
  std::uint64_t used() const;
  // From now on a sync answers ok and makes nothing durable.
  void SetSyncLies(bool lies);
  // The medium changes by itself, in both images. REQUIRES that the file has that byte.
  void FlipBit(const std::string& path, std::uint64_t offset, unsigned bit);
  // The same for a whole stretch, which becomes garbage drawn from the seed.
  void Corrupt(const std::string& path, std::uint64_t offset, std::uint64_t length);
  // Replaces or makes a file, durable at once: for tests that prepare a directory.
  void Install(const std::string& path, std::string content);
  // The file as the running system sees it; empty if absent.
  std::string Content(const std::string& path) const;

  // The operations in the order in which they took effect, kept from SetJournal(true) on.
  void SetJournal(bool on);
  void Note(std::string text);
  const std::vector<DiskRecord>& journal() const;
  const DiskCounters& counters() const;

 private:
  friend class MemoryFile;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace quorate::env
