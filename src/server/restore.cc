#include "server/restore.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "base/codec.h"
#include "coord/command.h"
#include "env/posix/asio_executor.h"
#include "env/posix/os_random.h"
#include "env/posix/posix_disk.h"
#include "replica/snapshot_directory.h"
#include "replica/snapshot_file.h"
#include "server/data_directory.h"
#include "server/quantities.h"
#include "server/replay_machine.h"
#include "server/restore_rows.h"
#include "wal/archive.h"

namespace quorate::server {
namespace {

namespace fs = std::filesystem;
using replica::SnapshotHeader;
using replica::SnapshotReader;
using replica::SnapshotRow;

constexpr GroupId kGroup{1};
constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::uint64_t kLogReadBytes = 4 << 20;

using Visit = std::function<Status(std::vector<SnapshotRow>)>;

// A snapshot file, read from its beginning as often as it is wanted.
class FileRows {
 public:
  explicit FileRows(std::string path) : path_(std::move(path)) {}

  Status Open() {
    input_.close();
    input_.clear();
    input_.open(path_, std::ios::binary);
    reader_.emplace();
    return input_ ? Status::Ok() : Status::NotFound(path_ + ": cannot be opened");
  }
  // The next rows; none at the end, and then the whole file was right.
  Result<std::vector<SnapshotRow>> Next() {
    std::string piece(kReadBytes, '\0');
    for (;;) {
      std::vector<SnapshotRow> rows = reader_->TakeRows();
      if (!rows.empty()) return rows;
      input_.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      const auto length = static_cast<std::size_t>(input_.gcount());
      if (length == 0) {
        RETURN_IF_ERROR(Named(reader_->Finish()));
        return rows;
      }
      RETURN_IF_ERROR(Named(reader_->Add(std::string_view(piece).substr(0, length))));
    }
  }
  Status Walk(const Visit& visit) {
    RETURN_IF_ERROR(Open());
    for (;;) {
      Result<std::vector<SnapshotRow>> rows = Next();
      if (!rows.ok()) return rows.status();
      if (rows->empty()) return Status::Ok();
      RETURN_IF_ERROR(visit(*std::move(rows)));
    }
  }
  const SnapshotHeader& header() const { return *reader_->header(); }

 private:
  Status Named(const Status& status) const {
    return status.ok() ? status : Status(status.code(), path_ + ": " + status.message());
  }

  const std::string path_;
  std::ifstream input_;
  std::optional<SnapshotReader> reader_;
};

// What is to be written: the old cluster's header and state.
struct OldState {
  SnapshotHeader header;
  std::function<Status(const Visit&)> walk;
  // Whatever `walk` stands on.
  std::shared_ptr<FileRows> file;
  std::shared_ptr<ReplayMachine> replay;
};

std::int64_t WallOf(const consensus::Entry& entry) {
  if (entry.kind != consensus::EntryKind::kCommand) return 0;
  const Result<coord::Command> command = coord::DecodeCommand(entry.payload);
  return command.ok() ? command->envelope.wall_time_ns : 0;
}

// The log of an old directory, and what it can be replayed on.
class OldLog {
 public:
  explicit OldLog(const RestoreOptions& options) : options_(options) {}

  Status Open() {
    if (!fs::is_directory(options_.from_data_dir)) {
      return Status::NotFound("--from-data-dir: there is no directory " + options_.from_data_dir);
    }
    Result<std::unique_ptr<env::PosixDisk>> disk = env::PosixDisk::Open(options_.from_data_dir, executor_);
    if (!disk.ok()) return disk.status();
    disk_ = *std::move(disk);
    RETURN_IF_ERROR(disk_->Lock("lock"));  // a directory in use moves under the reader
    Result<std::unique_ptr<wal::ArchiveReader>> reader = wal::ArchiveReader::Open(*disk_);
    if (!reader.ok()) return reader.status();
    reader_ = *std::move(reader);
    const auto ranges = reader_->ranges();
    const auto range = ranges.find(kGroup);
    if (range != ranges.end()) range_ = range->second;
    return Status::Ok();
  }

  const wal::ArchiveRange& range() const { return range_; }
  const std::string& gap() const { return reader_->gap(); }
  ClusterId cluster() const { return reader_->identity().cluster; }
  LogIndex before_first() const { return range_.first ? range_.first.Prev() : LogIndex(); }

  // Entries after `applied`, until `visit` says that it is enough.
  Status Read(LogIndex applied, const std::function<Result<bool>(const consensus::Entry&)>& visit) {
    LogIndex next = applied.Next();
    while (range_.last && next <= range_.last) {
      const Result<std::vector<consensus::Entry>> entries = reader_->Read(kGroup, next, kLogReadBytes);
      if (!entries.ok()) return entries.status();
      if (entries->empty()) break;
      for (const consensus::Entry& entry : *entries) {
        const Result<bool> more = visit(entry);
        if (!more.ok()) return more.status();
        if (!*more) return Status::Ok();
        next = entry.index.Next();
      }
    }
    return Status::Ok();
  }

  // The snapshot to begin with: the one that was given, else the oldest of the directory's own that the log goes on
  // from; empty: none is needed, the log has everything.
  Result<std::string> Base() {
    if (!options_.file.empty()) return options_.file;
    if (range_.first <= LogIndex(1) && range_.last) return std::string();
    for (const std::uint64_t id : replica::ListSnapshots(*disk_)) {
      const std::string path = replica::SnapshotPath(id);
      const Result<SnapshotHeader> header = replica::ReadSnapshotHeader(*disk_, path);
      if (header.ok() && header->meta.last >= before_first()) return options_.from_data_dir + "/" + path;
    }
    return Status::OutOfRange("the log in " + options_.from_data_dir + " has " + Text() +
                              ": a snapshot to begin with is needed, made at entry " +
                              std::to_string(before_first().value) + " or later (quorate snapshot save)");
  }
  std::string Text() const {
    if (!range_.last) return "no entries";
    std::string text = "entries " + std::to_string(range_.first.value) + " to " + std::to_string(range_.last.value);
    return gap().empty() ? text : text + " (" + gap() + ")";
  }

 private:
  const RestoreOptions& options_;
  env::AsioExecutor executor_;
  std::unique_ptr<env::PosixDisk> disk_;
  std::unique_ptr<wal::ArchiveReader> reader_;
  wal::ArchiveRange range_;
};

class Replay {
 public:
  Replay(const RestoreOptions& options, std::string scratch)
      : options_(options), scratch_(std::move(scratch)), log_(options) {}

  // Base and machine are ready; nothing of the log was replayed.
  Status Begin() {
    RETURN_IF_ERROR(log_.Open());
    Result<std::unique_ptr<ReplayMachine>> machine = ReplayMachine::Open(scratch_);
    if (!machine.ok()) return machine.status();
    machine_ = *std::move(machine);
    const Result<std::string> base = log_.Base();
    if (!base.ok()) return base.status();
    header_.cluster = log_.cluster();
    if (base->empty()) return Status::Ok();
    FileRows file(*base);
    RETURN_IF_ERROR(file.Walk([](const auto&) { return Status::Ok(); }));  // whole, before anything is made of it
    header_ = file.header();
    if (header_.cluster != log_.cluster()) {
      return Status::FailedPrecondition(*base + " and the log in " + options_.from_data_dir +
                                        " are of different clusters");
    }
    if (header_.meta.last < log_.before_first()) {
      return Status::OutOfRange(*base + " ends at entry " + std::to_string(header_.meta.last.value) +
                                ", and the log has " + log_.Text() +
                                ": what is between them is missing; a newer snapshot is needed");
    }
    RETURN_IF_ERROR(file.Open());
    return machine_->Install(header_.meta.last, header_.state_hash, [&file] { return file.Next(); });
  }

  // Up to the revision or moment that was asked for.
  Result<OldState> Run() {
    const Revision base = revision();
    if (options_.to_revision && *options_.to_revision < base) {
      RETURN_IF_ERROR(Range().status());  // goes on to the end, for the message
      return Outside("revision " + std::to_string(*options_.to_revision), base);
    }
    const std::int64_t base_wall_ns = header_.created_wall_ns;
    if (options_.to_wall_ns && base_wall_ns > *options_.to_wall_ns) {
      RETURN_IF_ERROR(Range().status());
      return OutsideTime("the snapshot was made later than that: begin with an older one", base_wall_ns);
    }
    bool there = false;
    RETURN_IF_ERROR(log_.Read(header_.meta.last, [&](const consensus::Entry& entry) -> Result<bool> {
      there = IsThere(entry);
      if (there) return false;
      return Apply(entry);
    }));
    if (options_.to_revision && revision() < *options_.to_revision) {
      return Outside("revision " + std::to_string(*options_.to_revision), base);
    }
    if (options_.to_wall_ns && !there) {
      return OutsideTime(
          "the log ends before that (--to-revision " + std::to_string(revision()) + " restores all of it)",
          base_wall_ns);
    }
    return Old();
  }

  Result<RestoreRange> Range() {
    RestoreRange range;
    range.first = log_.range().first;
    range.last = log_.range().last;
    range.gap = log_.gap();
    range.from_revision = revision();
    RETURN_IF_ERROR(log_.Read(log_.before_first(), [&](const consensus::Entry& entry) -> Result<bool> {
      if (const std::int64_t wall = WallOf(entry); wall != 0) {
        if (range.first_wall_ns == 0) range.first_wall_ns = wall;
        range.last_wall_ns = std::max(range.last_wall_ns, wall);
      }
      return entry.index <= header_.meta.last ? Result<bool>(true) : Apply(entry);
    }));
    range.to_revision = revision();
    return range;
  }
  const OldLog& log() const { return log_; }

 private:
  Revision revision() const { return machine_->machine().revision(); }

  // Whether the state before `entry` is what was asked for.
  bool IsThere(const consensus::Entry& entry) const {
    if (options_.to_revision && revision() >= *options_.to_revision) return true;
    return options_.to_wall_ns && WallOf(entry) > *options_.to_wall_ns;
  }
  Result<bool> Apply(const consensus::Entry& entry) {
    RETURN_IF_ERROR(machine_->Apply(entry));
    header_.meta.last = entry.index;
    header_.meta.ballot = entry.ballot;
    header_.created_wall_ns = std::max(header_.created_wall_ns, WallOf(entry));
    if (options_.progress && entry.index.value % 100'000 == 0) {
      options_.progress("replayed up to entry " + std::to_string(entry.index.value));
    }
    return true;
  }
  OldState Old() {
    OldState old;
    old.header = header_;
    old.header.revision = revision();
    old.header.state_hash = machine_->machine().StateHash();
    old.header.feature_level = machine_->machine().feature_level();
    old.replay = machine_;
    old.walk = [machine = machine_.get()](const Visit& visit) { return machine->Walk(visit); };
    return old;
  }
  Status Outside(const std::string& wanted, Revision base) const {
    return Status::OutOfRange(wanted + " is not there: from here, revisions " + std::to_string(base) + " to " +
                              std::to_string(revision()) + " can be restored, the log has " + log_.Text());
  }
  // Of a base without a snapshot (0) the log's first moment is not known here.
  Status OutsideTime(const std::string& why, std::int64_t base_wall_ns) const {
    const std::string from = base_wall_ns == 0 ? "the log's beginning" : FormatTime(base_wall_ns);
    return Status::OutOfRange(FormatTime(*options_.to_wall_ns) + " is not there: " + why +
                              ". From here, moments from " + from + " to " + FormatTime(header_.created_wall_ns) +
                              " can be restored, the log has " + log_.Text());
  }

  const RestoreOptions& options_;
  const std::string scratch_;
  OldLog log_;
  std::shared_ptr<ReplayMachine> machine_;
  SnapshotHeader header_;  // of the state that the machine is at
};

Result<OldState> FromFile(const std::string& path) {
  OldState old;
  old.file = std::make_shared<FileRows>(path);
  // All of it is read before anything is made of it.
  RETURN_IF_ERROR(old.file->Walk([](const auto&) { return Status::Ok(); }));
  old.header = old.file->header();
  old.walk = [file = old.file.get()](const Visit& visit) { return file->Walk(visit); };
  return old;
}

// The same for all members that restore the same: a part of the new token, so that ids of members and cluster are new.
std::string NewToken(const RestoreOptions& options, const OldState& old) {
  Writer w;
  w.PutBytes("quorate restore");
  w.PutId(old.header.cluster);
  w.PutId(old.header.meta.last);
  w.Put64(old.header.state_hash);
  w.PutVarint(static_cast<std::uint64_t>(options.bump));
  replica::Sha256 sha;
  sha.Add(w.str());
  return options.config.token + "-restored-" + replica::SnapshotDigestText(sha.Digest()).substr(0, 16);
}

Status WriteFile(env::PosixDisk& disk, const std::string& path, const SnapshotHeader& header, const OldState& old,
                 RestoreRows* rows, RestoreReport* report) {
  Result<std::unique_ptr<env::File>> file = disk.Create(path);
  if (!file.ok()) return file.status();
  replica::SnapshotWriter writer;
  std::uint64_t at = 0;
  const auto write = [&](const std::string& bytes) {
    const Status written = (*file)->Write(at, bytes);
    at += bytes.size();
    return written;
  };
  RETURN_IF_ERROR(write(writer.Header(header)));
  RETURN_IF_ERROR(
      old.walk([&](std::vector<SnapshotRow> some) { return write(writer.Rows(rows->Pass(std::move(some)))); }));
  RETURN_IF_ERROR(write(writer.Rows(rows->End())));
  RETURN_IF_ERROR(write(writer.End()));
  report->rows = writer.rows();
  report->bytes = writer.size();
  RETURN_IF_ERROR((*file)->Sync());
  return disk.SyncDirectory(replica::kSnapshotDirectory);
}

SnapshotHeader NewHeader(const OldState& old, const RestoreOptions& options, const ServeConfig& config) {
  SnapshotHeader header = old.header;
  header.cluster = MakeClusterId(config.members, config.token);
  header.group = kGroup;
  header.meta.members = {};
  for (const Member& member : config.members) header.meta.members.voters.push_back(member.id);
  header.meta.id = replica::MakeSnapshotId(header.cluster, ReplicaId(), Incarnation(), 1);
  header.revision = old.header.revision + options.bump;
  return header;
}

Status WriteClusterFile(env::PosixDisk& disk, const ServeConfig& config) {
  env::OsRandom random;
  ClusterFile cluster;
  cluster.token = config.token;
  cluster.members = config.members;
  cluster.directory = random.Next() | 1;
  cluster.log_exists = true;
  cluster.cluster = config.cluster;
  cluster.self = config.self;
  cluster.initial_voters = config.initial_voters;
  Result<std::unique_ptr<env::File>> file = disk.Create("cluster");
  if (!file.ok()) return file.status();
  RETURN_IF_ERROR((*file)->Write(0, EncodeClusterFile(cluster)));
  RETURN_IF_ERROR((*file)->Sync());
  return disk.SyncDirectory("");
}

// Everything below the directory that gets its name at the end.
Status Fill(const std::string& part, const OldState& old, const RestoreOptions& options, ServeConfig config,
            RestoreReport* report) {
  config.token = NewToken(options, old);
  for (Member& member : config.members) member.id = MakeReplicaId(member.name, member.peer, config.token);
  std::sort(config.members.begin(), config.members.end(), [](const Member& a, const Member& b) { return a.id < b.id; });
  SetIdentities(&config);
  const auto self = std::find_if(config.members.begin(), config.members.end(),
                                 [&](const Member& member) { return member.name == config.name; });
  SnapshotHeader header = NewHeader(old, options, config);
  RestoreRows counting(header.revision, options.bump != 0);
  RETURN_IF_ERROR(old.walk([&](std::vector<SnapshotRow> some) {
    counting.Pass(std::move(some));
    return Status::Ok();
  }));
  counting.End();
  header.state_hash += counting.hash_change();

  env::AsioExecutor executor;
  Result<std::unique_ptr<env::PosixDisk>> opened = env::PosixDisk::Open(part, executor);
  if (!opened.ok()) return opened.status();
  env::PosixDisk& disk = **opened;
  RETURN_IF_ERROR(replica::PrepareSnapshotDirectory(disk));
  RestoreRows rows(header.revision, options.bump != 0);
  RETURN_IF_ERROR(WriteFile(disk, replica::SnapshotPath(header.meta.id), header, old, &rows, report));
  wal::RestoredLog log;
  log.identity = {header.cluster, self->id, config.protocol};
  log.group = kGroup;
  log.meta = header.meta;
  RETURN_IF_ERROR(wal::CreateRestored(disk, log));
  RETURN_IF_ERROR(WriteClusterFile(disk, config));
  report->cluster = header.cluster;
  report->member = self->id;
  report->last = header.meta.last;
  report->old_revision = old.header.revision;
  report->revision = header.revision;
  return Status::Ok();
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Status CheckTarget(const std::string& directory) {
  std::error_code error;
  if (!fs::exists(directory, error)) return Status::Ok();
  if (fs::is_directory(directory, error) && fs::is_empty(directory, error) && !error) return Status::Ok();
  return Status::FailedPrecondition("the data directory " + directory +
                                    " exists already: nothing was touched. Move it away, or name another --data-dir");
}

Status MoveInPlace(const std::string& part, const std::string& directory) {
  std::error_code error;
  fs::rename(part, directory, error);
  if (error) return Status::Internal("cannot rename " + part + " to " + directory + ": " + error.message());
  const fs::path parent = fs::absolute(directory, error).parent_path();
  env::AsioExecutor executor;
  const Result<std::unique_ptr<env::PosixDisk>> disk = env::PosixDisk::Open(parent.string(), executor);
  return disk.ok() ? (*disk)->SyncDirectory("") : disk.status();
}

// Removes the unfinished directory however it ends.
class Part {
 public:
  explicit Part(std::string path) : path_(std::move(path)) { Remove(); }
  ~Part() { Remove(); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  const std::string& path() const { return path_; }

 private:
  void Remove() const {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string path_;
};

}  // namespace

Result<RestoreReport> Restore(const RestoreOptions& options) {
  const std::string directory = WithoutSlash(options.config.data_dir);
  RETURN_IF_ERROR(CheckTarget(directory));
  const Part part(directory + ".part");
  const Part scratch(directory + ".replay");
  Replay replay(options, scratch.path());
  if (!options.from_data_dir.empty()) RETURN_IF_ERROR(replay.Begin());
  Result<OldState> old = options.from_data_dir.empty() ? FromFile(options.file) : replay.Run();
  if (!old.ok()) return old.status();
  if (options.bump < 0 || old->header.revision > std::numeric_limits<Revision>::max() - options.bump) {
    return Status::InvalidArgument("--bump-revision: the revision would be out of range");
  }
  RestoreReport report;
  RETURN_IF_ERROR(Fill(part.path(), *old, options, options.config, &report));
  RETURN_IF_ERROR(MoveInPlace(part.path(), directory));
  return report;
}

Result<RestoreRange> ShowRestoreRange(const RestoreOptions& options) {
  const Part scratch(WithoutSlash(options.from_data_dir) + ".replay");
  Replay replay(options, scratch.path());
  RETURN_IF_ERROR(replay.Begin());
  return replay.Range();
}

}  // namespace quorate::server
