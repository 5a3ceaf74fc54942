#include "store/write_buffer.h"

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/codec.h"
#include "store/state_hash.h"

namespace quorate::store {
namespace {

constexpr std::uint8_t kLocalStateFormat = 1;
constexpr std::uint64_t kRecordOverheadBytes = sizeof(BufferedRecord) + 64;  // with the record's shared string
constexpr std::uint64_t kSmallOverheadBytes = 128;                           // of a row in the tree

}  // namespace

std::string LocalState::Encode() const {
  Writer w;
  w.Put8(kLocalStateFormat);
  w.Put64(hash);
  w.Put64(dropped_hash);
  w.PutVarint(records);
  w.PutVarint(static_cast<std::uint64_t>(compacted));
  return std::move(w).Take();
}

std::optional<LocalState> LocalState::Decode(std::string_view encoded) {
  Reader r(encoded);
  if (r.Get8() != kLocalStateFormat) return std::nullopt;
  LocalState state;
  state.hash = r.Get64();
  state.dropped_hash = r.Get64();
  state.records = r.GetVarint();
  state.compacted = static_cast<Revision>(r.GetVarint());
  return r.Done() ? std::optional<LocalState>(state) : std::nullopt;
}

EngineBatch SealedBatch::Build() const {
  EngineBatch batch;
  batch.applied = applied;
  batch.writes.reserve(small.size() + 2 * (dropped.size() + records.size()));
  for (const auto& [place, value] : small) batch.writes.push_back({place.first, place.second, value});
  std::vector<Dropped> deletes = dropped;
  std::sort(deletes.begin(), deletes.end(), [](const Dropped& a, const Dropped& b) { return a.key < b.key; });
  for (const Dropped& gone : deletes) batch.writes.push_back({Table::kKv, EncodeRecordKey(gone.key), std::nullopt});
  for (const BufferedRecord& record : records) {
    batch.writes.push_back({Table::kKv, EncodeRecordKey(record.key), Bytes(EncodeRow(record.record))});
  }
  for (const Dropped& gone : deletes) {
    if (gone.apart) batch.writes.push_back({Table::kValue, EncodeRecordKey(gone.key), std::nullopt});
  }
  for (const BufferedRecord& record : records) {
    Bytes value = ApartValue(record.record);
    if (!value.empty()) batch.writes.push_back({Table::kValue, EncodeRecordKey(record.key), std::move(value)});
  }
  std::vector<std::pair<RecordKey, RecordKey>> runs = dropped_runs;
  std::sort(runs.begin(), runs.end());
  for (const Table table : {Table::kKv, Table::kValue}) {
    for (const auto& [first, last] : runs) {
      batch.erased.push_back({table, EncodeRecordKey(first), EncodeRecordKey({last.revision, last.sub + 1})});
    }
  }
  return batch;
}

WriteBuffer::WriteBuffer(Engine& engine, WriteBufferOptions options)
    : engine_(engine), options_(options), applied_(engine.flushed()) {}

WriteBuffer::~WriteBuffer() = default;

Status WriteBuffer::Load() {
  const Result<std::optional<Bytes>> found = engine_.Pin()->Get(Table::kLocal, LocalState::kKey);
  if (!found.ok()) return found.status();
  local_ = {};
  if (!found->has_value()) return {};
  const std::optional<LocalState> local = LocalState::Decode((*found)->view());
  if (!local) return Status::DataLoss("the keyspace's own bookkeeping is damaged or of a newer format");
  local_ = *local;
  return {};
}

SealedBatch& WriteBuffer::open() {
  if (!open_) {
    open_ = true;
    batches_.push_back(std::make_shared<SealedBatch>());
    batches_.back()->sequence = ++sequence_;
  }
  return *batches_.back();
}

void WriteBuffer::Count(std::uint64_t bytes) {
  batches_.back()->bytes += bytes;
  total_bytes_ += bytes;
  backlog_bytes_ += bytes;
}

void WriteBuffer::Insert(Table table, std::string key, Bytes value) {
  local_.hash += RecordHash(table, key, value.view());
  SealedBatch& batch = open();
  Count(key.size() + value.size() + kSmallOverheadBytes);
  batch.small.insert_or_assign({table, std::move(key)}, std::move(value));
}

void WriteBuffer::Replace(Table table, std::string key, std::string_view old_value, Bytes value) {
  local_.hash -= RecordHash(table, key, old_value);
  Insert(table, std::move(key), std::move(value));
}

void WriteBuffer::Erase(Table table, std::string key, std::string_view old_value) {
  local_.hash -= RecordHash(table, key, old_value);
  SealedBatch& batch = open();
  Count(key.size() + kSmallOverheadBytes);
  batch.small.insert_or_assign({table, std::move(key)}, std::nullopt);
}

void WriteBuffer::AddRecord(RecordKey key, Bytes record) {
  local_.hash += RecordHash(Table::kKv, EncodeRecordKey(key), EncodeRow(record));
  ++local_.records;
  SealedBatch& batch = open();
  Count(record.size() + kRecordOverheadBytes);
  batch.records.push_back({key, std::move(record)});
}

void WriteBuffer::Drop(const std::vector<SealedBatch::Dropped>& dropped,
                       const std::vector<std::pair<RecordKey, RecordKey>>& runs, std::uint64_t records,
                       std::uint64_t hash) {
  SealedBatch& batch = open();
  batch.dropped.insert(batch.dropped.end(), dropped.begin(), dropped.end());
  batch.dropped_runs.insert(batch.dropped_runs.end(), runs.begin(), runs.end());
  Count(dropped.size() * sizeof(SealedBatch::Dropped) + runs.size() * sizeof(runs[0]));
  local_.records -= records;
  local_.dropped_hash += hash;
  if (batch.dropped.size() >= options_.batch_records) Seal();
}

void WriteBuffer::Commit(LogIndex applied) {
  applied_ = applied;
  if (!open_) return;
  const SealedBatch& batch = *batches_.back();
  if (batch.bytes >= options_.batch_bytes || batch.records.size() >= options_.batch_records) Seal();
}

void WriteBuffer::Seal() {
  SealedBatch& batch = open();
  batch.applied = applied_;
  batch.small.insert_or_assign({Table::kLocal, std::string(LocalState::kKey)}, Bytes(local_.Encode()));
  open_ = false;
  WriteNext();
}

void WriteBuffer::WriteNext() {
  const std::size_t sealed = batches_.size() - (open_ ? 1 : 0);
  if (writing_ != Writing::kNo || written_ == sealed) return;
  writing_ = Writing::kYes;
  std::shared_ptr<const SealedBatch> batch = batches_[written_];
  auto done = [this, alive = std::weak_ptr<const bool>(alive_)](const Status& status) {
    if (!alive.expired()) OnWritten(status);
  };
  if (QUORATE_BUG(store_applied_index_apart)) {
    engine_.Write(
        [batch] {
          return EngineBatch{batch->applied, {}, {}};
        },
        [this, batch, done, alive = std::weak_ptr<const bool>(alive_)](const Status& status) {
          if (alive.expired()) return;
          if (!status.ok()) return done(status);
          engine_.Write([batch] { return batch->Build(); }, done);
        });
    return;
  }
  engine_.Write([batch] { return batch->Build(); }, std::move(done));
}

void WriteBuffer::OnWritten(const Status& status) {
  if (writing_ == Writing::kStopping) {
    if (status.ok()) backlog_bytes_ -= batches_[written_++]->bytes;
    writing_ = Writing::kStopped;
    return Stopped();
  }
  writing_ = Writing::kNo;
  if (!status.ok()) {
    Tell(status);
    engine_.executor().After(options_.retry_ns, [this, alive = std::weak_ptr<const bool>(alive_)] {
      if (!alive.expired()) WriteNext();
    });
    return;
  }
  backlog_bytes_ -= batches_[written_]->bytes;
  ++written_;
  ForgetOldest();
  Tell(status);
  WriteNext();
}

void WriteBuffer::Stop(std::function<void()> done) {
  waiters_.push_back({kStopSequence, [done = std::move(done)](const Status&) { done(); }});
  if (writing_ == Writing::kYes) {
    writing_ = Writing::kStopping;
    return;
  }
  writing_ = Writing::kStopped;
  engine_.executor().Post([this, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) Stopped();
  });
}

void WriteBuffer::Stopped() {
  std::vector<Waiter> told;
  std::erase_if(waiters_, [&](Waiter& waiter) {
    if (waiter.sequence != kStopSequence) return false;
    told.push_back(std::move(waiter));
    return true;
  });
  for (const Waiter& waiter : told) waiter.done({});
}

void WriteBuffer::Resume() {
  if (writing_ == Writing::kStopping) writing_ = Writing::kYes;
  if (writing_ != Writing::kStopped) return;
  writing_ = Writing::kNo;
  WriteNext();
}

void WriteBuffer::ForgetOldest() {
  while (written_ > 0 && total_bytes_ - backlog_bytes_ > options_.recent_bytes) {
    const SealedBatch& oldest = *batches_.front();
    total_bytes_ -= oldest.bytes;
    if (!oldest.records.empty()) {
      oldest_revision_ = std::max(oldest_revision_, oldest.records.back().key.revision + 1);
    }
    batches_.pop_front();
    --written_;
  }
}

// Waiters may ask for more from within.
void WriteBuffer::Tell(const Status& status) {
  const std::uint64_t written = written_ == 0 ? 0 : batches_[written_ - 1]->sequence;
  const std::uint64_t first_left = written_ < batches_.size() ? batches_[written_]->sequence : sequence_ + 1;
  std::vector<Waiter> told;
  std::erase_if(waiters_, [&](Waiter& waiter) {
    if (waiter.sequence == kStopSequence) return false;
    if (status.ok() && waiter.sequence > written && waiter.sequence >= first_left) return false;
    told.push_back(std::move(waiter));
    return true;
  });
  std::vector<std::function<void()>> ready;
  std::erase_if(waiting_room_, [&](auto& waiter) {
    if (backlog_bytes_ >= waiter.first) return false;
    ready.push_back(std::move(waiter.second));
    return true;
  });
  for (const Waiter& waiter : told) waiter.done(status);
  for (const auto& call : ready) call();
}

const Bytes* WriteBuffer::FindRecord(RecordKey key) const {
  // The newest batch first: what is read is most often what was written last.
  for (auto batch = batches_.rbegin(); batch != batches_.rend(); ++batch) {
    const std::vector<BufferedRecord>& records = (*batch)->records;
    if (records.empty() || key < records.front().key) continue;
    if (records.back().key < key) return nullptr;
    const auto found = std::lower_bound(records.begin(), records.end(), key,
                                        [](const BufferedRecord& record, RecordKey k) { return record.key < k; });
    return found != records.end() && found->key == key ? &found->record : nullptr;
  }
  return nullptr;
}

void WriteBuffer::ForEachRecord(RecordKey from, const std::function<bool(const BufferedRecord&)>& visit) const {
  for (const auto& batch : batches_) {
    if (batch->records.empty() || batch->records.back().key < from) continue;
    auto record = std::lower_bound(batch->records.begin(), batch->records.end(), from,
                                   [](const BufferedRecord& r, RecordKey k) { return r.key < k; });
    for (; record != batch->records.end(); ++record) {
      if (!visit(*record)) return;
    }
  }
}

void WriteBuffer::Flush(std::function<void(Status)> done) {
  if (open_ || engine_.flushed() != applied_) {
    if (open_ || written_ == batches_.size()) Seal();
  }
  if (written_ == batches_.size()) {
    engine_.executor().Post([done = std::move(done)] { done({}); });
    return;
  }
  waiters_.push_back({sequence_, std::move(done)});
}

Image WriteBuffer::Pin() {
  if (open_) Seal();
  Image image{engine_.Pin(), {}, local_, applied_};
  image.above.assign(batches_.begin() + static_cast<std::ptrdiff_t>(written_), batches_.end());
  return image;
}

LogIndex WriteBuffer::flushed() const {
  if (QUORATE_BUG(store_flush_reports_early)) return applied_;
  return engine_.flushed();
}

}  // namespace quorate::store
