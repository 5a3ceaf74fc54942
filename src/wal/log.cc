#include "wal/log.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/bug.h"
#include "base/log.h"
#include "wal/format.h"
#include "wal/recovery.h"
#include "wal/segments.h"

namespace quorate::wal {
namespace {

constexpr std::uint64_t kSegmentBytesMin = 4 << 10;
constexpr std::uint64_t kSegmentBytesMax = 1 << 30;  // offsets have 32 bits
constexpr std::uint64_t kWriteBytesMax = 1 << 30;
constexpr std::size_t kWriteReserveMax = 1 << 20;
constexpr std::uint64_t kLoadWindowBytes = 256 << 10;

using LoadDone = std::function<void(std::vector<consensus::Entry>)>;

// What goes to disk together. Records are encoded when they are submitted, behind room for the write's header, so the
// buffer is built once and handed to the disk as it is.
struct Write {
  struct Member {
    GroupId group;
    consensus::WriteBatch batch;
    std::uint32_t offset = 0;  // of its record in `buffer`
    std::function<void()> done;
  };
  struct Load {
    GroupId group;
    consensus::LoadLog wanted;
    LoadDone done;
  };
  Writer buffer;
  std::vector<Member> members;
  std::vector<Load> loads;  // to be answered when everything submitted before them is in the index
  bool wants_sync = false;
};

Write EmptyWrite(std::size_t reserve) {
  Write write;
  write.buffer = Writer(std::min(reserve, kWriteReserveMax) + kWriteHeaderBytes);
  write.buffer.PutRaw(std::string(kWriteHeaderBytes, '\0'));
  return write;
}

// Reads batches back, neighbours with one call to the disk.
class RecordReader {
 public:
  explicit RecordReader(Segments& segments) : segments_(segments) {}

  // DATA_LOSS: not a whole record with the right checksum.
  Result<Batch> Read(RecordPlace place) {
    std::optional<Record> record = InWindow(place);
    for (std::uint64_t length = kLoadWindowBytes; !record; length *= 8) {
      if (length > 8 * kWriteBytesMax) return Status::DataLoss("no record");
      Result<std::string> read = segments_.Read(place.segment, place.offset, length);
      if (!read.ok()) return read.status();
      window_ = std::move(*read);
      window_place_ = place;
      record = InWindow(place);
      if (window_.size() < length && !record) return Status::DataLoss("no record");
    }
    std::optional<Batch> batch = DecodeBatch(Bytes::Copy(record->body));
    if (!batch) return Status::DataLoss("no batch");
    return std::move(*batch);
  }

 private:
  std::optional<Record> InWindow(RecordPlace place) const {
    if (place.segment != window_place_.segment || place.offset < window_place_.offset) return std::nullopt;
    const std::size_t at = place.offset - window_place_.offset;
    if (at >= window_.size()) return std::nullopt;
    return DecodeRecord(std::string_view(window_).substr(at));
  }

  Segments& segments_;
  RecordPlace window_place_;
  std::string window_;
};

class LogImpl final : public Log {
 public:
  LogImpl(env::Disk& disk, env::Executor& executor, LogOptions options)
      : executor_(executor),
        options_(std::move(options)),
        segments_(disk, {options_.directory, options_.identity, options_.segment_bytes}) {
    queue_ = EmptyWrite(0);
  }
  ~LogImpl() override { CancelTimer(); }

  Status Start(env::Disk& disk);

  Incarnation incarnation() const override { return incarnation_; }
  bool fresh() const override { return fresh_; }
  consensus::Recovered TakeRecovered(GroupId group) override;
  void Submit(GroupId group, consensus::WriteBatch batch, std::function<void()> done) override;
  void Load(GroupId group, consensus::LoadLog wanted, LoadDone done) override;
  void Release(GroupId group, const consensus::SnapshotMeta& meta, LogIndex keep_from) override;
  LogIndex first(GroupId group) const override;
  std::uint64_t bytes() const override { return stats().segments * options_.segment_bytes; }
  bool low_on_space() const override { return false; }
  Status Close() override;
  LogStats stats() const override;

 private:
  struct Found {  // what a directory holds
    std::vector<SegmentNumber> segments;
    std::vector<std::string> unfinished;
  };

  Result<Found> Look(env::Disk& disk) const;
  Status CheckIdentity(const Identity& found) const;
  Status StartFresh(env::Disk& disk, const Found& found);
  Status StartAgain(env::Disk& disk, const IdentityFile& identity, const Found& found);
  Status WriteNow(Write write);  // blocking
  std::string Path(std::string_view name) const { return options_.directory + "/" + std::string(name); }

  void MaybeStart();
  bool MayWriteHere();
  std::string Assemble(Write* write);
  void StartWrite();
  void OnWritten(Status status);
  void Apply(const Write& write);
  void PrepareSegment();
  void ArmTimer();
  void CancelTimer();
  void OnTimer();
  void Answer(const Write::Load& load);
  Result<std::vector<consensus::Entry>> Read(GroupId group, const consensus::LoadLog& wanted);
  void Fail(Status status);
  // A task for the executor that does nothing once this log is gone.
  template <class Task>
  auto Guard(Task task) {
    return [alive = std::weak_ptr<bool>(alive_), task = std::move(task)](auto&&... args) mutable {
      if (!alive.expired()) task(std::forward<decltype(args)>(args)...);
    };
  }

  env::Executor& executor_;
  LogOptions options_;
  Segments segments_;
  Incarnation incarnation_;
  bool fresh_ = false;
  std::map<GroupId, GroupLog> groups_;

  Write queue_;
  Write in_flight_;
  struct {
    bool writing = false;
    bool failed = false;
    bool closed = false;
    bool unmarked = false;           // the last write holds batches and no later one says that it is durable
    bool mark_due = false;           // the timer ran out during a write
    bool next_is_announced = false;  // a durable write of this segment says that the next one exists
  } state_;
  std::uint64_t number_ = 0;  // of the last write begun; all before it are durable
  std::uint32_t write_offset_ = 0;
  env::TimerId timer_ = 0;
  LogStats stats_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// ---- Opening

Result<LogImpl::Found> LogImpl::Look(env::Disk& disk) const {
  Result<std::vector<std::string>> names = disk.List(options_.directory);
  if (!names.ok()) return names.status();
  Found found;
  for (const std::string& name : *names) {
    if (const auto number = ParseSegmentName(name)) found.segments.push_back(*number);
    if (name.ends_with(kUnfinishedSuffix)) found.unfinished.push_back(name);
  }
  std::sort(found.segments.begin(), found.segments.end());
  return found;
}

Status LogImpl::CheckIdentity(const Identity& found) const {
  const Identity& wanted = options_.identity;
  const std::string path = Path(kIdentityName);
  if (found.cluster != wanted.cluster) {
    return Status::FailedPrecondition(path + ": this directory belongs to cluster " +
                                      std::to_string(found.cluster.value) + ", and this server to cluster " +
                                      std::to_string(wanted.cluster.value) +
                                      ": use another data directory, or the cluster's own members and token");
  }
  if (found.self != wanted.self) {
    return Status::FailedPrecondition(path + ": this directory belongs to member " + std::to_string(found.self.value) +
                                      ", and this server is member " + std::to_string(wanted.self.value) +
                                      ": use that member's name, or another data directory");
  }
  if (found.protocol != wanted.protocol) {
    return Status::FailedPrecondition(
        path + ": this directory was written by protocol " + std::string(consensus::ProtocolName(found.protocol)) +
        ", and this server was started with " + std::string(consensus::ProtocolName(wanted.protocol)));
  }
  return Status::Ok();
}

Status LogImpl::Start(env::Disk& disk) {
  const std::string& directory = options_.directory;
  if (!disk.Exists(directory)) {
    RETURN_IF_ERROR(disk.CreateDirectory(directory));
    const auto slash = directory.rfind('/');
    RETURN_IF_ERROR(disk.SyncDirectory(slash == std::string::npos ? "." : directory.substr(0, slash)));
  }
  RETURN_IF_ERROR(disk.Lock(Path(kLockName)));
  Result<Found> found = Look(disk);
  if (!found.ok()) return found.status();
  const Result<IdentityFile> identity = ReadIdentity(disk, directory);
  if (identity.ok()) {
    RETURN_IF_ERROR(CheckIdentity(identity->identity));
    RETURN_IF_ERROR(StartAgain(disk, *identity, *found));
  } else if (identity.status().code() == StatusCode::kNotFound) {
    RETURN_IF_ERROR(StartFresh(disk, *found));
  } else if (identity.status().code() == StatusCode::kDataLoss) {
    return Damage(identity.status().message(), directory, options_.alone);
  } else {
    return identity.status();
  }
  stats_ = {};
  return Status::Ok();
}

Status LogImpl::StartFresh(env::Disk& disk, const Found& found) {
  if (!found.segments.empty()) {
    // The identity file is made last. So a directory without one is either a creation that was cut short, which holds
    // nothing that anybody was told, or it has lost the file.
    const Status missing = Damage(Path(kIdentityName) + ": the file is missing, and there are log segments",
                                  options_.directory, options_.alone);
    if (found.segments != std::vector<SegmentNumber>{1}) return missing;
    const RecoveryOptions recovery{options_.directory, options_.identity, Incarnation(), options_.alone};
    const Result<RecoveredLog> log = Recover(disk, recovery, found.segments);
    if (!log.ok() || log->has_batches || log->number > 1) return missing;
    LogInfo(options_.directory + ": its creation was cut short; starting over");
    RETURN_IF_ERROR(disk.Remove(Path(SegmentName(1))));
  }
  for (const std::string& name : found.unfinished) RETURN_IF_ERROR(disk.Remove(Path(name)));
  fresh_ = true;
  incarnation_ = Incarnation(1);
  RETURN_IF_ERROR(segments_.CreateFirst());
  RETURN_IF_ERROR(WriteNow(std::exchange(queue_, EmptyWrite(0))));
  return WriteIdentity(disk, options_.directory, {options_.identity, incarnation_});
}

Status LogImpl::StartAgain(env::Disk& disk, const IdentityFile& identity, const Found& found) {
  if (found.segments.empty()) {
    return Damage(Path(SegmentName(1)) + ": the segment is missing", options_.directory, options_.alone);
  }
  const RecoveryOptions recovery{options_.directory, options_.identity, identity.incarnation, options_.alone};
  Result<RecoveredLog> log = Recover(disk, recovery, found.segments);
  if (!log.ok()) return log.status();
  for (const std::string& name : found.unfinished) RETURN_IF_ERROR(disk.Remove(Path(name)));
  RETURN_IF_ERROR(segments_.Adopt(*log));
  number_ = log->number;
  groups_ = std::move(log->groups);
  incarnation_ = std::max(log->incarnation, identity.incarnation).Next();
  for (auto& [id, group] : groups_) group.last_seq = PersistSeq();
  RETURN_IF_ERROR(WriteNow(std::exchange(queue_, EmptyWrite(0))));
  return WriteIdentity(disk, options_.directory, {options_.identity, incarnation_});
}

// Every start begins with a write of its own: it is the mark for the last write of the life before, and the identity
// file's incarnation then proves that the log is not shorter than it was.
Status LogImpl::WriteNow(Write write) {
  const std::string bytes = Assemble(&write);
  RETURN_IF_ERROR(segments_.file().Write(write_offset_, bytes));
  RETURN_IF_ERROR(segments_.file().Sync());
  state_.next_is_announced = segments_.next_is_ready();
  state_.unmarked = false;
  ++stats_.syncs;
  return Status::Ok();
}

consensus::Recovered LogImpl::TakeRecovered(GroupId group) {
  consensus::Recovered recovered;
  const auto found = groups_.find(group);
  if (found == groups_.end()) return recovered;
  recovered.hard_state = found->second.hard_state;
  recovered.snapshot = found->second.snapshot;
  recovered.log = std::move(found->second.entries);
  recovered.applied = recovered.snapshot.last;
  found->second.entries = {};
  return recovered;
}

// ---- Writing

void LogImpl::Submit(GroupId group, consensus::WriteBatch batch, std::function<void()> done) {
  CHECK(!state_.closed) << "a batch after Close";
  if (state_.failed) return;
  const auto offset = static_cast<std::uint32_t>(queue_.buffer.size());
  AppendBatch(group, incarnation_, batch, &queue_.buffer);
  CHECK(queue_.buffer.size() < kWriteBytesMax) << queue_.buffer.size() << " bytes wait for the disk";
  GroupLog& log = groups_[group];
  CHECK(batch.seq > log.last_seq) << "batch " << batch.seq.value << " after " << log.last_seq.value;
  log.last_seq = batch.seq;
  queue_.wants_sync = queue_.wants_sync || batch.sync;
  queue_.members.push_back({group, std::move(batch), offset, std::move(done)});
  MaybeStart();
}

void LogImpl::MaybeStart() {
  if (state_.writing || state_.failed || state_.closed) return;
  if (!queue_.wants_sync && !state_.mark_due) {
    if (state_.unmarked || !queue_.members.empty()) ArmTimer();
    return;
  }
  if (MayWriteHere()) StartWrite();
}

// Goes over to the next segment when this one is full. The last write of a segment says that the next one exists, so a
// missing one is noticed.
bool LogImpl::MayWriteHere() {
  if (segments_.offset() < options_.segment_bytes) return true;
  if (segments_.next_is_ready() && state_.next_is_announced) {
    const Status rotated = segments_.Rotate();
    CHECK(rotated.ok());
    state_.next_is_announced = false;
    return true;
  }
  // A little more fits while the next segment is being made, but not without end.
  return segments_.next_is_ready() || segments_.offset() < 2 * options_.segment_bytes;
}

std::string LogImpl::Assemble(Write* write) {
  std::string bytes;
  std::uint32_t shift = 0;
  if (segments_.at_start()) {
    Writer head;
    head.PutRaw(std::string(kWriteHeaderBytes, '\0'));
    for (const auto& [id, group] : groups_) {
      GroupState state{id, incarnation_, group.hard_state, group.snapshot, group.index.first(), group.index.last()};
      if (QUORATE_BUG(wal_hard_state_lost_at_rotation)) state.hard_state.reset();
      AppendGroupState(state, &head);
    }
    shift = static_cast<std::uint32_t>(head.size() - kWriteHeaderBytes);
    head.PutRaw(std::string_view(write->buffer.str()).substr(kWriteHeaderBytes));
    bytes = std::move(head).Take();
  } else {
    bytes = std::move(write->buffer).Take();
  }
  write_offset_ = segments_.offset();
  for (Write::Member& member : write->members) member.offset += write_offset_ + shift;
  WriteHeader header;
  header.body_bytes = static_cast<std::uint32_t>(bytes.size() - kWriteHeaderBytes);
  header.number = number_ + 1;
  header.durable = number_;
  header.incarnation = incarnation_;
  header.oldest_segment = segments_.oldest();
  header.newest_segment = segments_.newest();
  EncodeWriteHeader(header, {options_.identity.cluster, options_.identity.self, segments_.current(), write_offset_},
                    bytes.data());
  ++number_;
  segments_.Advance(static_cast<std::uint32_t>(bytes.size()));
  return bytes;
}

void LogImpl::StartWrite() {
  const std::size_t reserve = queue_.buffer.size();  // the next write is likely to be as large
  in_flight_ = std::exchange(queue_, EmptyWrite(reserve));
  std::string bytes = Assemble(&in_flight_);
  state_.writing = true;
  state_.mark_due = false;
  stats_.bytes += bytes.size();
  const bool announces = segments_.next_is_ready();
  auto done = Guard([this, announces](Status status) {
    if (status.ok() && announces) state_.next_is_announced = true;
    OnWritten(std::move(status));
  });
  if (QUORATE_BUG(wal_sync_skipped)) {
    Status written = segments_.file().Write(write_offset_, bytes);
    executor_.Post([done = std::move(done), written = std::move(written)]() mutable { done(written); });
    return;
  }
  segments_.file().WriteAndSync(write_offset_, std::move(bytes), std::move(done));
  if (QUORATE_BUG(wal_done_before_sync)) {
    std::vector<std::function<void()>> early;
    for (Write::Member& member : in_flight_.members) early.push_back(std::exchange(member.done, [] {}));
    executor_.Post(Guard([early = std::move(early)] {
      for (const auto& run : early) run();
    }));
  }
}

void LogImpl::OnWritten(Status status) {
  state_.writing = false;
  if (!status.ok()) {
    Fail(std::move(status));
    return;
  }
  const Write written = std::move(in_flight_);
  in_flight_ = {};
  Apply(written);
  state_.unmarked = !written.members.empty();
  ++stats_.syncs;
  stats_.batches += written.members.size();
  if (segments_.offset() >= options_.segment_bytes / 2) PrepareSegment();
  MaybeStart();  // the disk works while the callbacks run
  const std::weak_ptr<bool> alive = alive_;
  for (const Write::Member& member : written.members) {
    member.done();
    if (alive.expired()) return;
  }
  for (const Write::Load& load : written.loads) {
    if (state_.failed) return;
    Answer(load);
    if (alive.expired()) return;
  }
}

void LogImpl::Apply(const Write& write) {
  for (const Write::Member& member : write.members) {
    GroupLog& group = groups_[member.group];
    if (member.batch.hard_state) group.hard_state = member.batch.hard_state;
    for (const consensus::LogOp& op : member.batch.ops) {
      if (const auto* put = std::get_if<consensus::PutEntry>(&op)) {
        group.index.Put(put->entry.index, {segments_.current(), member.offset});
      } else if (const auto* truncate = std::get_if<consensus::TruncateAfter>(&op)) {
        group.index.TruncateAfter(truncate->last_kept);
      } else {
        group.snapshot = std::get<consensus::InstallSnapshot>(op).meta;
        group.index.Clear();
      }
    }
  }
}

void LogImpl::PrepareSegment() {
  if (segments_.next_is_ready() || segments_.preparing()) return;
  segments_.PrepareNext(Guard([this](Status status) {
    if (!status.ok()) {
      Fail(std::move(status));
    } else {
      MaybeStart();
    }
  }));
}

// ---- The lone mark, and batches that may wait

void LogImpl::ArmTimer() {
  if (timer_ != 0) return;
  timer_ = executor_.After(options_.mark_delay_ns, Guard([this] { OnTimer(); }));
}

void LogImpl::CancelTimer() {
  if (timer_ != 0) executor_.Cancel(timer_);
  timer_ = 0;
}

void LogImpl::OnTimer() {
  timer_ = 0;
  if (!state_.unmarked && !state_.writing && queue_.members.empty()) return;
  state_.mark_due = true;
  MaybeStart();
}

// ---- Reading

void LogImpl::Load(GroupId group, consensus::LoadLog wanted, LoadDone done) {
  if (state_.failed) return;
  Write::Load load{group, wanted, std::move(done)};
  if (!queue_.members.empty()) {
    queue_.wants_sync = true;
    queue_.loads.push_back(std::move(load));
    MaybeStart();
  } else if (state_.writing) {
    in_flight_.loads.push_back(std::move(load));
  } else {
    executor_.Post(Guard([this, load = std::move(load)] {
      if (!state_.failed) Answer(load);
    }));
  }
}

void LogImpl::Answer(const Write::Load& load) {
  Result<std::vector<consensus::Entry>> entries = Read(load.group, load.wanted);
  if (!entries.ok()) {
    Fail(entries.status());
    return;
  }
  load.done(std::move(*entries));
}

Result<std::vector<consensus::Entry>> LogImpl::Read(GroupId group, const consensus::LoadLog& wanted) {
  std::vector<consensus::Entry> entries;
  const auto found = groups_.find(group);
  if (found == groups_.end()) return entries;
  const EntryIndex& index = found->second.index;
  auto slot = index.From(wanted.first);
  if (slot == index.end() || slot->index != wanted.first) return entries;
  RecordReader reader(segments_);
  RecordPlace place;
  std::map<LogIndex, consensus::Entry>
      batch;  // of the record at `place`; the last one of an index wins, as it did then
  std::uint64_t bytes = 0;
  for (; slot != index.end() && slot->index <= wanted.last; ++slot) {
    if (slot->place != place) {
      Result<Batch> read = reader.Read(slot->place);
      if (read.status().code() == StatusCode::kDataLoss) {
        return Damage(Path(SegmentName(slot->place.segment)) + ": offset " + std::to_string(slot->place.offset) +
                          ": a record that was good is not any more",
                      options_.directory, options_.alone);
      }
      if (!read.ok()) return read.status();
      place = slot->place;
      batch.clear();
      for (consensus::LogOp& op : read->batch.ops) {
        if (auto* put = std::get_if<consensus::PutEntry>(&op)) batch[put->entry.index] = std::move(put->entry);
      }
    }
    const auto entry = batch.find(slot->index);
    CHECK(entry != batch.end()) << "entry " << slot->index.value << " is not where the index says";
    bytes += entry->second.payload.size();
    if (!entries.empty() && bytes > wanted.bytes_max) break;
    entries.push_back(std::move(entry->second));
  }
  return entries;
}

// Nothing is given back yet: a start finds all of it, which is as good.
void LogImpl::Release(GroupId, const consensus::SnapshotMeta&, LogIndex) {}

LogIndex LogImpl::first(GroupId group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? LogIndex(1) : std::max(found->second.index.first(), LogIndex(1));
}

// ---- The end

void LogImpl::Fail(Status status) {
  if (state_.failed) return;
  state_.failed = true;
  CancelTimer();
  LogError("the log has failed and takes no more: " + status.message());
  if (options_.on_failure) options_.on_failure(std::move(status));
}

Status LogImpl::Close() {
  if (state_.closed) return Status::Ok();
  state_.closed = true;
  CancelTimer();
  // A write under way carries the mark of the one before it, and needs none itself: nobody was told of it.
  if (state_.failed || state_.writing || (!state_.unmarked && queue_.members.empty())) return Status::Ok();
  return WriteNow(std::exchange(queue_, EmptyWrite(0)));
}

LogStats LogImpl::stats() const {
  LogStats stats = stats_;
  stats.segments = segments_.newest() - segments_.oldest() + 1;
  return stats;
}

}  // namespace

Result<std::unique_ptr<Log>> Log::Open(env::Disk& disk, env::Executor& executor, LogOptions options) {
  if (options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax) {
    return Status::InvalidArgument("segment_bytes is " + std::to_string(options.segment_bytes) + ": use " +
                                   std::to_string(kSegmentBytesMin) + " to " + std::to_string(kSegmentBytesMax));
  }
  auto log = std::make_unique<LogImpl>(disk, executor, std::move(options));
  RETURN_IF_ERROR(log->Start(disk));
  return std::unique_ptr<Log>(std::move(log));
}

}  // namespace quorate::wal
