// Segments: the files of the log: the one being written, the prepared next one, and read handles for all of them.
//
// Used by log.cc only. Thread rule: the owner executor's thread; PrepareNext calls back on it. A segment gets its name
// only when its header and its space are durable, so a file under its final name is never half made.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "env/disk.h"
#include "wal/format.h"
#include "wal/recovery.h"

namespace quorate::wal {

struct SegmentsOptions {
  std::string directory;
  Identity identity;
  std::uint64_t segment_bytes = 0;
};

class Segments {
 public:
  Segments(env::Disk& disk, SegmentsOptions options) : disk_(disk), options_(std::move(options)) {}

  // The first segment of a new directory; blocking.
  Status CreateFirst();
  // Goes on where recovery ended: cuts torn tails and makes what was found durable (again); blocking.
  Status Adopt(const RecoveredLog& found);

  env::File& file() { return *file_; }
  SegmentNumber current() const { return current_; }
  SegmentNumber newest() const { return newest_; }
  SegmentNumber oldest() const { return oldest_; }
  std::uint32_t offset() const { return offset_; }
  bool at_start() const { return offset_ == kSegmentHeaderBytes; }
  void Advance(std::uint32_t bytes) { offset_ += bytes; }

  bool next_is_ready() const { return newest_ > current_; }
  bool preparing() const { return preparing_; }
  // Makes the next segment in the background. REQUIRES neither ready nor preparing.
  void PrepareNext(std::function<void(Status)> done);
  // Goes over to the prepared segment.
  Status Rotate();

  // Bytes of any segment; shorter only at the end of the file.
  Result<std::string> Read(SegmentNumber segment, std::uint32_t offset, std::uint64_t length);

 private:
  static constexpr std::size_t kReadersMax = 16;

  std::string PathOf(SegmentNumber number) const { return options_.directory + "/" + SegmentName(number); }
  Result<std::unique_ptr<env::File>> CreateUnnamed(SegmentNumber number);
  Status GiveName(SegmentNumber number);
  std::string HeaderOf(SegmentNumber number) const;

  env::Disk& disk_;
  SegmentsOptions options_;
  std::unique_ptr<env::File> file_;
  std::unique_ptr<env::File> next_file_;
  SegmentNumber oldest_ = 0;
  SegmentNumber current_ = 0;
  SegmentNumber newest_ = 0;
  std::uint32_t offset_ = 0;
  bool preparing_ = false;
  std::map<SegmentNumber, std::unique_ptr<env::File>> readers_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The identity file of a directory.
Result<IdentityFile> ReadIdentity(env::Disk& disk, const std::string& directory);  // NOT_FOUND if absent
Status WriteIdentity(env::Disk& disk, const std::string& directory, const IdentityFile& identity);

inline constexpr std::string_view kIdentityName = "identity";
inline constexpr std::string_view kLockName = "lock";
inline constexpr std::string_view kUnfinishedSuffix = ".new";  // of files that have not got their name yet

}  // namespace quorate::wal
