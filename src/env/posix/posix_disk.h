// PosixDisk: the real Disk, a directory of the file system.
//
// Sync is fdatasync, SyncDirectory an fsync of the directory; Preallocate is fallocate, or a larger size where the file
// system has none. WriteAndSync blocks the disk's own LogThread and posts `done` to the executor given here, which must
// outlive every completion. A sync that failed must not be tried again: Linux marks the pages clean, and the next sync
// returns ok without having written them (the PostgreSQL community's "fsyncgate", 2018).
//
// Thread rule: as env/disk.h says. Lock holds an flock, so it ends with the process, however that ends.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "env/disk.h"
#include "env/executor.h"
#include "env/posix/log_thread.h"

namespace quorate::env {

class Descriptor;

class PosixDisk final : public Disk {
 public:
  // Makes the root directory, and its parents, if they are absent.
  static Result<std::unique_ptr<PosixDisk>> Open(const std::string& root, Executor& executor);
  ~PosixDisk() override;

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

 private:
  PosixDisk(std::string root, Executor& executor) : root_(std::move(root)), executor_(executor) {}

  std::string FullPath(const std::string& path) const { return root_ + "/" + path; }
  Result<std::unique_ptr<File>> OpenFile(const std::string& path, int flags);

  std::string root_;
  Executor& executor_;
  std::mutex locks_mutex_;
  std::map<std::string, std::shared_ptr<Descriptor>> locks_;
  LogThread log_thread_;         // these two last: they end first, with their jobs done,
  LogThread background_thread_;  // and this one before the other, because its jobs may use files
};

}  // namespace quorate::env
