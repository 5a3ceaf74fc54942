// CutDisk: env::Disk over the real one, telling a PowerCut of every operation. Thread rule: as env/disk.h says.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "env/disk.h"
#include "env/executor.h"
#include "env/posix/log_thread.h"
#include "power_cut.h"

namespace quorate::crash_lab {

class CutDisk final : public env::Disk {
 public:
  CutDisk(std::unique_ptr<env::Disk> real, env::Executor& executor, PowerCut& cut)
      : real_(std::move(real)), executor_(executor), cut_(cut) {}

  Result<std::vector<std::string>> List(const std::string& directory) const override { return real_->List(directory); }
  Result<std::unique_ptr<env::File>> Open(const std::string& path) override;
  Result<std::unique_ptr<env::File>> Create(const std::string& path) override;
  bool Exists(const std::string& path) const override { return real_->Exists(path); }
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status CreateDirectory(const std::string& path) override { return real_->CreateDirectory(path); }
  Status SyncDirectory(const std::string& path) override;
  void InBackground(std::function<Status()> work, std::function<void(Status)> done) override {
    real_->InBackground(std::move(work), std::move(done));
  }
  Status Lock(const std::string& path) override { return real_->Lock(path); }

 private:
  std::unique_ptr<env::File> Wrap(const std::string& path, std::unique_ptr<env::File> file);

  std::unique_ptr<env::Disk> real_;
  env::Executor& executor_;
  PowerCut& cut_;
  env::LogThread log_thread_;  // last: it ends first, with its jobs done
};

}  // namespace quorate::crash_lab
