#include "wal/recovery.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/bug.h"
#include "base/log.h"

namespace quorate::wal {
namespace {

constexpr std::uint64_t kReadBytes = 1 << 20;

struct Segment {
  SegmentNumber number = 0;
  std::string path;
  std::uint64_t size = 0;
  std::string content;  // without the zeros at its end
};

Result<Segment> ReadSegment(env::Disk& disk, const std::string& directory, SegmentNumber number) {
  Segment segment{number, directory + "/" + SegmentName(number), 0, {}};
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

struct ParsedWrite {
  enum class Kind { kGood, kEnd, kBad } kind = Kind::kEnd;
  WriteHeader header;
  std::vector<Record> records;
  std::string_view bytes;  // with its header
  std::string reason;      // of kBad
};

class Recovery {
 public:
  Recovery(env::Disk& disk, const RecoveryOptions& options) : disk_(disk), options_(options) {}

  Result<RecoveredLog> Run(const std::vector<SegmentNumber>& numbers);

 private:
  struct Bad {  // a write that is torn, unless something later is found
    RecordPlace place;
    std::string path;
    std::string reason;
    bool garbage_only = false;  // nothing of it could be read: perhaps no write at all
  };

  Status ScanSegment(Segment& segment);
  Status CheckHeader(const Segment& segment) const;
  ParsedWrite Parse(Segment& segment, std::uint32_t offset) const;
  bool HasLaterWrite(const Segment& segment, std::size_t from) const;
  Status Accept(const Segment& segment, std::uint32_t offset, const ParsedWrite& write);
  Status Replay(const Segment& segment, std::uint32_t offset, const Record& record);
  Status ReplayState(const Segment& segment, std::uint32_t offset, GroupState state);
  Status ReplayBatch(const Segment& segment, std::uint32_t offset, Batch batch);
  Status Finish(const std::vector<SegmentNumber>& numbers);

  WritePlace PlaceOf(const Segment& segment, std::size_t offset) const {
    return {options_.identity.cluster, options_.identity.self, segment.number, static_cast<std::uint32_t>(offset)};
  }
  Status DamageAt(const std::string& path, std::uint64_t offset, const std::string& what) const {
    return Damage(path + ": offset " + std::to_string(offset) + ": " + what, options_.directory, options_.alone);
  }

  env::Disk& disk_;
  const RecoveryOptions& options_;
  RecoveredLog out_;
  std::optional<Bad> bad_;
  SegmentNumber expected_newest_ = 0;
  SegmentNumber expected_oldest_ = 0;
  bool first_segment_ = true;
};

Status Recovery::CheckHeader(const Segment& segment) const {
  std::string_view head = segment.content;
  std::string padded;
  if (head.size() < kSegmentHeaderBytes && segment.size >= kSegmentHeaderBytes) {
    padded = segment.content;
    padded.resize(kSegmentHeaderBytes);
    head = padded;
  }
  const Result<SegmentHeader> header = DecodeSegmentHeader(head);
  if (!header.ok()) {
    if (header.status().code() == StatusCode::kUnimplemented) {
      return {StatusCode::kUnimplemented, segment.path + ": " + header.status().message()};
    }
    return DamageAt(segment.path, 0, header.status().message());
  }
  if (header->cluster != options_.identity.cluster || header->self != options_.identity.self) {
    return Status::FailedPrecondition(
        segment.path + ": this segment belongs to member " + std::to_string(header->self.value) + " of cluster " +
        std::to_string(header->cluster.value) + ", and the directory to member " +
        std::to_string(options_.identity.self.value) + " of cluster " +
        std::to_string(options_.identity.cluster.value) + ": files of two members are mixed; put the right one back");
  }
  if (header->number != segment.number) {
    return DamageAt(segment.path, 0, "this is segment " + std::to_string(header->number) + " under another name");
  }
  return Status::Ok();
}

ParsedWrite Recovery::Parse(Segment& segment, std::uint32_t offset) const {
  ParsedWrite write;
  if (offset >= segment.content.size()) return write;  // zeros to the end
  write.kind = ParsedWrite::Kind::kBad;
  if (segment.content.size() < offset + kWriteHeaderBytes && segment.size >= offset + kWriteHeaderBytes) {
    segment.content.resize(offset + kWriteHeaderBytes);
  }
  const auto header = DecodeWriteHeader(std::string_view(segment.content).substr(offset), PlaceOf(segment, offset));
  if (!header) {
    write.reason = "no write header, or its checksum is wrong";
    return write;
  }
  write.header = *header;
  if (header->version != kFormatVersion) {
    write.kind = ParsedWrite::Kind::kGood;  // Accept refuses it
    return write;
  }
  const std::uint64_t end = std::uint64_t{offset} + kWriteHeaderBytes + header->body_bytes;
  if (end > segment.size) {
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

bool Recovery::HasLaterWrite(const Segment& segment, std::size_t from) const {
  const std::string_view content = segment.content;
  for (std::size_t at = content.find(kWriteMagic, from); at != std::string_view::npos;
       at = content.find(kWriteMagic, at + 1)) {
    const std::optional<WriteHeader> header = DecodeWriteHeader(content.substr(at), PlaceOf(segment, at));
    if (header && header->number > out_.number) return true;
  }
  return false;
}

Status Recovery::ScanSegment(Segment& segment) {
  RETURN_IF_ERROR(CheckHeader(segment));
  std::uint32_t offset = kSegmentHeaderBytes;
  for (;;) {
    const ParsedWrite write = Parse(segment, offset);
    if (write.kind == ParsedWrite::Kind::kEnd) return Status::Ok();
    if (write.kind == ParsedWrite::Kind::kBad) {
      if (HasLaterWrite(segment, offset + 1)) {
        if (bad_) return DamageAt(bad_->path, bad_->place.offset, bad_->reason + ", and later writes follow it");
        return DamageAt(segment.path, offset, write.reason + ", and later writes follow it");
      }
      out_.cuts.push_back({segment.number, offset});
      if (!bad_) bad_ = Bad{{segment.number, offset}, segment.path, write.reason};
      return Status::Ok();
    }
    if (out_.number == 0 && segment.number > 1 && write.header.number > 0) {
      out_.number = write.header.number - 1;  // older segments are gone; Finish asks whether they should be
    }
    if (write.header.number != out_.number + 1) {
      if (bad_) return DamageAt(bad_->path, bad_->place.offset, bad_->reason + ", and later writes follow it");
      return DamageAt(segment.path, offset,
                      "write " + std::to_string(write.header.number) + " stands where write " +
                          std::to_string(out_.number + 1) + " is expected: writes between them are missing");
    }
    RETURN_IF_ERROR(Accept(segment, offset, write));
    offset += static_cast<std::uint32_t>(write.bytes.size());
    out_.end = offset;
  }
}

Status Recovery::Accept(const Segment& segment, std::uint32_t offset, const ParsedWrite& write) {
  if (write.header.version != kFormatVersion) {
    return {StatusCode::kUnimplemented, segment.path + ": offset " + std::to_string(offset) +
                                            ": a write of format version " + std::to_string(write.header.version) +
                                            ", and this build reads only version " + std::to_string(kFormatVersion) +
                                            ": start it with the newer build that wrote it"};
  }
  if (bad_) {
    // The numbers go on without a gap, so what could not be read behind the last write of a full segment was no write.
    LogWarn(bad_->path + ": offset " + std::to_string(bad_->place.offset) +
            ": bytes that are not a write, after the segment's last one; ignored");
    bad_.reset();
    out_.cuts.clear();
  }
  out_.number = write.header.number;
  out_.incarnation = write.header.incarnation;
  out_.current = segment.number;
  out_.last_begin = offset;
  out_.last_write = std::string(write.bytes);
  expected_newest_ = write.header.newest_segment;
  expected_oldest_ = write.header.oldest_segment;
  for (const Record& record : write.records) {
    RETURN_IF_ERROR(Replay(
        segment, offset + static_cast<std::uint32_t>(record.body.data() - kRecordHeaderBytes - write.bytes.data()),
        record));
  }
  return Status::Ok();
}

Status Recovery::Replay(const Segment& segment, std::uint32_t offset, const Record& record) {
  const bool known = record.type == static_cast<std::uint8_t>(RecordType::kBatch) ||
                     record.type == static_cast<std::uint8_t>(RecordType::kGroupState);
  if (record.version != kFormatVersion || !known) {
    return {StatusCode::kUnimplemented, segment.path + ": offset " + std::to_string(offset) + ": a record of version " +
                                            std::to_string(record.version) + " and type " +
                                            std::to_string(record.type) +
                                            ", which this build does not know: start it with the newer build"};
  }
  const Bytes body = Bytes::Copy(record.body);  // one copy for all entries of the record, so no segment stays in memory
  if (record.type == static_cast<std::uint8_t>(RecordType::kBatch)) {
    std::optional<Batch> batch = DecodeBatch(body);
    if (!batch) return DamageAt(segment.path, offset, "a batch with a good checksum does not decode");
    return ReplayBatch(segment, offset, std::move(*batch));
  }
  std::optional<GroupState> state = DecodeGroupState(body);
  if (!state) return DamageAt(segment.path, offset, "a group state with a good checksum does not decode");
  return ReplayState(segment, offset, std::move(*state));
}

Status Recovery::ReplayState(const Segment& segment, std::uint32_t offset, GroupState state) {
  GroupLog& group = out_.groups[state.group];
  group.hard_state = state.hard_state ? std::optional(Bytes::Copy(state.hard_state->view())) : std::nullopt;
  if (first_segment_) {
    group.snapshot = std::move(state.snapshot);
    return Status::Ok();
  }
  if (group.snapshot != state.snapshot || group.index.last() != state.last) {
    return DamageAt(segment.path, offset,
                    "the segment begins with group " + std::to_string(state.group.value) + " at entry " +
                        std::to_string(state.last.value) + ", and the segments before it end at entry " +
                        std::to_string(group.index.last().value));
  }
  return Status::Ok();
}

Status Recovery::ReplayBatch(const Segment& segment, std::uint32_t offset, Batch batch) {
  GroupLog& group = out_.groups[batch.group];
  if (batch.incarnation == group.incarnation && batch.batch.seq <= group.last_seq) {
    return DamageAt(segment.path, offset,
                    "batch " + std::to_string(batch.batch.seq.value) + " of group " +
                        std::to_string(batch.group.value) + " follows batch " + std::to_string(group.last_seq.value));
  }
  out_.has_batches = true;
  group.incarnation = batch.incarnation;
  group.last_seq = batch.batch.seq;
  if (batch.batch.hard_state) group.hard_state = Bytes::Copy(batch.batch.hard_state->view());
  for (consensus::LogOp& op : batch.batch.ops) {
    if (auto* put = std::get_if<consensus::PutEntry>(&op)) {
      const LogIndex index = put->entry.index;
      group.index.Put(index, {segment.number, offset});
      const auto at = std::lower_bound(group.entries.begin(), group.entries.end(), index,
                                       [](const consensus::Entry& e, LogIndex i) { return e.index < i; });
      if (at != group.entries.end() && at->index == index) {
        *at = std::move(put->entry);
      } else {
        group.entries.insert(at, std::move(put->entry));
      }
    } else if (const auto* truncate = std::get_if<consensus::TruncateAfter>(&op)) {
      if (QUORATE_BUG(wal_truncate_forgotten)) continue;
      group.index.TruncateAfter(truncate->last_kept);
      while (!group.entries.empty() && group.entries.back().index > truncate->last_kept) group.entries.pop_back();
    } else {
      group.snapshot = std::move(std::get<consensus::InstallSnapshot>(op).meta);
      group.index.Clear();
      group.entries.clear();
    }
  }
  return Status::Ok();
}

Result<RecoveredLog> Recovery::Run(const std::vector<SegmentNumber>& numbers) {
  out_.oldest = numbers.front();
  out_.current = numbers.front();
  out_.end = kSegmentHeaderBytes;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0 && numbers[i] != numbers[i - 1] + 1) {
      return Damage(options_.directory + "/" + SegmentName(numbers[i - 1] + 1) + ": the segment is missing",
                    options_.directory, options_.alone);
    }
    Result<Segment> segment = ReadSegment(disk_, options_.directory, numbers[i]);
    if (!segment.ok()) return segment.status();
    RETURN_IF_ERROR(ScanSegment(*segment));
    if (out_.number > 0) first_segment_ = false;
  }
  RETURN_IF_ERROR(Finish(numbers));
  return std::move(out_);
}

Status Recovery::Finish(const std::vector<SegmentNumber>& numbers) {
  if (numbers.front() > std::max<SegmentNumber>(expected_oldest_, 1)) {
    return Damage(options_.directory + "/" + SegmentName(numbers.front() - 1) + ": the segment is missing",
                  options_.directory, options_.alone);
  }
  if (expected_newest_ > numbers.back()) {
    return Damage(options_.directory + "/" + SegmentName(numbers.back() + 1) + ": the segment is missing",
                  options_.directory, options_.alone);
  }
  if (options_.incarnation > out_.incarnation) {
    return Damage(options_.directory + "/" + SegmentName(out_.current) + ": offset " + std::to_string(out_.end) +
                      ": the log ends in start " + std::to_string(out_.incarnation.value) + " of this member, and " +
                      "start " + std::to_string(options_.incarnation.value) + " had completed: its end is missing",
                  options_.directory, options_.alone);
  }
  if (numbers.back() > out_.current + 1 && out_.number > 0) {
    return Damage(options_.directory + "/" + SegmentName(out_.current + 1) + ": offset " +
                      std::to_string(kSegmentHeaderBytes) + ": the segment's writes are missing, and it was full",
                  options_.directory, options_.alone);
  }
  if (bad_) {
    LogWarn(bad_->path + ": offset " + std::to_string(bad_->place.offset) + ": torn write cut (" + bad_->reason +
            "): it was never acknowledged");
  }
  out_.newest = numbers.back();
  return Status::Ok();
}

}  // namespace

Result<RecoveredLog> Recover(env::Disk& disk, const RecoveryOptions& options,
                             const std::vector<SegmentNumber>& segments) {
  return Recovery(disk, options).Run(segments);
}

Status Damage(const std::string& what, const std::string& directory, bool alone) {
  if (alone) {
    return Status::DataLoss(what + ". Acknowledged writes are damaged, and this server is alone. Move " + directory +
                            " away and start from a snapshot or a backup");
  }
  return Status::DataLoss(what +
                          ". This member must not vote again under its id: it would forget what it promised. "
                          "Move " +
                          directory +
                          " away, remove this member from the cluster and add a new one in its "
                          "place, with a new id");
}

}  // namespace quorate::wal
