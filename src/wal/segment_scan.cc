#include "wal/segment_scan.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/bug.h"
#include "base/probe.h"

namespace quorate::wal {
namespace {

constexpr std::uint64_t kReadBytes = 1 << 20;
constexpr std::uint64_t kWindowBytes = 256 << 10;
constexpr std::uint64_t kWindowBytesMax = std::uint64_t{8} << 30;

}  // namespace

Result<SegmentContent> ReadSegment(env::Disk& disk, const std::string& path, SegmentNumber number) {
  SegmentContent segment{number, path, 0, {}};
  Result<std::unique_ptr<env::File>> file = disk.Open(segment.path);
  if (!file.ok()) return file.status();
  Result<std::uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  segment.size = *size;
  for (std::uint64_t at = 0; at < segment.size; at += kReadBytes) {
    Result<std::string> chunk = (*file)->Read(at, std::min(kReadBytes, segment.size - at));
    if (!chunk.ok()) return chunk.status();
    const std::size_t last = chunk->find_last_not_of('\0');
    if (last == std::string::npos) continue;
    segment.content.resize(at);
    segment.content.append(*chunk, 0, last + 1);
  }
  return segment;
}

Result<SegmentHeader> HeaderOf(const SegmentContent& segment) {
  std::string_view head = segment.content;
  std::string padded;
  if (head.size() < kSegmentHeaderBytes && segment.size >= kSegmentHeaderBytes) {
    padded = segment.content;
    padded.resize(kSegmentHeaderBytes);
    head = padded;
  }
  return DecodeSegmentHeader(head);
}

ParsedWrite ParseWrite(SegmentContent& segment, const WritePlace& place) {
  ParsedWrite write;
  const std::uint64_t offset = place.offset;
  if (offset >= segment.content.size()) return write;  // zeros to the end
  write.kind = ParsedWrite::Kind::kBad;
  if (segment.content.size() < offset + kWriteHeaderBytes && segment.size >= offset + kWriteHeaderBytes) {
    segment.content.resize(offset + kWriteHeaderBytes);
  }
  const auto header = DecodeWriteHeader(std::string_view(segment.content).substr(offset), place);
  if (!header) {
    write.reason = "no write header, or its checksum is wrong";
    return write;
  }
  write.header = *header;
  if (header->version != kFormatVersion) {
    write.kind = ParsedWrite::Kind::kGood;  // the caller refuses it
    return write;
  }
  const std::uint64_t end = offset + kWriteHeaderBytes + header->body_bytes;
  if (end > segment.size) {
    QUORATE_PROBE(wal_file_ends_inside_a_write);
    write.reason = "the file ends inside write " + std::to_string(header->number);
    return write;
  }
  if (end > segment.content.size()) segment.content.resize(end);  // a body may end in zeros
  write.bytes = std::string_view(segment.content).substr(offset, kWriteHeaderBytes + header->body_bytes);
  for (std::string_view rest = write.bytes.substr(kWriteHeaderBytes); !rest.empty();) {
    const std::optional<Record> record = DecodeRecord(rest, !QUORATE_BUG(wal_torn_tail_accepted));
    if (!record) {
      write.reason = "write " + std::to_string(header->number) + ": the checksum of the record at offset " +
                     std::to_string(rest.data() - segment.content.data()) + " is wrong";
      return write;
    }
    write.records.push_back(*record);
    rest.remove_prefix(record->size());
  }
  write.kind = ParsedWrite::Kind::kGood;
  return write;
}

Result<std::map<LogIndex, consensus::Entry>> RecordReader::Read(RecordPlace place) {
  std::optional<Record> record = InWindow(place);
  for (std::uint64_t length = kWindowBytes; !record; length *= 8) {
    if (length > kWindowBytesMax) return Status::DataLoss("no record");
    Result<std::string> read = read_(place.segment, place.offset, length);
    if (!read.ok()) return read.status();
    window_ = std::move(*read);
    window_place_ = place;
    record = InWindow(place);
    if (window_.size() < length && !record) return Status::DataLoss("no record");
  }
  std::optional<std::map<LogIndex, consensus::Entry>> entries = DecodeEntries(*record);
  if (!entries) return Status::DataLoss("no entries");
  return std::move(*entries);
}

std::optional<Record> RecordReader::InWindow(RecordPlace place) const {
  if (place.segment != window_place_.segment || place.offset < window_place_.offset) return std::nullopt;
  const std::size_t at = place.offset - window_place_.offset;
  if (at >= window_.size()) return std::nullopt;
  return DecodeRecord(std::string_view(window_).substr(at));
}

}  // namespace quorate::wal
