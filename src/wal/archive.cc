#include "wal/archive.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "wal/group_log.h"
#include "wal/segment_jobs.h"
#include "wal/segment_scan.h"
#include "wal/segments.h"

namespace quorate::wal {
namespace {

constexpr std::uint64_t kReadMax = std::uint64_t{8} << 30;

class ArchiveReaderImpl final : public ArchiveReader {
 public:
  ArchiveReaderImpl(env::Disk& disk, std::string directory)
      : disk_(disk),
        directory_(std::move(directory)),
        reader_([this](SegmentNumber segment, std::uint32_t offset, std::uint64_t length) {
          return ReadAt(segment, offset, length);
        }) {}

  Status Start();

  const Identity& identity() const override { return identity_; }
  std::map<GroupId, ArchiveRange> ranges() const override { return ranges_; }
  const std::string& gap() const override { return gap_; }
  Result<std::vector<consensus::Entry>> Read(GroupId group, LogIndex first, std::uint64_t bytes_max) override;

 private:
  Result<std::map<SegmentNumber, std::string>> Look() const;  // the path of each segment
  Status Scan(SegmentNumber number);
  Status ReplayWrite(SegmentNumber number, std::uint32_t offset, const ParsedWrite& write);
  bool ReplayRecord(RecordPlace place, const Record& record);
  void Break(const std::string& why);  // what was read so far is not connected to what follows
  void FindRanges();
  Result<std::string> ReadAt(SegmentNumber segment, std::uint32_t offset, std::uint64_t length);

  env::Disk& disk_;
  std::string directory_;
  Identity identity_;
  std::map<SegmentNumber, std::string> paths_;
  std::map<GroupId, GroupLog> groups_;
  std::map<GroupId, ArchiveRange> ranges_;
  std::string gap_;
  std::uint64_t number_ = 0;         // of the last write; 0 = whatever comes next
  std::optional<std::string> torn_;  // a bad write that nothing has followed so far
  SegmentNumber open_segment_ = 0;
  std::unique_ptr<env::File> open_file_;
  RecordReader reader_;
};

Result<std::map<SegmentNumber, std::string>> ArchiveReaderImpl::Look() const {
  std::map<SegmentNumber, std::string> paths;
  const std::string archive = directory_ + "/" + std::string(kArchiveName);
  if (disk_.Exists(archive)) {
    const Result<std::vector<std::string>> names = disk_.List(archive);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (const auto archived = ParseArchivedSegmentName(name)) {
        paths[archived->number] = std::string(archive).append("/").append(name);
      }
    }
  }
  const Result<std::vector<std::string>> names = disk_.List(directory_);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (const auto number = ParseSegmentName(name)) paths[*number] = std::string(directory_).append("/").append(name);
  }
  return paths;
}

Status ArchiveReaderImpl::Start() {
  Result<IdentityFile> identity = ReadIdentity(disk_, directory_);
  if (!identity.ok()) return identity.status();
  identity_ = identity->identity;
  Result<std::map<SegmentNumber, std::string>> paths = Look();
  if (!paths.ok()) return paths.status();
  if (paths->empty()) return Status::NotFound(directory_ + ": there are no log segments");
  paths_ = std::move(*paths);
  for (auto at = paths_.begin(); at != paths_.end(); ++at) {
    if (at != paths_.begin() && std::prev(at)->first + 1 != at->first) {
      Break(directory_ + "/" + SegmentName(at->first - 1) + ": the segment is missing");
    }
    RETURN_IF_ERROR(Scan(at->first));
  }
  if (number_ == 0) return Status::DataLoss(gap_);
  FindRanges();
  return Status::Ok();
}

void ArchiveReaderImpl::Break(const std::string& why) {
  gap_ = why;
  groups_.clear();
  number_ = 0;
  torn_.reset();
}

// A file that cannot be read is as good as missing, unless it is of a newer build.
Status ArchiveReaderImpl::Scan(SegmentNumber number) {
  const std::string& path = paths_[number];
  Result<SegmentContent> segment = ReadSegment(disk_, path, number);
  if (!segment.ok()) {
    Break(segment.status().message());
    return Status::Ok();
  }
  const Result<SegmentHeader> header = HeaderOf(*segment);
  if (header.status().code() == StatusCode::kUnimplemented) {
    return {StatusCode::kUnimplemented, path + ": " + header.status().message()};
  }
  if (!header.ok() || header->number != number || header->cluster != identity_.cluster ||
      header->self != identity_.self) {
    Break(path + ": offset 0: " + (header.ok() ? "this is another log's segment" : header.status().message()));
    return Status::Ok();
  }
  std::uint32_t offset = kSegmentHeaderBytes;
  for (;;) {
    const ParsedWrite write = ParseWrite(*segment, {identity_.cluster, identity_.self, number, offset});
    if (write.kind == ParsedWrite::Kind::kEnd) return Status::Ok();
    if (write.kind == ParsedWrite::Kind::kBad) {
      torn_ = path + ": offset " + std::to_string(offset) + ": " + write.reason;
      return Status::Ok();
    }
    if (number_ != 0 && write.header.number != number_ + 1) {
      Break(torn_.value_or(path + ": offset " + std::to_string(offset) + ": writes are missing before it"));
    }
    if (number_ == 0 && offset != kSegmentHeaderBytes) return Status::Ok();  // the next segment begins with all states
    torn_.reset();
    number_ = write.header.number;
    RETURN_IF_ERROR(ReplayWrite(number, offset, write));
    offset += static_cast<std::uint32_t>(write.bytes.size());
  }
}

Status ArchiveReaderImpl::ReplayWrite(SegmentNumber number, std::uint32_t offset, const ParsedWrite& write) {
  const Status newer{StatusCode::kUnimplemented, paths_[number] + ": offset " + std::to_string(offset) +
                                                     ": written by a newer build: use that one to read it"};
  if (write.header.version != kFormatVersion) return newer;
  for (const Record& record : write.records) {
    const auto at = offset + static_cast<std::uint32_t>(record.body.data() - kRecordHeaderBytes - write.bytes.data());
    if (record.version != kFormatVersion || !ReplayRecord({number, at}, record)) return newer;
  }
  return Status::Ok();
}

bool ArchiveReaderImpl::ReplayRecord(RecordPlace place, const Record& record) {
  const Bytes body = Bytes::Copy(record.body);
  switch (static_cast<RecordType>(record.type)) {
    case RecordType::kBatch: {
      std::optional<Batch> batch = DecodeBatch(body);
      if (!batch) return false;
      GroupLog& group = groups_[batch->group];
      for (consensus::LogOp& op : batch->batch.ops) {
        if (const auto* put = std::get_if<consensus::PutEntry>(&op)) {
          if (group.NotePut(put->entry.index)) group.index.Put(put->entry.index, place, 0);
        } else if (const auto* truncate = std::get_if<consensus::TruncateAfter>(&op)) {
          group.NoteTruncation(truncate->last_kept);
          group.index.TruncateAfter(truncate->last_kept);
        } else {
          group.NoteInstall(std::move(std::get<consensus::InstallSnapshot>(op).meta));
          group.index.Clear();
        }
      }
      return true;
    }
    case RecordType::kGroupState: {
      std::optional<GroupState> state = DecodeGroupState(body);
      if (!state) return false;
      GroupLog& group = groups_[state->group];
      group.snapshot = std::move(state->snapshot);
      group.last = state->last;
      return true;
    }
    case RecordType::kRelease: {
      const std::optional<Release> release = DecodeRelease(body);
      if (release) groups_[release->group].NoteRelease(release->snapshot);
      return release.has_value();
    }
    case RecordType::kRewritten: {
      const std::optional<Rewritten> rewritten = DecodeRewritten(body);
      if (!rewritten) return false;
      for (const consensus::Entry& entry : rewritten->entries) {
        groups_[rewritten->group].index.Put(entry.index, place, 0);
      }
      return true;
    }
  }
  return false;
}

void ArchiveReaderImpl::FindRanges() {
  for (const auto& [id, group] : groups_) {
    ArchiveRange& range = ranges_[id];
    range.snapshot = group.snapshot;
    range.first = range.last = group.index.last();
    for (auto slot = group.index.end(); slot != group.index.begin();) {
      --slot;
      if (slot->index.value + 1 < range.first.value) break;
      range.first = slot->index;
    }
  }
}

Result<std::string> ArchiveReaderImpl::ReadAt(SegmentNumber segment, std::uint32_t offset, std::uint64_t length) {
  if (open_segment_ != segment) {
    Result<std::unique_ptr<env::File>> file = disk_.Open(paths_[segment]);
    if (!file.ok()) return file.status();
    open_file_ = std::move(*file);
    open_segment_ = segment;
  }
  return open_file_->Read(offset, std::min(length, kReadMax));
}

Result<std::vector<consensus::Entry>> ArchiveReaderImpl::Read(GroupId group, LogIndex first, std::uint64_t bytes_max) {
  std::vector<consensus::Entry> entries;
  const auto range = ranges_.find(group);
  if (range == ranges_.end() || first > range->second.last) return entries;
  if (first < range->second.first) {
    return Status::OutOfRange(directory_ + ": entry " + std::to_string(first.value) + " of group " +
                              std::to_string(group.value) + " is not there: entries " +
                              std::to_string(range->second.first.value) + " to " +
                              std::to_string(range->second.last.value) + " are" + (gap_.empty() ? "" : "; " + gap_));
  }
  const EntryIndex& index = groups_[group].index;
  RecordPlace place;
  std::map<LogIndex, consensus::Entry> record;
  std::uint64_t bytes = 0;
  for (auto slot = index.From(first); slot != index.end(); ++slot) {
    if (slot->place != place) {
      Result<std::map<LogIndex, consensus::Entry>> read = reader_.Read(slot->place);
      if (!read.ok()) {
        return Status{read.status().code(), paths_[slot->place.segment] + ": offset " +
                                                std::to_string(slot->place.offset) +
                                                ": a record that was good is not any more"};
      }
      place = slot->place;
      record = std::move(*read);
    }
    const auto entry = record.find(slot->index);
    CHECK(entry != record.end()) << "entry " << slot->index.value << " is not where the index says";
    bytes += entry->second.payload.size();
    if (!entries.empty() && bytes > bytes_max) break;
    entries.push_back(std::move(entry->second));
  }
  return entries;
}

}  // namespace

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(env::Disk& disk, std::string directory) {
  auto reader = std::make_unique<ArchiveReaderImpl>(disk, std::move(directory));
  RETURN_IF_ERROR(reader->Start());
  return std::unique_ptr<ArchiveReader>(std::move(reader));
}

Status CreateRestored(env::Disk& disk, const RestoredLog& wanted) {
  const std::string path = wanted.directory + "/" + SegmentName(1);
  const std::string unfinished = path + std::string(kUnfinishedSuffix);
  if (!disk.Exists(wanted.directory)) RETURN_IF_ERROR(disk.CreateDirectory(wanted.directory));
  const Result<std::vector<std::string>> names = disk.List(wanted.directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (name == kLockName || name.ends_with(kUnfinishedSuffix)) continue;
    return Status::FailedPrecondition(wanted.directory + "/" + name +
                                      ": there is a log already: restore into an empty " + "directory");
  }
  Writer batch;
  consensus::WriteBatch install;
  install.seq = PersistSeq(1);
  install.hard_state = wanted.hard_state;
  install.ops = {consensus::InstallSnapshot{wanted.meta}};
  AppendBatch(wanted.group, Incarnation(1), install, &batch);
  // What a log has that was started once and took one batch: the start's own write, the batch, and the mark behind it.
  std::string content = EncodeSegmentHeader({wanted.identity.cluster, wanted.identity.self, 1});
  const std::string records[] = {"", batch.str(), ""};
  std::uint64_t number = 0;
  for (const std::string& body : records) {
    WriteHeader header;
    header.body_bytes = static_cast<std::uint32_t>(body.size());
    header.number = ++number;
    header.durable = number - 1;
    header.incarnation = Incarnation(1);
    header.oldest_segment = header.newest_segment = 1;
    const WritePlace place{wanted.identity.cluster, wanted.identity.self, 1,
                           static_cast<std::uint32_t>(content.size())};
    content.resize(content.size() + kWriteHeaderBytes);
    EncodeWriteHeader(header, place, content.data() + place.offset);
    content += body;
  }
  if (disk.Exists(unfinished)) RETURN_IF_ERROR(disk.Remove(unfinished));
  Result<std::unique_ptr<env::File>> file = disk.Create(unfinished);
  if (!file.ok()) return file.status();
  RETURN_IF_ERROR((*file)->Preallocate(wanted.segment_bytes));
  RETURN_IF_ERROR((*file)->Write(0, content));
  RETURN_IF_ERROR((*file)->Sync());
  RETURN_IF_ERROR(disk.Rename(unfinished, path));
  const auto slash = wanted.directory.rfind('/');
  RETURN_IF_ERROR(disk.SyncDirectory(slash == std::string::npos ? "." : wanted.directory.substr(0, slash)));
  RETURN_IF_ERROR(disk.SyncDirectory(wanted.directory));
  return WriteIdentity(disk, wanted.directory, {wanted.identity, Incarnation(1)});
}

}  // namespace quorate::wal
