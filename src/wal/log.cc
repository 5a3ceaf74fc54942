#include "wal/log.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "base/bug.h"
#include "base/log.h"
#include "base/probe.h"
#include "wal/format.h"
#include "wal/recovery.h"
#include "wal/rewriter.h"
#include "wal/segments.h"

namespace quorate::wal {
namespace {

constexpr std::uint64_t kSegmentBytesMin = 4 << 10;
constexpr std::uint64_t kSegmentBytesMax = 1 << 30;  // offsets have 32 bits
constexpr std::uint64_t kWriteBytesMax = 1 << 30;
constexpr std::size_t kWriteReserveMax = 1 << 20;
constexpr std::uint64_t kPieceBytesMin = 4 << 10;
constexpr SegmentNumber kNoSegment = UINT32_MAX;
constexpr std::uint64_t kRetryNs = 1'000'000'000;  // after the disk was full

using LoadDone = std::function<void(std::vector<consensus::Entry>)>;

// What goes to disk together. Records are encoded when they are submitted, behind room for the write's header, so the
// buffer is built once and handed to the disk as it is.
struct Write {
  struct Member {
    GroupId group;
    consensus::WriteBatch batch;
    std::optional<consensus::SnapshotMeta> release;  // then there is no batch
    std::uint32_t offset = 0;                        // of its record in `buffer`
    std::function<void()> done;
  };
  struct Moved {  // an entry that `head` has a copy of
    GroupId group;
    LogIndex index;
    std::uint64_t bytes = 0;
    std::uint32_t offset = 0;  // of its record in `head`
  };
  struct Load {
    GroupId group;
    consensus::LoadLog wanted;
    LoadDone done;
  };
  Writer head;  // goes before the members: entries rewritten forward
  Writer buffer;
  std::vector<Moved> moved;
  std::vector<Member> members;
  std::vector<Load> loads;  // to be answered when everything submitted before them is in the index
  bool wants_sync = false;

  std::size_t size() const { return head.size() + buffer.size(); }
};

Write EmptyWrite(std::size_t reserve) {
  Write write;
  write.buffer = Writer(std::min(reserve, kWriteReserveMax) + kWriteHeaderBytes);
  write.buffer.PutRaw(std::string(kWriteHeaderBytes, '\0'));
  return write;
}

class LogImpl final : public Log {
 public:
  LogImpl(env::Disk& disk, env::Executor& executor, LogOptions options)
      : executor_(executor),
        options_(std::move(options)),
        segments_(disk, {options_.directory, options_.identity, options_.segment_bytes, options_.retention_ns,
                         options_.clock}),
        rewriter_(disk, options_.segment_bytes) {
    queue_.push_back(EmptyWrite(0));
  }
  ~LogImpl() override {
    CancelTimer();
    if (state_.retry != 0) executor_.Cancel(state_.retry);
  }

  Status Start(env::Disk& disk);

  Incarnation incarnation() const override { return incarnation_; }
  bool fresh() const override { return fresh_; }
  consensus::Recovered TakeRecovered(GroupId group) override;
  void Submit(GroupId group, consensus::WriteBatch batch, std::function<void()> done) override;
  void Load(GroupId group, consensus::LoadLog wanted, LoadDone done) override;
  void Release(GroupId group, const consensus::SnapshotMeta& meta, LogIndex keep_from) override;
  LogIndex first(GroupId group) const override;
  std::uint64_t bytes() const override { return segments_.bytes(); }
  bool low_on_space() const override { return state_.low; }
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
  Status WriteIdentityNow(env::Disk& disk);
  Status WriteNow(Write write);  // blocking
  std::string Path(std::string_view name) const { return options_.directory + "/" + std::string(name); }

  enum class Room { kHere, kAfterMark, kNone };

  void MaybeStart();
  Write& Tail();                              // the write that takes new records
  Write TakeFirst();                          // of the queue
  Result<Room> MakeRoom(const Write& write);  // here, or by going over to the next segment
  std::uint64_t StatesBytesMax() const;
  SegmentNumber OldestNeeded() const;
  void AddRewritten(Write* write);
  std::string Assemble(Write* write);
  void StartWrite(Write write);
  void OnWritten(Status status);
  void Apply(const Write& write);
  void ApplyBatch(const Write::Member& member);
  void ApplyRelease(const Write::Member& member);

  void LookForRemoval();
  void PrepareSegment();
  void OnPrepared(const Status& status);
  void MakeReserve();
  void NoSpace(const Status& status);
  void SetLow(bool low);
  void Retry();
  void ArmTimer();
  void CancelTimer();
  void OnTimer();
  void Answer(const Write::Load& load);
  Result<std::vector<consensus::Entry>> Read(GroupId group, const consensus::LoadLog& wanted);
  Status OnUnreadable(GroupLog& group, EntryIndex::Slot slot);
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
  Rewriter rewriter_;
  Incarnation incarnation_;
  bool fresh_ = false;
  std::map<GroupId, GroupLog> groups_;

  std::deque<Write> queue_;  // never empty; the last takes what comes, the ones before it are full
  Write in_flight_;
  struct {
    bool writing = false;
    bool failed = false;
    bool closed = false;
    bool unmarked = false;           // the last write holds batches and no later one says that it is durable
    bool mark_due = false;           // the timer ran out during a write
    bool next_is_announced = false;  // a durable write of this segment says that the next one exists
    bool released = false;           // in this life; until then older files than a start needs are left alone
    bool look = false;               // something may have become removable
    bool low = false;
    bool prepare_failed = false;  // there was no room for the next segment
    env::TimerId retry = 0;
    SegmentNumber needed = kNoSegment;  // by a start, of entries in durable writes; not above the true one
    SegmentNumber announced = 0;        // what the last durable write says is the oldest that a start needs
    std::uint64_t queued_bytes = 0;
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
        ", and this server was started with " + std::string(consensus::ProtocolName(wanted.protocol)) +
        ": start it with --protocol " + std::string(consensus::ProtocolName(found.protocol)) +
        ", or name another data directory");
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
  if (!segments_.has_reserve()) MakeReserve();
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
  RETURN_IF_ERROR(WriteNow(TakeFirst()));
  return WriteIdentityNow(disk);
}

Status LogImpl::StartAgain(env::Disk& disk, const IdentityFile& identity, const Found& found) {
  if (found.segments.empty()) {
    return Damage(Path(SegmentName(1)) + ": the segment is missing", options_.directory, options_.alone);
  }
  const RecoveryOptions recovery{options_.directory, options_.identity, identity.incarnation, options_.alone};
  Result<RecoveredLog> log = Recover(disk, recovery, found.segments);
  if (!log.ok()) return log.status();
  for (const std::string& name : found.unfinished) RETURN_IF_ERROR(disk.Remove(Path(name)));
  RETURN_IF_ERROR(segments_.Adopt(*log, found.segments));
  number_ = log->number;
  groups_ = std::move(log->groups);
  state_.announced = log->oldest;
  for (const auto& [id, group] : groups_) {
    if (const SegmentNumber needed = group.index.oldest_needed(); needed != 0) {
      state_.needed = std::min(state_.needed, needed);
    }
  }
  incarnation_ = std::max(log->incarnation, identity.incarnation).Next();
  for (auto& [id, group] : groups_) group.last_seq = PersistSeq();
  RETURN_IF_ERROR(WriteNow(TakeFirst()));
  return WriteIdentityNow(disk);
}

// The file's few bytes may find no room on a full disk: the reserve is there for the like.
Status LogImpl::WriteIdentityNow(env::Disk& disk) {
  Status written = WriteIdentity(disk, options_.directory, {options_.identity, incarnation_});
  if (written.code() != StatusCode::kResourceExhausted || !segments_.has_reserve()) return written;
  RETURN_IF_ERROR(segments_.GiveUpReserve());
  return WriteIdentity(disk, options_.directory, {options_.identity, incarnation_});
}

// Every start begins with a write of its own: it is the mark for the last write of the life before, and the identity
// file's incarnation then proves that the log is not shorter than it was.
Status LogImpl::WriteNow(Write write) {
  for (;;) {
    const Result<Room> room = MakeRoom(write);
    if (!room.ok() && room.status().code() != StatusCode::kResourceExhausted) return room.status();
    if (room.ok() && *room == Room::kHere) break;
    if (room.ok() && *room == Room::kAfterMark) {
      RETURN_IF_ERROR(WriteNow(EmptyWrite(0)));
    } else if (Status prepared = segments_.PrepareNextNow(); !prepared.ok()) {
      if (prepared.code() != StatusCode::kResourceExhausted) return prepared;
      return Status::ResourceExhausted(prepared.message() +
                                       ". Nothing is lost: make room on the disk, and start it again");
    }
  }
  const std::string bytes = Assemble(&write);
  RETURN_IF_ERROR(segments_.file().Write(write_offset_, bytes));
  RETURN_IF_ERROR(segments_.file().Sync());
  Apply(write);
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

Write& LogImpl::Tail() {
  if (queue_.back().buffer.size() >= std::max(options_.segment_bytes / 16, kPieceBytesMin)) {
    queue_.push_back(EmptyWrite(queue_.back().buffer.size()));
  }
  return queue_.back();
}

Write LogImpl::TakeFirst() {
  Write write = std::move(queue_.front());
  queue_.pop_front();
  state_.queued_bytes -= write.buffer.size() - kWriteHeaderBytes;
  if (queue_.empty()) queue_.push_back(EmptyWrite(write.buffer.size()));  // the next is likely to be as large
  return write;
}

void LogImpl::Submit(GroupId group, consensus::WriteBatch batch, std::function<void()> done) {
  CHECK(!state_.closed) << "a batch after Close";
  if (state_.failed) return;
  Write& write = Tail();
  const auto offset = static_cast<std::uint32_t>(write.buffer.size());
  if (QUORATE_BUG(wal_install_not_atomic) && batch.hard_state && !batch.ops.empty() &&
      std::holds_alternative<consensus::InstallSnapshot>(batch.ops.front())) {
    consensus::WriteBatch torn = batch;
    torn.hard_state.reset();
    AppendBatch(group, incarnation_, torn, &write.buffer);
  } else {
    AppendBatch(group, incarnation_, batch, &write.buffer);
  }
  state_.queued_bytes += write.buffer.size() - offset;
  CHECK(state_.queued_bytes < kWriteBytesMax) << state_.queued_bytes << " bytes wait for the disk";
  GroupLog& log = groups_[group];
  CHECK(batch.seq > log.last_seq) << "batch " << batch.seq.value << " after " << log.last_seq.value;
  log.last_seq = batch.seq;
  write.wants_sync = write.wants_sync || batch.sync;
  write.members.push_back({group, std::move(batch), std::nullopt, offset, std::move(done)});
  MaybeStart();
}

void LogImpl::Release(GroupId group, const consensus::SnapshotMeta& meta, LogIndex keep_from) {
  CHECK(!state_.closed) << "a release after Close";
  if (state_.failed) return;
  GroupLog& log = groups_[group];
  state_.released = state_.look = true;
  log.keep_from = std::max(log.keep_from, std::min(keep_from, meta.last.Next()));
  log.index.DropBefore(std::min(log.keep_from, log.snapshot.last.Next()));
  if (meta.last <= log.snapshot.last) {
    if (!state_.writing) LookForRemoval();
    return;
  }
  consensus::SnapshotMeta released = meta;
  if (QUORATE_BUG(wal_released_above_flushed)) released.last = std::max(released.last, log.last);
  Write& write = Tail();
  const auto offset = static_cast<std::uint32_t>(write.buffer.size());
  AppendRelease({group, incarnation_, released}, &write.buffer);
  state_.queued_bytes += write.buffer.size() - offset;
  write.members.push_back({group, {}, std::move(released), offset, nullptr});
  MaybeStart();
}

void LogImpl::MaybeStart() {
  if (state_.writing || state_.failed || state_.closed) return;
  Write& first = queue_.front();
  const bool full = queue_.size() > 1;
  if (rewriter_.staged()) AddRewritten(&first);
  if (!first.wants_sync && !full && !state_.mark_due && first.moved.empty()) {
    if (state_.unmarked || !first.members.empty()) ArmTimer();
    return;
  }
  const Result<Room> room = MakeRoom(first);
  if (!room.ok()) {
    if (room.status().code() == StatusCode::kResourceExhausted) {
      NoSpace(room.status());
    } else {
      Fail(room.status());
    }
  } else if (*room == Room::kHere) {
    StartWrite(TakeFirst());
  } else if (*room == Room::kAfterMark) {
    StartWrite(EmptyWrite(0));
  } else {
    PrepareSegment();
  }
}

// No write is begun that may not fit: what is allocated is there for sure. The last write of a segment says that the
// next one exists, so a missing one is noticed; the last bytes are left for that.
Result<LogImpl::Room> LogImpl::MakeRoom(const Write& write) {
  for (;;) {
    if (segments_.at_start()) {
      const std::uint64_t bytes = write.size() + StatesBytesMax() + kWriteHeaderBytes;
      if (!segments_.Fits(bytes)) RETURN_IF_ERROR(segments_.Extend(bytes));
      return Room::kHere;
    }
    if (segments_.Fits(write.size() + kWriteHeaderBytes)) return Room::kHere;
    if (!segments_.next_is_ready()) return Room::kNone;
    if (!state_.next_is_announced) {
      if (!segments_.Fits(kWriteHeaderBytes)) RETURN_IF_ERROR(segments_.Extend(kWriteHeaderBytes));
      if (write.size() == kWriteHeaderBytes) return Room::kHere;  // it is such a mark itself
      return Room::kAfterMark;
    }
    segments_.Rotate();
    state_.next_is_announced = false;
    state_.look = true;
  }
}

std::uint64_t LogImpl::StatesBytesMax() const {
  constexpr std::uint64_t kEach = 128;
  constexpr std::uint64_t kReplica = 10;
  std::uint64_t bytes = 0;
  for (const auto& [id, group] : groups_) {
    const consensus::Membership& members = group.snapshot.members;
    bytes += kEach + (group.hard_state ? group.hard_state->size() : 0) +
             kReplica * (members.voters.size() + members.outgoing.size() + members.learners.size());
  }
  return bytes;
}

// The states at a segment's start are of use only once they are durable: its first write still leans on the segment
// before.
SegmentNumber LogImpl::OldestNeeded() const {
  const SegmentNumber current = segments_.current();
  const SegmentNumber durable = segments_.at_start() && current > 1 ? current - 1 : current;
  return std::min(durable, state_.needed);
}

// Copies of entries that still stand where they were read. Whatever was written since is in the index.
void LogImpl::AddRewritten(Write* write) {
  std::map<GroupId, Rewritten> records;
  for (Rewriter::Copy& copy : rewriter_.Take()) {
    const GroupLog& group = groups_[copy.group];
    const auto slot = group.index.From(copy.entry.index);
    if (slot == group.index.end() || slot->index != copy.entry.index || slot->place != copy.place) continue;
    Rewritten& record = records[copy.group];
    record.group = copy.group;
    record.incarnation = incarnation_;
    QUORATE_PROBE(wal_entry_rewritten_forward);
    record.entries.push_back(std::move(copy.entry));
  }
  for (auto& [id, record] : records) {
    const auto offset = static_cast<std::uint32_t>(write->head.size());
    for (const consensus::Entry& entry : record.entries) {
      write->moved.push_back({id, entry.index, EntryBytes(entry), offset});
    }
    if (QUORATE_BUG(wal_rewrite_forward_drops_entry)) record.entries.pop_back();
    AppendRewritten(record, &write->head);
  }
}

std::string LogImpl::Assemble(Write* write) {
  Writer front;
  front.PutRaw(std::string(kWriteHeaderBytes, '\0'));
  if (segments_.at_start()) {
    for (const auto& [id, group] : groups_) {
      GroupState state{id, incarnation_, group.hard_state, group.snapshot, group.index.first_needed(), group.last};
      if (QUORATE_BUG(wal_hard_state_lost_at_rotation)) state.hard_state.reset();
      if (QUORATE_BUG(wal_release_forgets_hard_state) && group.snapshot.last) state.hard_state.reset();
      AppendGroupState(state, &front);
    }
  }
  const auto head_at = static_cast<std::uint32_t>(front.size());
  front.PutRaw(write->head.str());
  std::string bytes;
  const auto shift = static_cast<std::uint32_t>(front.size() - kWriteHeaderBytes);
  if (shift == 0) {
    bytes = std::move(write->buffer).Take();
  } else {
    front.PutRaw(std::string_view(write->buffer.str()).substr(kWriteHeaderBytes));
    bytes = std::move(front).Take();
  }
  write_offset_ = segments_.offset();
  for (Write::Moved& moved : write->moved) moved.offset += write_offset_ + head_at;
  for (Write::Member& member : write->members) member.offset += write_offset_ + shift;
  WriteHeader header;
  header.body_bytes = static_cast<std::uint32_t>(bytes.size() - kWriteHeaderBytes);
  header.number = number_ + 1;
  header.durable = number_;
  header.incarnation = incarnation_;
  header.oldest_segment = OldestNeeded();
  header.newest_segment = segments_.newest();
  EncodeWriteHeader(header, {options_.identity.cluster, options_.identity.self, segments_.current(), write_offset_},
                    bytes.data());
  ++number_;
  segments_.Advance(static_cast<std::uint32_t>(bytes.size()));
  return bytes;
}

void LogImpl::StartWrite(Write write) {
  in_flight_ = std::move(write);
  const SegmentNumber needed = OldestNeeded();
  std::string bytes = Assemble(&in_flight_);
  state_.writing = true;
  state_.mark_due = false;
  stats_.bytes += bytes.size();
  const bool announces = segments_.next_is_ready();
  auto done = Guard([this, announces, needed](Status status) {
    if (status.ok() && announces) state_.next_is_announced = true;
    if (status.ok() && std::exchange(state_.announced, needed) != needed) state_.look = true;
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
    for (Write::Member& member : in_flight_.members) early.push_back(std::exchange(member.done, nullptr));
    executor_.Post(Guard([early = std::move(early)] {
      for (const auto& run : early) {
        if (run) run();
      }
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
  state_.unmarked = !written.members.empty() || !written.moved.empty();
  ++stats_.syncs;
  if (segments_.half_full() && !segments_.next_is_ready()) PrepareSegment();
  if (state_.look) LookForRemoval();
  MaybeStart();  // the disk works while the callbacks run
  const std::weak_ptr<bool> alive = alive_;
  for (const Write::Member& member : written.members) {
    if (member.done) member.done();
    if (alive.expired()) return;
  }
  for (const Write::Load& load : written.loads) {
    if (state_.failed) return;
    Answer(load);
    if (alive.expired()) return;
  }
}

void LogImpl::Apply(const Write& write) {
  for (const Write::Moved& moved : write.moved) {
    groups_[moved.group].index.Put(moved.index, {segments_.current(), moved.offset}, moved.bytes);
    ++stats_.rewritten;
  }
  for (const Write::Member& member : write.members) {
    if (member.release) {
      ApplyRelease(member);
    } else {
      ApplyBatch(member);
      ++stats_.batches;
    }
  }
  if (!write.moved.empty()) state_.look = true;
  if (!state_.look) return;
  state_.needed = kNoSegment;
  for (const auto& [id, group] : groups_) {
    if (const SegmentNumber needed = group.index.oldest_needed(); needed != 0) {
      state_.needed = std::min(state_.needed, needed);
    }
  }
}

void LogImpl::ApplyBatch(const Write::Member& member) {
  GroupLog& group = groups_[member.group];
  if (member.batch.hard_state) group.hard_state = member.batch.hard_state;
  for (const consensus::LogOp& op : member.batch.ops) {
    if (const auto* put = std::get_if<consensus::PutEntry>(&op)) {
      if (!group.NotePut(put->entry.index)) continue;
      group.index.Put(put->entry.index, {segments_.current(), member.offset}, EntryBytes(put->entry));
      state_.needed = std::min(state_.needed, segments_.current());
    } else if (const auto* truncate = std::get_if<consensus::TruncateAfter>(&op)) {
      group.NoteTruncation(truncate->last_kept);
      group.index.TruncateAfter(truncate->last_kept);
      state_.look = true;
    } else {
      group.NoteInstall(std::get<consensus::InstallSnapshot>(op).meta);
      group.index.Clear();
      group.index.Release(group.snapshot.last);
      state_.look = true;
    }
  }
}

void LogImpl::ApplyRelease(const Write::Member& member) {
  GroupLog& group = groups_[member.group];
  if (!group.NoteRelease(*member.release)) return;
  group.index.Release(group.snapshot.last);
  group.index.DropBefore(std::min(group.keep_from, group.snapshot.last.Next()));
  state_.look = true;
}

// ---- Room: the next segment, the reserve, what can go

// Older segments go when a durable write says that a start does not need them and no entry in them can be asked for.
void LogImpl::LookForRemoval() {
  state_.look = false;
  if (!state_.released || state_.failed || state_.closed || segments_.removing()) return;
  SegmentNumber limit = state_.announced;
  for (const auto& [id, group] : groups_) {
    if (const SegmentNumber oldest = group.index.oldest(); oldest != 0) limit = std::min(limit, oldest);
  }
  if (segments_.oldest() < limit) {
    segments_.RemoveBelow(limit, Guard([this](const Status& status) {
                            if (!status.ok()) {
                              LogWarn("released log segments stay where they are: " + status.message());
                              return;
                            }
                            LookForRemoval();
                          }));
  }
  if (state_.low) return;
  rewriter_.Consider(
      groups_, segments_.current(), [this](SegmentNumber segment) { return segments_.PathOf(segment); },
      Guard([this] { MaybeStart(); }));
}

void LogImpl::PrepareSegment() {
  if (segments_.next_is_ready() || segments_.preparing()) return;
  if (!state_.prepare_failed) {
    segments_.PrepareNext(/*from_reserve=*/false, Guard([this](const Status& status) { OnPrepared(status); }));
    return;
  }
  // Only when the present segment is full: the reserve is for what cannot be refused.
  if (segments_.has_reserve() && !segments_.making_reserve() &&
      !segments_.Fits(2 * kWriteHeaderBytes + queue_.front().size())) {
    segments_.PrepareNext(/*from_reserve=*/true, Guard([this](const Status& status) { OnPrepared(status); }));
  }
}

void LogImpl::OnPrepared(const Status& status) {
  if (status.code() == StatusCode::kResourceExhausted) {
    state_.prepare_failed = true;
    NoSpace(status);
    if (segments_.has_reserve()) MaybeStart();
    return;
  }
  if (!status.ok()) {
    Fail(status);
    return;
  }
  state_.prepare_failed = false;
  if (segments_.has_reserve()) {
    SetLow(false);
  } else if (state_.retry == 0) {
    MakeReserve();
  }
  MaybeStart();
}

void LogImpl::MakeReserve() {
  if (segments_.has_reserve() || segments_.making_reserve() || state_.failed) return;
  segments_.MakeReserve(Guard([this](const Status& status) {
    if (status.ok()) {
      if (!state_.prepare_failed) SetLow(false);
    } else if (status.code() == StatusCode::kResourceExhausted) {
      NoSpace(status);
    } else {
      LogWarn("there is no reserve for a full disk: " + status.message());
    }
  }));
}

void LogImpl::NoSpace(const Status& status) {
  if (!state_.low) LogError("the log is short of room: " + status.message());
  SetLow(true);
  if (state_.retry == 0) state_.retry = executor_.After(kRetryNs, Guard([this] { Retry(); }));
}

void LogImpl::SetLow(bool low) {
  if (state_.low == low) return;
  state_.low = low;
  if (!low) LogInfo("the log has room again");
  if (!options_.on_space) return;
  executor_.Post(Guard([this, low] { options_.on_space(low); }));
}

void LogImpl::Retry() {
  state_.retry = 0;
  if (state_.failed || state_.closed) return;
  if (!segments_.next_is_ready() && !segments_.preparing()) {
    state_.prepare_failed = false;
    PrepareSegment();
  } else {
    MakeReserve();
  }
  MaybeStart();
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
  if (!state_.unmarked && !state_.writing && queue_.front().members.empty()) return;
  state_.mark_due = true;
  MaybeStart();
}

// ---- Reading

void LogImpl::Load(GroupId group, consensus::LoadLog wanted, LoadDone done) {
  if (state_.failed) return;
  Write::Load load{group, wanted, std::move(done)};
  if (Write& last = queue_.back(); !last.members.empty()) {
    last.wants_sync = true;
    last.loads.push_back(std::move(load));
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
  RecordReader reader([this](SegmentNumber segment, std::uint32_t offset, std::uint64_t length) {
    return segments_.Read(segment, offset, length);
  });
  RecordPlace place;
  std::map<LogIndex, consensus::Entry> record;
  std::uint64_t bytes = 0;
  for (; slot != index.end() && slot->index <= wanted.last; ++slot) {
    if (slot->place != place) {
      Result<std::map<LogIndex, consensus::Entry>> read = reader.Read(slot->place);
      if (read.status().code() == StatusCode::kDataLoss) {
        RETURN_IF_ERROR(OnUnreadable(found->second, *slot));
        return entries;
      }
      if (!read.ok()) return read.status();
      place = slot->place;
      record = std::move(*read);
    }
    const auto entry = record.find(slot->index);
    CHECK(entry != record.end()) << "entry " << slot->index.value << " is not where the index says";
    bytes += entry->second.payload.size();
    if (!entries.empty() && bytes > wanted.bytes_max) break;
    entries.push_back(std::move(entry->second));
  }
  return entries;
}

// A released entry was for followers only: they get a snapshot instead.
Status LogImpl::OnUnreadable(GroupLog& group, EntryIndex::Slot slot) {
  const std::string what = segments_.PathOf(slot.place.segment) + ": offset " + std::to_string(slot.place.offset) +
                           ": a record that was good is not any more";
  if (slot.index > group.snapshot.last) return Damage(what, options_.directory, options_.alone);
  LogError(what + ". It was released already: a member that still needs it gets a snapshot");
  group.index.DropBefore(slot.index.Next());
  return Status::Ok();
}

LogIndex LogImpl::first(GroupId group) const {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return LogIndex(1);
  const GroupLog& log = found->second;
  return log.index.size() > 0 ? log.index.first() : std::max(log.snapshot.last, log.last).Next();
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
  if (state_.failed || state_.writing) return Status::Ok();
  if (!state_.unmarked && queue_.back().members.empty()) return Status::Ok();
  do {
    RETURN_IF_ERROR(WriteNow(TakeFirst()));
  } while (!queue_.front().members.empty());
  return Status::Ok();
}

LogStats LogImpl::stats() const {
  LogStats stats = stats_;
  stats.segments = segments_.count();
  stats.released = segments_.removed();
  stats.disk_bytes = segments_.bytes();
  stats.low_on_space = state_.low;
  return stats;
}

}  // namespace

Result<std::unique_ptr<Log>> Log::Open(env::Disk& disk, env::Executor& executor, LogOptions options) {
  if (options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax) {
    return Status::InvalidArgument("segment_bytes is " + std::to_string(options.segment_bytes) + ": use " +
                                   std::to_string(kSegmentBytesMin) + " to " + std::to_string(kSegmentBytesMax));
  }
  if (options.retention_ns > 0 && options.clock == nullptr)
    return Status::InvalidArgument("retention_ns needs a clock");
  auto log = std::make_unique<LogImpl>(disk, executor, std::move(options));
  RETURN_IF_ERROR(log->Start(disk));
  return std::unique_ptr<Log>(std::move(log));
}

}  // namespace quorate::wal
