#include "cut_disk.h"

#include <utility>

namespace quorate::crash_lab {
namespace {

// A file and what is known of it; shared with a job under way.
struct Parts {
  std::unique_ptr<env::File> real;
  std::string path;
  PowerCut& cut;
  std::shared_ptr<TrackedFile> tracked;

  Status Write(std::uint64_t offset, std::string_view data) {
    cut.Reach(path, Step::kWrite);
    const auto hold = cut.Hold();
    cut.NoteWrite(*tracked, offset, data);
    return real->Write(offset, data);
  }
  Status Sync() {
    cut.Reach(path, Step::kSync);
    const std::uint64_t now = cut.Now();
    const Status synced = real->Sync();
    if (synced.ok()) cut.Synced(*tracked, now);
    cut.Reach(path, Step::kSynced);
    return synced;
  }
};

class CutFile final : public env::File {
 public:
  CutFile(Parts parts, env::LogThread& thread, env::Executor& executor)
      : parts_(std::make_shared<Parts>(std::move(parts))), thread_(thread), executor_(executor) {}

  Result<std::uint64_t> Size() const override { return parts_->real->Size(); }
  Result<std::string> Read(std::uint64_t offset, std::uint64_t length) const override {
    const auto hold = parts_->cut.Hold();  // nobody reads what a cut is taking back
    return parts_->real->Read(offset, length);
  }
  Status Write(std::uint64_t offset, std::string_view data) override { return parts_->Write(offset, data); }
  Status Sync() override { return parts_->Sync(); }
  Status Truncate(std::uint64_t size) override {
    const auto hold = parts_->cut.Hold();
    parts_->cut.NoteSize(*parts_->tracked, size);
    return parts_->real->Truncate(size);
  }
  Status Preallocate(std::uint64_t size) override {
    const auto hold = parts_->cut.Hold();
    const Result<std::uint64_t> now = parts_->real->Size();
    if (now.ok() && size > *now) parts_->cut.NoteSize(*parts_->tracked, size);
    return parts_->real->Preallocate(size);
  }
  void WriteAndSync(std::uint64_t offset, std::string data, std::function<void(Status)> done) override {
    thread_.Add(
        [parts = parts_, &executor = executor_, offset, data = std::move(data), done = std::move(done)]() mutable {
          Status status = parts->Write(offset, data);
          if (status.ok()) status = parts->Sync();
          executor.Post([done = std::move(done), status = std::move(status)] { done(status); });
        });
  }

 private:
  std::shared_ptr<Parts> parts_;
  env::LogThread& thread_;
  env::Executor& executor_;
};

}  // namespace

std::unique_ptr<env::File> CutDisk::Wrap(const std::string& path, std::unique_ptr<env::File> file) {
  std::shared_ptr<TrackedFile> tracked = cut_.Track(path);
  return std::make_unique<CutFile>(Parts{std::move(file), path, cut_, std::move(tracked)}, log_thread_, executor_);
}

Result<std::unique_ptr<env::File>> CutDisk::Open(const std::string& path) {
  Result<std::unique_ptr<env::File>> file = real_->Open(path);
  if (!file.ok()) return file.status();
  return Wrap(path, *std::move(file));
}

Result<std::unique_ptr<env::File>> CutDisk::Create(const std::string& path) {
  cut_.Reach(path, Step::kCreate);
  Result<std::unique_ptr<env::File>> file = [&] {
    const auto hold = cut_.Hold();
    Result<std::unique_ptr<env::File>> created = real_->Create(path);
    if (created.ok()) cut_.NoteCreate(path);
    return created;
  }();
  if (!file.ok()) return file.status();
  return Wrap(path, *std::move(file));
}

Status CutDisk::Rename(const std::string& from, const std::string& to) {
  cut_.Reach(to, Step::kRename);
  const auto hold = cut_.Hold();
  cut_.NoteRename(from, to);
  Status renamed = real_->Rename(from, to);
  if (!renamed.ok()) cut_.NotDone();
  return renamed;
}

Status CutDisk::Remove(const std::string& path) {
  cut_.Reach(path, Step::kRemove);
  const auto hold = cut_.Hold();
  cut_.NoteRemove(path);
  Status removed = real_->Remove(path);
  if (!removed.ok()) cut_.NotDone();
  return removed;
}

Status CutDisk::SyncDirectory(const std::string& path) {
  cut_.Reach(path, Step::kDirectorySync);
  const std::uint64_t now = cut_.Now();
  const Status synced = real_->SyncDirectory(path);
  if (synced.ok()) cut_.DirectorySynced(path, now);
  return synced;
}

}  // namespace quorate::crash_lab
