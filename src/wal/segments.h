// Segments: the files of the log: the one being written, the prepared next one, the older ones, the reserve, and read
// handles for all of them.
//
// Used by log.cc only. Thread rule: the owner executor's thread; what takes long runs in the Disk's background and
// calls back on it. Invariant: at most one of making a segment, making the reserve and removing is under way each.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/clock.h"
#include "env/disk.h"
#include "wal/format.h"
#include "wal/recovery.h"
#include "wal/segment_jobs.h"

namespace quorate::wal {

struct SegmentsOptions {
  std::string directory;
  Identity identity;
  std::uint64_t segment_bytes = 0;
  std::uint64_t retention_ns = 0;
  const env::Clock* clock = nullptr;
};

class Segments {
 public:
  using Done = std::function<void(Status)>;

  Segments(env::Disk& disk, SegmentsOptions options) : disk_(disk), options_(std::move(options)) {}

  // The first segment of a new directory; blocking.
  Status CreateFirst();
  // Goes on where recovery ended: cuts torn tails and makes what was found durable (again); blocking. `numbers`: all
  // that the directory holds.
  Status Adopt(const RecoveredLog& found, const std::vector<SegmentNumber>& numbers);

  env::File& file() { return *file_; }
  SegmentNumber current() const { return current_; }
  SegmentNumber newest() const { return newest_; }
  SegmentNumber oldest() const { return sizes_.begin()->first; }
  std::size_t count() const { return sizes_.size(); }
  std::uint64_t bytes() const;
  std::uint32_t offset() const { return offset_; }
  bool at_start() const { return offset_ == kSegmentHeaderBytes; }
  bool half_full() const { return offset_ >= options_.segment_bytes / 2; }
  bool Fits(std::uint64_t bytes) const { return offset_ + bytes <= sizes_.at(current_); }
  // Makes room for `bytes` here; blocking.
  Status Extend(std::uint64_t bytes);
  void Advance(std::uint32_t bytes) { offset_ += bytes; }

  bool next_is_ready() const { return newest_ > current_; }
  bool preparing() const { return busy_.preparing; }
  // Makes the next segment. REQUIRES neither ready nor preparing.
  void PrepareNext(bool from_reserve, Done done);
  Status PrepareNextNow();  // blocking; takes the reserve when nothing else is left
  // Goes over to the prepared segment.
  void Rotate();

  bool has_reserve() const { return has_reserve_; }
  bool making_reserve() const { return busy_.reserving; }
  void MakeReserve(Done done);
  Status GiveUpReserve();  // for the few bytes that a start needs; blocking

  bool removing() const { return busy_.removing; }
  // Removes or archives the files below `limit`, a bounded number at a time, and prunes the archive.
  void RemoveBelow(SegmentNumber limit, Done done);
  std::uint64_t removed() const { return removed_; }

  // Bytes of any segment; shorter only at the end of the file.
  Result<std::string> Read(SegmentNumber segment, std::uint32_t offset, std::uint64_t length);
  std::string PathOf(SegmentNumber number) const { return options_.directory + "/" + SegmentName(number); }

 private:
  static constexpr std::size_t kReadersMax = 16;
  static constexpr std::size_t kRemovedAtOnce = 4;
  static constexpr std::uint64_t kReserveBytesMax = 16 << 20;

  SegmentHeader HeaderFor(SegmentNumber number) const {
    return {options_.identity.cluster, options_.identity.self, number};
  }
  Status Cut(const RecoveredLog::Cut& cut);
  Status TakeNext();
  Retention RetentionNow() const;
  void Run(std::function<Status()> work, Done done);

  env::Disk& disk_;
  SegmentsOptions options_;
  std::unique_ptr<env::File> file_;
  std::unique_ptr<env::File> next_file_;
  std::map<SegmentNumber, std::uint64_t> sizes_;  // of all that are on disk
  SegmentNumber current_ = 0;
  SegmentNumber newest_ = 0;
  std::uint32_t offset_ = 0;
  struct {
    bool preparing = false;
    bool reserving = false;
    bool removing = false;
  } busy_;
  bool has_reserve_ = false;
  std::uint64_t removed_ = 0;
  std::map<SegmentNumber, std::unique_ptr<env::File>> readers_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The identity file of a directory.
Result<IdentityFile> ReadIdentity(env::Disk& disk, const std::string& directory);  // NOT_FOUND if absent
Status WriteIdentity(env::Disk& disk, const std::string& directory, const IdentityFile& identity);

inline constexpr std::string_view kIdentityName = "identity";
inline constexpr std::string_view kLockName = "lock";

}  // namespace quorate::wal
