// PowerCut: what a member's disk would still hold if the power went now, and the power going at a chosen operation.
//
// Used by CutDisk and CutFileSystem, which tell it of every operation before and after they hand it on to the real
// disk. It keeps what each write that was not synced yet replaced, and each name that was changed without a sync of its
// directory. Cut puts the old bytes and names back, some or all of them as drawn, and kills the process with SIGKILL:
// what lies in the data directory is then what a real cut could have left.
//
// Thread rule: any thread; Hold is held around an operation and the note of it. Invariants:
//  1. What a sync that has returned covers is never taken back.
//  2. Of bytes in place any subset of sectors of 512 may be lost; of bytes that made a file longer any tail, as a
//  journalling file system has it. Of changes of names any newest ones.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::crash_lab {

enum class Step : std::uint8_t { kWrite, kSync, kSynced, kCreate, kRename, kLink, kDirectorySync, kRemove };

struct CutPlan {
  std::string point;  // "log.sync"; empty = none
  int nth = 1;        // at the how manieth such operation
  std::uint64_t seed = 0;
  bool lying = false;  // syncs of files do nothing: the laboratory must find that out
};

// Every point that there is, in the order of the report.
const std::vector<std::string>& AllPoints();

class TrackedFile {
 public:
  TrackedFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~TrackedFile();
  TrackedFile(const TrackedFile&) = delete;
  TrackedFile& operator=(const TrackedFile&) = delete;

 private:
  friend class PowerCut;
  struct Change {
    std::uint64_t number = 0;
    std::uint64_t offset = 0;
    std::uint64_t size_before = 0;
    std::uint64_t size_after = 0;
    std::string before;  // what the write replaced, from offset on
    std::string data;    // what it wrote; empty = only the size changed
  };
  std::uint64_t Size() const;

  const int fd_;
  const std::string path_;
  std::vector<Change> unsynced_;
};

class PowerCut {
 public:
  // `root`: the data directory, absolute. `shadow`: a directory beside it, emptied here, for what was removed.
  PowerCut(std::string root, std::string shadow, CutPlan plan);

  // The operation is about to happen (kSynced: has happened). May not return.
  void Reach(std::string_view path, Step step);

  std::unique_lock<std::mutex> Hold() { return std::unique_lock<std::mutex>(mutex_); }
  // ---- with Hold, before the operation ----
  void NoteWrite(TrackedFile& file, std::uint64_t offset, std::string_view data);
  void NoteSize(TrackedFile& file, std::uint64_t size);
  void NoteCreate(const std::string& path);
  void NoteRename(const std::string& from, const std::string& to);
  void NoteRemove(const std::string& path);
  void NotDone();  // the change of names that was noted last
  // ---- without ----
  std::shared_ptr<TrackedFile> Track(const std::string& path);
  std::uint64_t Now();  // what came before is covered by a sync that begins now
  void Synced(TrackedFile& file, std::uint64_t upto);
  void DirectorySynced(const std::string& directory, std::uint64_t upto);

  std::string FullPath(std::string_view path) const;  // of one below the root

 private:
  struct NameChange {
    std::uint64_t number = 0;
    std::string from;  // of a rename
    std::string path;
    bool removed = false;
    std::string backup;  // of what stood there before; empty = nothing
  };

  std::string PointOf(std::string_view path, Step step) const;
  std::string BackUp(const std::string& path);
  [[noreturn]] void Cut(const std::string& point);
  void Lose(TrackedFile& file);
  static void Undo(const TrackedFile::Change& change, int fd);
  void Redo(const TrackedFile::Change& change, int fd, bool* grows);
  static void Undo(const NameChange& change);
  std::uint64_t Below(std::uint64_t bound) { return dice_() % bound; }

  const std::string root_;
  const std::string shadow_;
  CutPlan plan_;
  std::mutex mutex_;
  std::mt19937_64 dice_;
  std::uint64_t number_ = 0;
  std::uint64_t backups_ = 0;
  int snapshots_ = 0;                                            // whole ones that are not loaded and flushed yet
  std::map<std::uint64_t, std::shared_ptr<TrackedFile>> files_;  // by inode
  std::vector<NameChange> names_;
};

}  // namespace quorate::crash_lab
