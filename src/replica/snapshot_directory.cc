#include "replica/snapshot_directory.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace quorate::replica {
namespace {

constexpr std::string_view kWholeSuffix = ".snap";
constexpr std::string_view kPartSuffix = ".part";
constexpr std::string_view kGoneSuffix = ".gone";
constexpr std::uint64_t kLargeBytes = 32 << 20;
constexpr std::uint64_t kReadBytes = 256 << 10;
constexpr std::uint64_t kHeaderReadBytes = 64 << 10;

std::string Path(std::uint64_t id, std::string_view suffix) {
  char digits[17] = {};
  const auto end = std::to_chars(digits, digits + 16, id, 16).ptr;
  const std::string_view text(digits, static_cast<std::size_t>(end - digits));
  return std::string(kSnapshotDirectory) + "/" + std::string(16 - text.size(), '0') + std::string(text) +
         std::string(suffix);
}

std::optional<std::uint64_t> ParseName(std::string_view name, std::string_view suffix) {
  if (name.size() != 16 + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 16, id, 16);
  if (error != std::errc() || end != name.data() + 16) return std::nullopt;
  return id;
}

// Reads the file in pieces, one a turn of the loop, and waits for the sink in between.
class Load final : public SnapshotLoad {
 public:
  Load(env::Disk& disk, env::Executor& executor, std::uint64_t id, SnapshotExpectation expected, StateMachine& machine,
       std::function<void(Result<SnapshotHeader>)> done)
      : disk_(disk),
        executor_(executor),
        id_(id),
        machine_(machine),
        done_(std::move(done)),
        reader_(expected),
        alive_(std::make_shared<const bool>(true)) {}

  void Begin() {
    Later([this] {
      const Status opened = Open();
      opened.ok() ? Step() : End(opened);
    });
  }
  std::uint64_t bytes_done() const override { return reader_.offset(); }
  std::uint64_t bytes_total() const override { return size_; }

 private:
  template <class Task>
  auto Guarded(Task task) {
    return [task = std::move(task), alive = std::weak_ptr<const bool>(alive_)](auto&&... arguments) {
      if (!alive.expired()) task(std::forward<decltype(arguments)>(arguments)...);
    };
  }
  template <class Task>
  void Later(Task task) {
    executor_.Post(Guarded(std::move(task)));
  }

  Status Open() {
    Result<std::unique_ptr<env::File>> file = disk_.Open(SnapshotPath(id_));
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
    const Result<std::uint64_t> size = file_->Size();
    if (!size.ok()) return size.status();
    size_ = *size;
    return Status::Ok();
  }

  void Step() {
    const Status read = ReadPiece();
    if (!read.ok()) return End(read);
    if (sink_ == nullptr && reader_.header()) sink_ = machine_.BeginInstall(reader_.header()->meta.last);
    std::vector<SnapshotRow> rows = reader_.TakeRows();
    if (!rows.empty()) {
      CHECK(sink_ != nullptr);
      sink_->Add(std::move(rows), Guarded([this](const Status& status) {
                   if (!status.ok()) return End(status);
                   Later([this] { Step(); });
                 }));
    } else if (reader_.complete() && reader_.offset() == size_) {
      sink_->Finish(reader_.header()->state_hash, Guarded([this](const Status& status) { End(status); }));
    } else {
      Later([this] { Step(); });
    }
  }

  Status ReadPiece() {
    if (reader_.offset() == size_) return reader_.Finish();
    const Result<std::string> piece = file_->Read(reader_.offset(), std::min(kReadBytes, size_ - reader_.offset()));
    if (!piece.ok()) return piece.status();
    if (piece->empty()) return Status::DataLoss(SnapshotPath(id_) + " has become shorter");
    const Status added = reader_.Add(*piece);
    return added.ok() ? added : Status(added.code(), SnapshotPath(id_) + ": " + added.message());
  }

  void End(const Status& status) {
    // The last action: `done` may destroy this. The sink stays until then: it may be calling.
    const auto done = std::move(done_);
    if (status.ok()) {
      done(*reader_.header());
    } else {
      done(status);
    }
  }

  env::Disk& disk_;
  env::Executor& executor_;
  const std::uint64_t id_;
  StateMachine& machine_;
  std::function<void(Result<SnapshotHeader>)> done_;
  SnapshotReader reader_;
  std::unique_ptr<env::File> file_;
  std::uint64_t size_ = 0;
  std::unique_ptr<SnapshotSink> sink_;
  std::shared_ptr<const bool> alive_;
};

}  // namespace

std::string SnapshotPath(std::uint64_t id) {
  return Path(id, kWholeSuffix);
}
std::string SnapshotPartPath(std::uint64_t id) {
  return Path(id, kPartSuffix);
}

std::vector<std::uint64_t> ListSnapshots(const env::Disk& disk) {
  std::vector<std::uint64_t> ids;
  const Result<std::vector<std::string>> names = disk.List(kSnapshotDirectory);
  if (!names.ok()) return ids;
  for (const std::string& name : *names) {
    if (const std::optional<std::uint64_t> id = ParseName(name, kWholeSuffix)) ids.push_back(*id);
  }
  return ids;
}

Status PrepareSnapshotDirectory(env::Disk& disk) {
  RETURN_IF_ERROR(disk.CreateDirectory(kSnapshotDirectory));
  const Result<std::vector<std::string>> names = disk.List(kSnapshotDirectory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!ParseName(name, kPartSuffix) && !name.ends_with(kGoneSuffix)) continue;
    RETURN_IF_ERROR(disk.Remove(std::string(kSnapshotDirectory) + "/" + name));
  }
  return disk.SyncDirectory("");
}

Status RemoveSnapshotFile(env::Disk& disk, const std::string& path) {
  std::uint64_t size = 0;
  if (const Result<std::unique_ptr<env::File>> file = disk.Open(path); file.ok()) {
    const Result<std::uint64_t> found = (*file)->Size();
    if (found.ok()) size = *found;
  }
  if (size < kLargeBytes) return disk.Remove(path);
  const std::string gone = path + std::string(kGoneSuffix);  // another one may get the name before the bytes are gone
  RETURN_IF_ERROR(disk.Rename(path, gone));
  disk.InBackground([&disk, gone] { return disk.Remove(gone); },
                    [](const Status& removed) {
                      if (!removed.ok()) LogWarn("a snapshot that is not needed any more stays: " + removed.message());
                    });
  return Status::Ok();
}

Status RemoveSnapshotsExcept(env::Disk& disk, std::uint64_t keep) {
  bool removed = false;
  for (const std::uint64_t id : ListSnapshots(disk)) {
    if (id == keep) continue;
    RETURN_IF_ERROR(disk.Remove(SnapshotPath(id)));
    removed = true;
  }
  return removed ? disk.SyncDirectory(kSnapshotDirectory) : Status::Ok();
}

Result<SnapshotHeader> ReadSnapshotHeader(env::Disk& disk, const std::string& path) {
  const Result<std::unique_ptr<env::File>> file = disk.Open(path);
  if (!file.ok()) return file.status();
  SnapshotReader reader({}, false);
  while (!reader.header()) {
    const Result<std::string> piece = (*file)->Read(reader.offset(), kHeaderReadBytes);
    if (!piece.ok()) return piece.status();
    if (piece->empty()) return reader.Finish();
    // Only the header is of interest here: what comes behind it may be damaged.
    const Status added = reader.Add(*piece);
    if (!added.ok() && !reader.header()) return added;
  }
  return *reader.header();
}

std::unique_ptr<SnapshotLoad> LoadSnapshot(env::Disk& disk, env::Executor& executor, std::uint64_t id,
                                           SnapshotExpectation expected, StateMachine& machine,
                                           std::function<void(Result<SnapshotHeader>)> done) {
  auto load = std::make_unique<Load>(disk, executor, id, expected, machine, std::move(done));
  load->Begin();
  return load;
}

}  // namespace quorate::replica
