// `quorate snapshot`: save the state of a running cluster, look at a saved one.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json.h"
#include "cli/snapshot_parts.h"
#include "cli/table.h"
#include "env/posix/asio_executor.h"
#include "env/posix/posix_disk.h"
#include "replica/snapshot_file.h"
#include "store/engine.h"
#include "store/record.h"

namespace quorate::cli {
namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;
constexpr std::size_t kReadBytes = 1 << 20;

struct SaveArguments {
  ConnectionArguments connection;
  std::string file;
};
struct StatusArguments {
  std::string file;
  bool json = false;
};

// Where the file is to be: its directory as a disk, and its name below it.
struct Place {
  explicit Place(const std::string& file) {
    const std::size_t slash = file.rfind('/');
    directory = slash == std::string::npos ? "." : slash == 0 ? "/" : file.substr(0, slash);
    name = slash == std::string::npos ? file : file.substr(slash + 1);
  }
  std::string directory;
  std::string name;
};

// Writes what arrives to NAME.part, checking it on the way; Keep gives it its name, and without that it goes.
class IncomingFile {
 public:
  IncomingFile(env::Disk& disk, const std::string& name) : disk_(disk), name_(name), part_(name + ".part") {}
  ~IncomingFile() {
    if (file_ == nullptr) return;
    file_ = nullptr;
    if (!kept_ && !disk_.Remove(part_).ok()) std::fprintf(stderr, "%s is left behind\n", part_.c_str());
  }
  IncomingFile(const IncomingFile&) = delete;
  IncomingFile& operator=(const IncomingFile&) = delete;

  Status Open() {
    if (disk_.Exists(part_)) RETURN_IF_ERROR(disk_.Remove(part_));
    Result<std::unique_ptr<env::File>> file = disk_.Create(part_);
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
    return Status::Ok();
  }
  Status Add(std::string_view bytes) {
    RETURN_IF_ERROR(reader_.Add(bytes));
    return file_->Write(reader_.offset() - bytes.size(), bytes);
  }
  Status Keep() {
    RETURN_IF_ERROR(reader_.Finish());
    RETURN_IF_ERROR(file_->Sync());
    RETURN_IF_ERROR(disk_.Rename(part_, name_));
    kept_ = true;
    return disk_.SyncDirectory("");
  }
  const replica::SnapshotReader& reader() const { return reader_; }

 private:
  env::Disk& disk_;
  const std::string name_;
  const std::string part_;
  std::unique_ptr<env::File> file_;
  replica::SnapshotReader reader_{{}, false};
  bool kept_ = false;
};

// One line on standard error, about twice a second.
class Progress {
 public:
  void Show(std::uint64_t done, std::uint64_t remaining) {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::milliseconds(500);
    const double seconds = std::chrono::duration<double>(now - begun_).count();
    const double total = static_cast<double>(done + remaining);
    std::fprintf(stderr, "%.1f of about %.1f MiB, %.1f MiB/s\n", static_cast<double>(done) / kMebibyte,
                 total / kMebibyte, seconds > 0 ? static_cast<double>(done) / kMebibyte / seconds : 0.0);
  }

 private:
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point next_ = begun_;
};

int Save(const SaveArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments.connection);
  if (!client.ok()) return FailToRun("snapshot save", client.status().message());
  const Place place(arguments.file);
  env::AsioExecutor executor;
  Result<std::unique_ptr<env::PosixDisk>> disk = env::PosixDisk::Open(place.directory, executor);
  if (!disk.ok()) return FailToRun("snapshot save", disk.status().message());
  IncomingFile file(**disk, place.name);
  const Status opened = file.Open();
  if (!opened.ok()) return FailToRun("snapshot save", opened.message());
  Progress progress;
  Status status = (*client)->Snapshot([&](const etcdserverpb::SnapshotResponse& piece) {
    const Status added = file.Add(piece.blob());
    if (added.ok()) progress.Show(file.reader().offset(), piece.remaining_bytes());
    return added;
  });
  if (status.ok()) status = file.Keep();
  if (!status.ok()) return Fail("snapshot save", status);
  const replica::SnapshotReader& saved = file.reader();
  const std::string hash = replica::SnapshotDigestText(saved.digest());
  if (arguments.connection.json) {
    JsonObject line;
    line.Add("file", arguments.file).Add("bytes", saved.offset()).Add("sha256", hash);
    line.Add("revision", std::int64_t{saved.header()->revision});
    line.Add("endpoint", (*client)->current().ToString());
    std::puts(line.Line().c_str());
  } else {
    std::printf("%s: %llu bytes, revision %lld, SHA-256 %s\n", arguments.file.c_str(),
                static_cast<unsigned long long>(saved.offset()), static_cast<long long>(saved.header()->revision),
                hash.c_str());
  }
  return kExitGood;
}

// Keys that are there in the end: records come in the order in which they were made, so the last one of a key counts.
class KeyCount {
 public:
  void Add(const std::vector<replica::SnapshotRow>& rows) {
    for (const replica::SnapshotRow& row : rows) {
      if (row.table != static_cast<std::uint8_t>(store::Table::kKv)) continue;
      ++records_;
      const std::optional<store::RecordRow> record = store::DecodeRow(row.value.view());
      if (!record) continue;
      if (record->tombstone) {
        live_.erase(std::string(record->key));
      } else {
        live_.emplace(record->key);
      }
    }
  }
  std::uint64_t records() const { return records_; }
  std::uint64_t keys() const { return live_.size(); }

 private:
  std::uint64_t records_ = 0;
  std::unordered_set<std::string> live_;
};

Status ReadAll(const std::string& path, replica::SnapshotReader* reader, KeyCount* count) {
  std::ifstream input(path, std::ios::binary);
  if (!input) return Status::NotFound("cannot be opened: " + std::string(std::strerror(errno)));
  std::string piece(kReadBytes, '\0');
  for (;;) {
    input.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const auto length = static_cast<std::size_t>(input.gcount());
    if (length == 0) return reader->Finish();
    RETURN_IF_ERROR(reader->Add(std::string_view(piece).substr(0, length)));
    count->Add(reader->TakeRows());
  }
}

int ShowStatus(const StatusArguments& arguments) {
  replica::SnapshotReader reader;
  KeyCount count;
  const Status read = ReadAll(arguments.file, &reader, &count);
  if (!read.ok()) return Fail("snapshot status", Status(read.code(), arguments.file + ": " + read.message()));
  const replica::SnapshotHeader& header = *reader.header();
  const std::string hash = replica::SnapshotDigestText(reader.digest());
  const std::string made = FormatTime(header.created_wall_ns);
  if (arguments.json) {
    JsonObject line;
    line.Add("sha256", hash).Add("revision", std::int64_t{header.revision}).Add("keys", count.keys());
    line.Add("records", count.records()).Add("bytes", reader.offset()).AddHex("cluster_id", header.cluster.value);
    line.Add("applied_index", header.meta.last.value).Add("term", header.meta.ballot.number);
    line.Add("members", std::uint64_t{header.meta.members.voters.size()}).AddHex("state_hash", header.state_hash);
    line.Add("feature_level", header.feature_level).Add("time", made);
    std::puts(line.Line().c_str());
    return kExitGood;
  }
  Table table({"REVISION", "KEYS", "RECORDS", "BYTES", "CLUSTER", "APPLIED", "TIME"});
  table.Add({std::to_string(header.revision), std::to_string(count.keys()), std::to_string(count.records()),
             std::to_string(reader.offset()), Hex(header.cluster.value), std::to_string(header.meta.last.value), made});
  std::fputs(table.Text().c_str(), stdout);
  std::printf("SHA-256 %s\n", hash.c_str());
  return kExitGood;
}

}  // namespace

void AddSnapshot(CLI::App& app, Action* action) {
  CLI::App* snapshot = app.add_subcommand("snapshot", "Save, look at and restore the state of a cluster.");
  snapshot->require_subcommand(1);

  auto saving = std::make_shared<SaveArguments>();
  CLI::App* save = snapshot->add_subcommand("save", "Save the state of a running cluster to a file.");
  save->add_option("FILE", saving->file, "where to; written to FILE.part first")->required();
  AddEndpointOptions(*save, &saving->connection);
  save->add_option("--timeout", saving->connection.timeout_seconds, "seconds that nothing may arrive for")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  save->footer(
      "The state is that of the first endpoint that answers, as it has it then; writes go on. The file is checked as "
      "it\n"
      "arrives.\n"
      "Example:\n"
      "  quorate snapshot save backup.snap --endpoints 10.0.0.1:2379,10.0.0.2:2379");
  save->callback([saving, action] { *action = [saving] { return Save(*saving); }; });

  auto showing = std::make_shared<StatusArguments>();
  CLI::App* status = snapshot->add_subcommand("status", "Check a saved snapshot and say what is in it.");
  status->add_option("FILE", showing->file, "a snapshot")->required();
  status->add_flag("--json", showing->json, "one JSON object, for scripts");
  status->footer("Reads and checks every byte. Exit status 1 when the file is damaged, cut off or no snapshot.");
  status->callback([showing, action] { *action = [showing] { return ShowStatus(*showing); }; });

  AddSnapshotRestore(*snapshot, action);
}

}  // namespace quorate::cli
