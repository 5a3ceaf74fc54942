#include "power_cut.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/check.h"

namespace quorate::crash_lab {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSector = 512;
constexpr std::array<std::string_view, 8> kSteps{"write",  "sync", "synced",         "create",
                                                 "rename", "link", "directory-sync", "remove"};

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

void WriteAt(int fd, std::string_view data, std::uint64_t offset) {
  while (!data.empty()) {
    const ssize_t written = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    CHECK(written > 0) << "the laboratory cannot write: errno " << errno;
    data.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void Resize(int fd, std::uint64_t size) {
  CHECK(::ftruncate(fd, static_cast<off_t>(size)) == 0) << "the laboratory cannot truncate: errno " << errno;
}

}  // namespace

const std::vector<std::string>& AllPoints() {
  static const std::vector<std::string> points{"log.write",       "log.sync",        "log.synced",
                                               "log.create",      "log.rename",      "log.directory-sync",
                                               "log.remove",      "keyspace.create", "keyspace.write",
                                               "keyspace.sync",   "keyspace.synced", "keyspace.link",
                                               "keyspace.rename", "keyspace.remove", "keyspace.directory-sync",
                                               "snapshot.create", "snapshot.write",  "snapshot.sync",
                                               "snapshot.synced", "snapshot.rename", "snapshot.directory-sync",
                                               "install.write",   "install.sync",    "install.link",
                                               "snapshot.remove", "member.rename",   "member.directory-sync"};
  return points;
}

TrackedFile::~TrackedFile() {
  ::close(fd_);
}

std::uint64_t TrackedFile::Size() const {
  struct stat info {};
  CHECK(::fstat(fd_, &info) == 0) << path_;
  return static_cast<std::uint64_t>(info.st_size);
}

PowerCut::PowerCut(std::string root, std::string shadow, CutPlan plan)
    : root_(std::move(root)), shadow_(std::move(shadow)), plan_(std::move(plan)), dice_(plan_.seed) {
  std::error_code error;
  fs::remove_all(shadow_, error);
  fs::create_directories(shadow_, error);
  CHECK(!error) << shadow_ << ": " << error.message();
  for (fs::directory_iterator at(root_ + "/snapshots", error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    if (at->path().extension() == ".snap") ++snapshots_;
  }
}

std::string PowerCut::FullPath(std::string_view path) const {
  std::string full = path.empty() || path[0] != '/' ? root_ + "/" + std::string(path) : std::string(path);
  full = fs::path(full).lexically_normal().string();
  while (full.size() > 1 && full.back() == '/') full.pop_back();
  return full;
}

std::string PowerCut::PointOf(std::string_view path, Step step) const {
  const std::string full = FullPath(path);
  const std::string_view below = std::string_view(full).substr(std::min(full.size(), root_.size() + 1));
  std::string area = "member";
  if (below.starts_with("wal")) area = "log";
  if (below.starts_with("snapshots")) area = "snapshot";
  if (below.starts_with("keyspace")) area = snapshots_ > 0 ? "install" : "keyspace";
  return area + "." + std::string(kSteps[static_cast<std::size_t>(step)]);
}

void PowerCut::Reach(std::string_view path, Step step) {
  if (plan_.point.empty()) return;
  std::string point;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    point = PointOf(path, step);
    if (point != plan_.point || --plan_.nth != 0) return;
  }
  Cut(point);
}

std::shared_ptr<TrackedFile> PowerCut::Track(const std::string& path) {
  const std::string full = FullPath(path);
  const int fd = ::open(full.c_str(), O_RDWR | O_CLOEXEC);
  CHECK(fd >= 0) << full << ": errno " << errno;
  auto fresh = std::make_shared<TrackedFile>(fd, full);
  struct stat info {};
  CHECK(::fstat(fd, &info) == 0) << full;
  const std::lock_guard<std::mutex> guard(mutex_);
  // Those that nobody has open and that are whole on the disk are forgotten: their inodes may be used again.
  std::erase_if(files_,
                [](const auto& entry) { return entry.second.use_count() == 1 && entry.second->unsynced_.empty(); });
  return files_.emplace(info.st_ino, std::move(fresh)).first->second;
}

void PowerCut::NoteWrite(TrackedFile& file, std::uint64_t offset, std::string_view data) {
  TrackedFile::Change change;
  change.number = ++number_;
  change.offset = offset;
  change.size_before = file.Size();
  change.size_after = std::max<std::uint64_t>(change.size_before, offset + data.size());
  if (offset < change.size_before) {
    change.before.resize(std::min<std::uint64_t>(data.size(), change.size_before - offset));
    const ssize_t got = ::pread(file.fd_, change.before.data(), change.before.size(), static_cast<off_t>(offset));
    CHECK(got == static_cast<ssize_t>(change.before.size())) << file.path_;
  }
  change.data = data;
  file.unsynced_.push_back(std::move(change));
}

void PowerCut::NoteSize(TrackedFile& file, std::uint64_t size) {
  TrackedFile::Change change;
  change.number = ++number_;
  change.size_before = file.Size();
  change.size_after = size;
  change.offset = std::min(size, change.size_before);
  if (size < change.size_before) {
    change.before.resize(change.size_before - size);
    const ssize_t got = ::pread(file.fd_, change.before.data(), change.before.size(), static_cast<off_t>(size));
    CHECK(got == static_cast<ssize_t>(change.before.size())) << file.path_;
  }
  file.unsynced_.push_back(std::move(change));
}

std::string PowerCut::BackUp(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return "";
  std::string backup = shadow_ + "/" + std::to_string(++backups_);
  CHECK(::link(path.c_str(), backup.c_str()) == 0) << path << ": errno " << errno;
  return backup;
}

void PowerCut::NoteCreate(const std::string& path) {
  names_.push_back({++number_, "", FullPath(path), false, ""});
}

void PowerCut::NoteRename(const std::string& from, const std::string& to) {
  const std::string full = FullPath(to);
  if (EndsWith(full, ".snap")) ++snapshots_;
  names_.push_back({++number_, FullPath(from), full, false, BackUp(full)});
}

void PowerCut::NoteRemove(const std::string& path) {
  const std::string full = FullPath(path);
  if (EndsWith(full, ".snap")) --snapshots_;
  names_.push_back({++number_, "", full, true, BackUp(full)});
}

void PowerCut::NotDone() {
  if (!names_.back().backup.empty()) ::unlink(names_.back().backup.c_str());
  if (EndsWith(names_.back().path, ".snap")) snapshots_ += names_.back().removed ? 1 : -1;
  names_.pop_back();
}

std::uint64_t PowerCut::Now() {
  const std::lock_guard<std::mutex> guard(mutex_);
  return number_;
}

void PowerCut::Synced(TrackedFile& file, std::uint64_t upto) {
  if (plan_.lying) return;
  const std::lock_guard<std::mutex> guard(mutex_);
  std::erase_if(file.unsynced_, [upto](const TrackedFile::Change& change) { return change.number <= upto; });
}

void PowerCut::DirectorySynced(const std::string& directory, std::uint64_t upto) {
  const std::string full = FullPath(directory);
  const std::lock_guard<std::mutex> guard(mutex_);
  std::erase_if(names_, [&](const NameChange& change) {
    if (change.number > upto || fs::path(change.path).parent_path() != full) return false;
    if (!change.backup.empty()) ::unlink(change.backup.c_str());
    return true;
  });
}

void PowerCut::Undo(const TrackedFile::Change& change, int fd) {
  if (!change.before.empty()) WriteAt(fd, change.before, change.offset);
  Resize(fd, change.size_before);
}

void PowerCut::Redo(const TrackedFile::Change& change, int fd, bool* grows) {
  if (change.size_after > change.size_before && !*grows) return;
  if (change.data.empty()) return Resize(fd, change.size_after);
  std::string_view data = change.data;
  if (change.size_after > change.size_before && Below(3) == 0) {  // the tail that is lost begins in here
    *grows = false;
    data = data.substr(0, Below(data.size() + 1));
  }
  if (change.size_after > change.size_before) return WriteAt(fd, data, change.offset);
  for (std::size_t at = 0; at < data.size(); at += kSector - (change.offset + at) % kSector) {
    const std::size_t length = std::min(data.size() - at, kSector - (change.offset + at) % kSector);
    if (Below(2) == 0) WriteAt(fd, data.substr(at, length), change.offset + at);
  }
}

void PowerCut::Lose(TrackedFile& file) {
  const std::uint64_t fate = Below(4);  // 0, 1: all of it is lost; 2: some; 3: none
  if (fate == 3) return;
  for (auto change = file.unsynced_.rbegin(); change != file.unsynced_.rend(); ++change) Undo(*change, file.fd_);
  if (fate != 2) return;
  bool grows = true;
  for (const TrackedFile::Change& change : file.unsynced_) Redo(change, file.fd_, &grows);
}

void PowerCut::Undo(const NameChange& change) {
  std::error_code ignored;
  if (!change.from.empty()) fs::rename(change.path, change.from, ignored);
  if (change.from.empty() && !change.removed) fs::remove(change.path, ignored);
  if (!change.backup.empty()) fs::rename(change.backup, change.path, ignored);
}

void PowerCut::Cut(const std::string& point) {
  mutex_.lock();  // and it stays so: nothing happens after a power cut
  std::size_t writes = 0;
  for (const auto& [inode, file] : files_) {
    writes += file->unsynced_.size();
    Lose(*file);
  }
  const std::size_t kept = Below(2) == 0 ? 0 : Below(names_.size() + 1);
  for (std::size_t i = names_.size(); i-- > kept;) Undo(names_[i]);
  {
    std::ofstream note(root_ + ".cut");
    note << point << " " << writes << " " << names_.size() << " " << names_.size() - kept << "\n";
  }
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

}  // namespace quorate::crash_lab
