// Reading a segment: its header, and one write after another.
//
// Used by recovery and by the archive reader. Blocking; thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/disk.h"
#include "wal/entry_index.h"
#include "wal/format.h"

namespace quorate::wal {

struct SegmentContent {
  SegmentNumber number = 0;
  std::string path;
  std::uint64_t size = 0;
  std::string content;  // without the zeros at its end
};

Result<SegmentContent> ReadSegment(env::Disk& disk, const std::string& path, SegmentNumber number);
Result<SegmentHeader> HeaderOf(const SegmentContent& segment);  // as DecodeSegmentHeader

struct ParsedWrite {
  enum class Kind { kGood, kEnd, kBad } kind = Kind::kEnd;
  WriteHeader header;
  std::vector<Record> records;
  std::string_view bytes;  // with its header
  std::string reason;      // of kBad
};
// The write that begins at place.offset; kEnd: only zeros follow. One of another format version is good without
// records. The content may grow by zeros: views of earlier writes become invalid.
ParsedWrite ParseWrite(SegmentContent& segment, const WritePlace& place);

// Reads records back, neighbours with one call to the disk.
class RecordReader {
 public:
  // Bytes of a segment; shorter only at the end of the file.
  using ReadAt = std::function<Result<std::string>(SegmentNumber, std::uint32_t offset, std::uint64_t length)>;
  explicit RecordReader(ReadAt read) : read_(std::move(read)) {}

  // The entries of the record at `place`. DATA_LOSS: not a whole record of entries with the right checksum.
  Result<std::map<LogIndex, consensus::Entry>> Read(RecordPlace place);

 private:
  std::optional<Record> InWindow(RecordPlace place) const;

  ReadAt read_;
  RecordPlace window_place_;
  std::string window_;
};

}  // namespace quorate::wal
