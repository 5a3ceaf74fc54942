// Disk: files, for the log and for identity. env/posix/disk.h is the real one, env/memory_disk.h loses unsynced bytes
// at a crash.
//
// Blocking calls are for start, recovery and background threads. AppendAndSync is the one asynchronous call, for the
// log's hot path: a log thread writes and syncs, then posts `done` to the executor given at opening. InBackground runs
// whole pieces of work elsewhere. Thread rule: one
// owner per File; Disk: any thread. Paths are relative to the disk's root and use '/'. Errors name the file and the
// operating system's reason.
//
// No space left is RESOURCE_EXHAUSTED, from whichever call met it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace quorate::env {

class File {
 public:
  virtual ~File() = default;
  virtual Result<std::uint64_t> Size() const = 0;
  virtual Result<std::string> Read(std::uint64_t offset,
                                   std::uint64_t length) const = 0;       // shorter only at the end of the file
  virtual Status Write(std::uint64_t offset, std::string_view data) = 0;  // not durable before Sync
  virtual Status Sync() = 0;                                              // fdatasync
  virtual Status Truncate(std::uint64_t size) = 0;
  virtual Status Preallocate(
      std::uint64_t size) = 0;  // makes room so that later writes need no metadata; reads as zeros
  // Writes at `offset` and syncs, then calls `done` on the executor. At most one in flight per file; REQUIRES that no
  // other call is made on this file until then.
  virtual void WriteAndSync(std::uint64_t offset, std::string data, std::function<void(Status)> done) = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::vector<std::string>> List(
      const std::string& directory) const = 0;                                // names, sorted; NOT_FOUND if absent
  virtual Result<std::unique_ptr<File>> Open(const std::string& path) = 0;    // read and write; NOT_FOUND if absent
  virtual Result<std::unique_ptr<File>> Create(const std::string& path) = 0;  // new and empty; ALREADY_EXISTS
  virtual bool Exists(const std::string& path) const = 0;
  virtual Status Rename(const std::string& from,
                        const std::string& to) = 0;  // replaces `to`; durable after SyncDirectory
  virtual Status Remove(const std::string& path) = 0;
  virtual Status CreateDirectory(const std::string& path) = 0;  // ok if it exists
  virtual Status SyncDirectory(const std::string& path) = 0;
  // Runs `work`, which may call this Disk and blocks, on a thread of its own (in a simulation: as one task of the
  // executor, later), then `done` with its result on the executor. Works run one after another, in this order; those
  // that wait are done before the Disk goes. For what takes longer than a reactor may: removing or allocating
  // large files.
  virtual void InBackground(std::function<Status()> work, std::function<void(Status)> done) = 0;
  virtual Status Lock(
      const std::string& path) = 0;  // exclusive until this Disk is destroyed; says who when it is taken
};

}  // namespace quorate::env
