#include "wal/recovery.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/bug.h"
#include "base/log.h"
#include "base/probe.h"
#include "wal/segment_scan.h"

namespace quorate::wal {
namespace {

// A group while it is replayed. Entries come in any order: those that were rewritten forward come late.
struct Replayed {
  struct Found {
    RecordPlace place;
    consensus::Entry entry;
  };
  GroupLog log;
  std::map<LogIndex, Found> entries;
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

  Status ScanSegment(SegmentContent& segment);
  Status CheckHeader(const SegmentContent& segment) const;
  bool HasLaterWrite(const SegmentContent& segment, std::size_t from) const;
  Status Accept(const SegmentContent& segment, std::uint32_t offset, const ParsedWrite& write);
  Status Replay(const SegmentContent& segment, std::uint32_t offset, const Record& record);
  Status ReplayState(const SegmentContent& segment, std::uint32_t offset, GroupState state);
  Status ReplayBatch(const SegmentContent& segment, std::uint32_t offset, Batch batch);
  void ReplayRelease(const Release& release);
  void ReplayRewritten(const SegmentContent& segment, std::uint32_t offset, Rewritten rewritten);
  SegmentNumber FindBegin(const std::vector<SegmentNumber>& numbers);
  Status Finish(const std::vector<SegmentNumber>& numbers);

  WritePlace PlaceOf(const SegmentContent& segment, std::size_t offset) const {
    return {options_.identity.cluster, options_.identity.self, segment.number, static_cast<std::uint32_t>(offset)};
  }
  Status DamageAt(const std::string& path, std::uint64_t offset, const std::string& what) const {
    return Damage(path + ": offset " + std::to_string(offset) + ": " + what, options_.directory, options_.alone);
  }

  env::Disk& disk_;
  const RecoveryOptions& options_;
  RecoveredLog out_;
  std::map<GroupId, Replayed> groups_;
  std::optional<Bad> bad_;
  SegmentNumber expected_newest_ = 0;
  SegmentNumber expected_oldest_ = 0;
  bool first_segment_ = true;
};

Status Recovery::CheckHeader(const SegmentContent& segment) const {
  const Result<SegmentHeader> header = HeaderOf(segment);
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

bool Recovery::HasLaterWrite(const SegmentContent& segment, std::size_t from) const {
  const std::string_view content = segment.content;
  for (std::size_t at = content.find(kWriteMagic, from); at != std::string_view::npos;
       at = content.find(kWriteMagic, at + 1)) {
    const std::optional<WriteHeader> header = DecodeWriteHeader(content.substr(at), PlaceOf(segment, at));
    if (header && header->number > out_.number) return true;
  }
  return false;
}

Status Recovery::ScanSegment(SegmentContent& segment) {
  RETURN_IF_ERROR(CheckHeader(segment));
  std::uint32_t offset = kSegmentHeaderBytes;
  for (;;) {
    const ParsedWrite write = ParseWrite(segment, PlaceOf(segment, offset));
    if (write.kind == ParsedWrite::Kind::kEnd) return Status::Ok();
    if (write.kind == ParsedWrite::Kind::kBad) {
      if (HasLaterWrite(segment, offset + 1)) {
        if (bad_) return DamageAt(bad_->path, bad_->place.offset, bad_->reason + ", and later writes follow it");
        return DamageAt(segment.path, offset, write.reason + ", and later writes follow it");
      }
      out_.cuts.push_back({{segment.number, offset}, segment.content.size()});
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

Status Recovery::Accept(const SegmentContent& segment, std::uint32_t offset, const ParsedWrite& write) {
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
    QUORATE_PROBE(wal_garbage_behind_the_last_write_of_a_segment);
    bad_.reset();
    out_.cuts.clear();
  }
  out_.number = write.header.number;
  out_.incarnation = write.header.incarnation;
  out_.current = segment.number;
  out_.last_begin = offset;
  out_.last_write = std::string(write.bytes);
  expected_newest_ = write.header.newest_segment;
  expected_oldest_ = std::max(expected_oldest_, write.header.oldest_segment);
  for (const Record& record : write.records) {
    RETURN_IF_ERROR(Replay(
        segment, offset + static_cast<std::uint32_t>(record.body.data() - kRecordHeaderBytes - write.bytes.data()),
        record));
  }
  return Status::Ok();
}

Status Recovery::Replay(const SegmentContent& segment, std::uint32_t offset, const Record& record) {
  const bool known = record.type >= static_cast<std::uint8_t>(RecordType::kBatch) &&
                     record.type <= static_cast<std::uint8_t>(RecordType::kRewritten);
  if (record.version != kFormatVersion || !known) {
    return {StatusCode::kUnimplemented, segment.path + ": offset " + std::to_string(offset) + ": a record of version " +
                                            std::to_string(record.version) + " and type " +
                                            std::to_string(record.type) +
                                            ", which this build does not know: start it with the newer build"};
  }
  const Bytes body = Bytes::Copy(record.body);  // one copy for all entries of the record, so no segment stays in memory
  const Status undecodable = DamageAt(segment.path, offset, "a record with a good checksum does not decode");
  switch (static_cast<RecordType>(record.type)) {
    case RecordType::kBatch: {
      std::optional<Batch> batch = DecodeBatch(body);
      return batch ? ReplayBatch(segment, offset, std::move(*batch)) : undecodable;
    }
    case RecordType::kGroupState: {
      std::optional<GroupState> state = DecodeGroupState(body);
      return state ? ReplayState(segment, offset, std::move(*state)) : undecodable;
    }
    case RecordType::kRelease: {
      const std::optional<Release> release = DecodeRelease(body);
      if (!release) return undecodable;
      ReplayRelease(*release);
      return Status::Ok();
    }
    case RecordType::kRewritten: {
      std::optional<Rewritten> rewritten = DecodeRewritten(body);
      if (!rewritten) return undecodable;
      ReplayRewritten(segment, offset, std::move(*rewritten));
      return Status::Ok();
    }
  }
  return undecodable;
}

Status Recovery::ReplayState(const SegmentContent& segment, std::uint32_t offset, GroupState state) {
  GroupLog& group = groups_[state.group].log;
  group.hard_state = state.hard_state ? std::optional(Bytes::Copy(state.hard_state->view())) : std::nullopt;
  if (first_segment_) {
    group.snapshot = std::move(state.snapshot);
    group.last = state.last;
    return Status::Ok();
  }
  if (group.snapshot != state.snapshot || group.last != state.last) {
    return DamageAt(segment.path, offset,
                    "the segment begins with group " + std::to_string(state.group.value) + " at entry " +
                        std::to_string(state.last.value) + " and snapshot " +
                        std::to_string(state.snapshot.last.value) + ", and the segments before it end at entry " +
                        std::to_string(group.last.value) + " and snapshot " +
                        std::to_string(group.snapshot.last.value));
  }
  return Status::Ok();
}

Status Recovery::ReplayBatch(const SegmentContent& segment, std::uint32_t offset, Batch batch) {
  Replayed& replayed = groups_[batch.group];
  GroupLog& group = replayed.log;
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
      if (!group.NotePut(index)) continue;
      replayed.entries.insert_or_assign(replayed.entries.end(), index,
                                        Replayed::Found{{segment.number, offset}, std::move(put->entry)});
    } else if (const auto* truncate = std::get_if<consensus::TruncateAfter>(&op)) {
      if (QUORATE_BUG(wal_truncate_forgotten)) continue;
      group.NoteTruncation(truncate->last_kept);
      replayed.entries.erase(replayed.entries.upper_bound(truncate->last_kept), replayed.entries.end());
    } else {
      group.NoteInstall(std::move(std::get<consensus::InstallSnapshot>(op).meta));
      replayed.entries.clear();
    }
  }
  return Status::Ok();
}

void Recovery::ReplayRelease(const Release& release) {
  Replayed& replayed = groups_[release.group];
  if (!replayed.log.NoteRelease(release.snapshot)) return;
  replayed.entries.erase(replayed.entries.begin(), replayed.entries.upper_bound(release.snapshot.last));
}

void Recovery::ReplayRewritten(const SegmentContent& segment, std::uint32_t offset, Rewritten rewritten) {
  Replayed& replayed = groups_[rewritten.group];
  for (consensus::Entry& entry : rewritten.entries) {
    // It is the entry that stood there when it was copied: known already, unless its first copy was in an older
    // segment.
    const LogIndex index = entry.index;
    if (index <= replayed.log.snapshot.last || index > replayed.log.last) continue;
    QUORATE_PROBE(wal_rewritten_entry_replayed);
    replayed.entries.insert_or_assign(index, Replayed::Found{{segment.number, offset}, std::move(entry)});
  }
}

SegmentNumber Recovery::FindBegin(const std::vector<SegmentNumber>& numbers) {
  SegmentNumber contiguous = numbers.back();
  for (auto at = numbers.rbegin(); at != numbers.rend() && *at + 1 >= contiguous; ++at) contiguous = *at;
  // The newest may be empty, or its first write torn; before that one there must be a good one.
  constexpr std::size_t kNewest = 2;
  for (std::size_t i = numbers.size(); i-- > 0 && i + kNewest >= numbers.size();) {
    Result<std::unique_ptr<env::File>> file = disk_.Open(options_.directory + "/" + SegmentName(numbers[i]));
    if (!file.ok()) break;
    const Result<std::string> head = (*file)->Read(kSegmentHeaderBytes, kWriteHeaderBytes);
    if (!head.ok()) break;
    const WritePlace place{options_.identity.cluster, options_.identity.self, numbers[i], kSegmentHeaderBytes};
    const std::optional<WriteHeader> first = DecodeWriteHeader(*head, place);
    if (!first || first->version != kFormatVersion) continue;
    // It says what the writes before it need, whether or not it is good itself.
    expected_oldest_ = std::min(first->oldest_segment, numbers.back());
    return std::max(contiguous, expected_oldest_);
  }
  return contiguous;
}

Result<RecoveredLog> Recovery::Run(const std::vector<SegmentNumber>& numbers) {
  out_.begin = FindBegin(numbers);
  out_.current = out_.begin;
  out_.end = kSegmentHeaderBytes;
  for (SegmentNumber number = out_.begin; number <= numbers.back(); ++number) {
    Result<SegmentContent> segment = ReadSegment(disk_, options_.directory + "/" + SegmentName(number), number);
    if (!segment.ok()) return segment.status();
    RETURN_IF_ERROR(ScanSegment(*segment));
    if (out_.number > 0) first_segment_ = false;
  }
  RETURN_IF_ERROR(Finish(numbers));
  for (auto& [id, replayed] : groups_) {
    GroupLog& group = out_.groups[id];
    group = std::move(replayed.log);
    group.index.Release(group.snapshot.last);
    group.keep_from = group.snapshot.last.Next();
    group.entries.reserve(replayed.entries.size());
    for (auto& [index, found] : replayed.entries) {
      group.index.Put(index, found.place, EntryBytes(found.entry));
      group.entries.push_back(std::move(found.entry));
    }
    replayed.entries.clear();
  }
  return std::move(out_);
}

Status Recovery::Finish(const std::vector<SegmentNumber>& numbers) {
  if (out_.begin > std::max<SegmentNumber>(expected_oldest_, 1)) {
    return Damage(options_.directory + "/" + SegmentName(out_.begin - 1) + ": the segment is missing",
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
  out_.oldest = expected_oldest_;
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
