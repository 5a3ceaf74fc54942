#include "store/mvcc.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/codec.h"
#include "store/compactor.h"
#include "store/hash_walk.h"
#include "store/mvcc_parts.h"
#include "store/state_hash.h"

namespace quorate::store {
namespace {

constexpr std::string_view kCompactRevisionKey = "compact_revision";  // in kMeta
constexpr std::size_t kProgressRecords = 8'192;

std::string EncodeRevision(Revision revision) {
  Writer w;
  w.PutOrdered64(static_cast<std::uint64_t>(revision));
  return std::move(w).Take();
}

Event EventOf(Record record) {
  return {record.tombstone ? Event::Type::kDelete : Event::Type::kPut, std::move(record.kv)};
}

Status Replaced() {
  return Status::Unavailable("the keyspace was replaced by a snapshot meanwhile");
}

// Of the events of `at`, a revision that was compacted, those that a later one of the same key replaced.
void DropSuperseded(Revision at, std::vector<Event>* events) {
  std::vector<Event> kept;
  for (std::size_t i = 0; i < events->size(); ++i) {
    Event& event = (*events)[i];
    const auto replaces = [&](const Event& later) {
      return later.kv.mod_revision == at && later.kv.key == event.kv.key;
    };
    const bool replaced = event.kv.mod_revision == at &&
                          std::any_of(events->begin() + static_cast<std::ptrdiff_t>(i) + 1, events->end(), replaces);
    if (!replaced) kept.push_back(std::move(event));
  }
  *events = std::move(kept);
}

class Store final : public Mvcc {
 public:
  Store(WriteBuffer& buffer, MvccOptions options)
      : parts_(buffer, options.cache_bytes), options_(std::move(options)), compactor_(parts_) {}
  Status LoadAll();

  void Start() override { compactor_.Wake(); }
  void Retire() override { parts_.alive.reset(); }

  Revision revision() const override { return parts_.revision; }
  Revision compact_revision() const override { return parts_.compact_revision; }
  std::optional<KeyValue> Get(std::string_view key, Revision at, ReadSet* reads) const override;
  RangeResult Range(std::string_view key, std::string_view end, const RangeOptions& options,
                    ReadSet* reads) const override;
  bool Exists(std::string_view key) const override {
    const KeyHistory* history = parts_.index.Find(key);
    return history != nullptr && history->alive();
  }
  std::optional<KeyValue> GetMeta(std::string_view key) const override {
    const KeyHistory* history = parts_.index.Find(key);
    if (history == nullptr || !history->alive()) return std::nullopt;
    return KeyOnly(*history, history->newest(), nullptr);
  }
  std::uint64_t SizeOf(std::string_view key, std::string_view end, Revision at, std::int64_t limit) const override;
  void Load(std::shared_ptr<ReadSet> reads, std::function<void(Status)> done) override;
  void Pin(std::shared_ptr<const ReadSet> reads) override { pinned_ = std::move(reads); }

  void Begin() override;
  void Put(std::string_view key, Bytes value, std::int64_t lease) override;
  bool Delete(std::string_view key) override;
  bool wrote() const override { return !events_.empty(); }
  std::vector<Event> Commit() override;
  void Compact(Revision at) override;

  Revision History(Revision from, Revision to, std::size_t max_events,
                   const std::function<void(const Event&)>& visit) const override;
  bool HistoryInMemory(Revision from) const override { return from >= parts_.buffer.oldest_revision(); }
  void LoadHistory(Revision from, Revision to, std::size_t max_events, std::size_t max_bytes,
                   std::function<void(Result<HistoryChunk>)> done) override;
  std::uint32_t Hash(Revision at) const override;
  void StartHash(Revision at, HashWalk::Done done) override;
  std::uint64_t size_bytes() const override { return parts_.size_bytes; }
  std::uint64_t size_in_use_bytes() const override { return parts_.size_in_use_bytes; }
  MvccStats stats() const override;
  void set_cache_bytes(std::uint64_t bytes) override { parts_.cache.set_capacity_bytes(bytes); }

 private:
  // The newest revision a read can name: an open transaction's own, once it wrote.
  Revision newest_readable() const { return parts_.revision + (wrote() ? 1 : 0); }
  void CheckReadable(Revision at) const;
  // The record in one piece. Nothing: `reads` has it among the missing now.
  std::optional<Bytes> RecordOf(const KeyHistory& history, const Point& point, ReadSet* reads) const;
  std::optional<KeyValue> KeyOnly(const KeyHistory& history, const Point& point, ReadSet* reads) const;
  Bytes ReadNow(RecordKey key) const;
  // Whether compaction so far keeps it: of a revision that was compacted, a transaction's first word on a key may not
  // be.
  bool Kept(RecordKey key, std::string_view user_key) const {
    const KeyHistory* history = parts_.index.Find(user_key);
    return history != nullptr && history->Keeps(key, parts_.compact_revision);
  }
  // Takes a record in: into `history`, or as a new key's first when that is null.
  KeyHistory* Index(KeyHistory* history, std::string_view key, const Point& point, const NewestMeta& meta);
  void Append(KeyHistory* history, Bytes encoded);
  void OnLoaded(ReadSet* reads, std::vector<std::pair<RecordKey, Bytes>> records);

  mutable MvccParts parts_;  // reading marks what is hot
  MvccOptions options_;
  Compactor compactor_;
  std::shared_ptr<const ReadSet> pinned_;
  mutable MvccStats counted_;
  // The open transaction.
  bool open_ = false;
  std::vector<Event> events_;
};

Status Store::LoadAll() {
  const std::shared_ptr<const EngineView> view = parts_.buffer.engine().Pin();
  const Result<std::optional<Bytes>> compacted = view->Get(Table::kMeta, kCompactRevisionKey);
  if (!compacted.ok()) return compacted.status();
  if (compacted->has_value()) {
    Reader r((*compacted)->view());
    parts_.compact_revision = static_cast<Revision>(r.GetOrdered64());
    if (!r.Done())
      return Status::DataLoss("the compact revision has " + std::to_string((*compacted)->size()) + " bytes");
  }
  const std::uint64_t expected = parts_.buffer.local().records;
  std::uint64_t records = 0;
  Status broken;
  const Status scanned = view->Scan(Table::kKv, {}, {}, [&](std::string_view table_key, std::string_view encoded) {
    const RecordKey key = DecodeRecordKey(table_key);
    const std::optional<RecordRow> row = DecodeRow(encoded);
    if (!row || row->revision != key.revision) {
      broken = Status::DataLoss("the record at revision " + std::to_string(key.revision) + "." +
                                std::to_string(key.sub) + " is damaged or of a newer format");
      return false;
    }
    const Point point{key.revision, row->tombstone, key.sub, static_cast<std::uint32_t>(row->record_size)};
    Index(parts_.index.Find(row->key), row->key, point, {row->create, row->version, row->lease});
    parts_.revision = key.revision;
    if (++records % kProgressRecords == 0 && options_.progress) options_.progress(records, expected);
    return true;
  });
  RETURN_IF_ERROR(scanned);
  RETURN_IF_ERROR(broken);
  if (records != expected) {
    return Status::DataLoss("the keyspace holds " + std::to_string(records) + " records, written were " +
                            std::to_string(expected));
  }
  if (options_.progress) options_.progress(records, expected);
  parts_.revision = std::max(parts_.revision, parts_.compact_revision);
  parts_.buffer.set_oldest_revision(records == 0 && parts_.revision == 1 ? 0 : parts_.revision + 1);
  return {};
}

KeyHistory* Store::Index(KeyHistory* history, std::string_view key, const Point& point, const NewestMeta& meta) {
  const std::uint64_t size = MvccParts::SizeOf(point);
  parts_.size_bytes += size;
  if (history != nullptr && history->alive()) parts_.size_in_use_bytes -= MvccParts::SizeOf(history->newest());
  if (point.tombstone == 0) parts_.size_in_use_bytes += size;
  if (history != nullptr) {
    history->Append(point, meta);
    parts_.index.CountOlder(1);
    return history;
  }
  std::unique_ptr<KeyHistory> fresh = KeyHistory::Make(key);
  fresh->Append(point, meta);
  history = fresh.get();
  parts_.index.Insert(std::move(fresh));
  return history;
}

void Store::CheckReadable(Revision at) const {
  CHECK(parts_.compact_revision <= at && at <= newest_readable())
      << "read at revision " << at << ", readable are " << parts_.compact_revision << " to " << newest_readable();
}

std::optional<Bytes> Store::RecordOf(const KeyHistory& history, const Point& point, ReadSet* reads) const {
  if (&point == &history.newest()) {
    if (const Bytes* record = parts_.cache.Find(history)) return *record;
  }
  const RecordKey key = point.key();
  if (const Bytes* record = parts_.buffer.FindRecord(key)) return *record;
  if (pinned_ != nullptr) {
    if (const Bytes* record = pinned_->Find(key)) return *record;
  }
  if (reads == nullptr) return ReadNow(key);
  if (const Bytes* record = reads->Find(key)) return *record;
  reads->missing.push_back(key);
  return std::nullopt;
}

Bytes Store::ReadNow(RecordKey key) const {
  ++counted_.blocking_reads;
  const std::shared_ptr<const EngineView> view = parts_.buffer.engine().Pin();
  const std::string place = EncodeRecordKey(key);
  const Result<std::optional<Bytes>> row = view->Get(Table::kKv, place);
  CHECK(row.ok()) << row.status().message();
  CHECK(row->has_value()) << "the index names a record at revision " << key.revision << "." << key.sub
                          << " that the engine does not hold";
  const Result<std::optional<Bytes>> value = view->Get(Table::kValue, place);
  CHECK(value.ok()) << value.status().message();
  Result<Bytes> record = JoinRecord((*row)->view(), value->value_or(Bytes()));
  CHECK(record.ok()) << record.status().message();
  return *std::move(record);
}

std::optional<KeyValue> Store::Get(std::string_view key, Revision at, ReadSet* reads) const {
  if (at != 0) CheckReadable(at);
  const KeyHistory* history = parts_.index.Find(key);
  if (history == nullptr) return std::nullopt;
  const Point* point = at == 0 ? &history->newest() : history->At(at);
  if (point == nullptr || point->tombstone != 0) return std::nullopt;
  const std::optional<Bytes> record = RecordOf(*history, *point, reads);
  if (!record) return std::nullopt;
  return MustDecodePut(*record);
}

// A newest record's value is all that could be cold.
std::optional<KeyValue> Store::KeyOnly(const KeyHistory& history, const Point& point, ReadSet* reads) const {
  if (&point == &history.newest()) {
    const NewestMeta& meta = history.meta();
    return KeyValue{Bytes::Copy(history.key()), {}, meta.create, point.revision, meta.version, meta.lease};
  }
  const std::optional<Bytes> record = RecordOf(history, point, reads);
  if (!record) return std::nullopt;
  KeyValue kv = MustDecodePut(*record);
  kv.value = Bytes();
  return kv;
}

RangeResult Store::Range(std::string_view key, std::string_view end, const RangeOptions& options,
                         ReadSet* reads) const {
  if (options.revision != 0) CheckReadable(options.revision);
  RangeResult result;
  parts_.index.ForEach(key, end, [&](const KeyHistory& history) {
    const Point* point = options.revision == 0 ? &history.newest() : history.At(options.revision);
    if (point == nullptr || point->tombstone != 0) return;
    ++result.count;
    if (options.count_only || (options.limit > 0 && result.count > options.limit)) return;
    const std::uint64_t bytes = options.keys_only ? history.key().size() : point->record_size;
    if (options.budget != nullptr && !options.budget->Take(bytes + sizeof(KeyValue))) return;
    if (options.keys_only) {
      if (std::optional<KeyValue> kv = KeyOnly(history, *point, reads)) result.kvs.push_back(*std::move(kv));
    } else if (const std::optional<Bytes> record = RecordOf(history, *point, reads)) {
      result.kvs.push_back(MustDecodePut(*record));
    }
  });
  return result;
}

std::uint64_t Store::SizeOf(std::string_view key, std::string_view end, Revision at, std::int64_t limit) const {
  std::uint64_t bytes = 0;
  std::int64_t count = 0;
  parts_.index.ForEach(key, end, [&](const KeyHistory& history) {
    const Point* point = at == 0 ? &history.newest() : history.At(at);
    if (point == nullptr || point->tombstone != 0 || (limit > 0 && ++count > limit)) return;
    bytes += point->record_size;
  });
  return bytes;
}

void Store::Load(std::shared_ptr<ReadSet> reads, std::function<void(Status)> done) {
  ++counted_.cold_loads;
  std::sort(reads->missing.begin(), reads->missing.end());
  reads->missing.erase(std::unique(reads->missing.begin(), reads->missing.end()), reads->missing.end());
  auto wanted = std::make_shared<const std::vector<RecordKey>>(std::exchange(reads->missing, {}));
  auto found = std::make_shared<std::vector<std::pair<RecordKey, Bytes>>>();
  auto work = [wanted, found](const EngineView& view) -> Status {
    found->clear();
    std::vector<std::string> places;
    places.reserve(wanted->size());
    for (const RecordKey key : *wanted) places.push_back(EncodeRecordKey(key));
    const Result<std::vector<std::optional<Bytes>>> rows = view.MultiGet(Table::kKv, places);
    if (!rows.ok()) return rows.status();
    const Result<std::vector<std::optional<Bytes>>> values = view.MultiGet(Table::kValue, places);
    if (!values.ok()) return values.status();
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (!(*rows)[i]) continue;
      Result<Bytes> record = JoinRecord((*rows)[i]->view(), (*values)[i].value_or(Bytes()));
      if (!record.ok()) return record.status();
      found->emplace_back((*wanted)[i], *std::move(record));
    }
    return {};
  };
  parts_.buffer.engine().Read(nullptr, std::move(work),
                              [this, reads, found, done = std::move(done),
                               alive = std::weak_ptr<const bool>(parts_.alive)](const Status& status) {
                                if (alive.expired()) return done(Replaced());
                                if (status.ok()) OnLoaded(reads.get(), std::move(*found));
                                done(status);
                              });
}

void Store::OnLoaded(ReadSet* reads, std::vector<std::pair<RecordKey, Bytes>> records) {
  for (auto& [key, record] : records) {
    // One long read does not push everybody else's values out.
    if (reads->loaded_bytes < parts_.cache.capacity_bytes() / 8) {
      const std::optional<Record> decoded = DecodeRecord(record);
      KeyHistory* history = decoded ? parts_.index.Find(decoded->kv.key.view()) : nullptr;
      if (history != nullptr && history->newest().key() == key) parts_.cache.Put(history, record);
    }
    reads->loaded_bytes += record.size();
    reads->loaded.insert_or_assign(key, std::move(record));
  }
}

void Store::Begin() {
  CHECK(!open_) << "one transaction at a time";
  open_ = true;
}

void Store::Append(KeyHistory* history, Bytes encoded) {
  const RecordKey key{parts_.revision + 1, static_cast<std::uint32_t>(events_.size())};
  std::optional<Record> record = DecodeRecord(encoded);
  CHECK(record.has_value());
  const KeyValue& kv = record->kv;
  const Point point{key.revision, record->tombstone, key.sub, static_cast<std::uint32_t>(encoded.size())};
  history = Index(history, kv.key.view(), point, {kv.create_revision, kv.version, kv.lease});
  if (record->tombstone) {
    parts_.cache.Remove(history);
  } else {
    parts_.cache.Put(history, encoded);
  }
  events_.push_back(EventOf(*std::move(record)));
  parts_.buffer.AddRecord(key, std::move(encoded));
}

void Store::Put(std::string_view key, Bytes value, std::int64_t lease) {
  CHECK(open_);
  KeyHistory* history = parts_.index.Find(key);
  const Revision next = parts_.revision + 1;
  Revision create = next;
  std::int64_t version = 1;
  if (history != nullptr && history->alive()) {
    create = history->meta().create;
    version = history->meta().version + 1;
  } else if (history != nullptr && QUORATE_BUG(mvcc_version_survives_deletion)) {
    const Point* before = history->At(history->newest().revision - 1);
    if (before != nullptr) version = MustDecodePut(*RecordOf(*history, *before, nullptr)).version + 1;
  }
  Append(history, EncodePut(key, value.view(), create, next, version, lease));
}

bool Store::Delete(std::string_view key) {
  CHECK(open_);
  KeyHistory* history = parts_.index.Find(key);
  if (history == nullptr || !history->alive()) return false;
  Append(history, EncodeTombstone(key, parts_.revision + 1));
  return true;
}

std::vector<Event> Store::Commit() {
  CHECK(open_);
  open_ = false;
  if (wrote() || QUORATE_BUG(mvcc_revision_bumped_by_empty_transaction)) ++parts_.revision;
  return std::exchange(events_, {});
}

void Store::Compact(Revision at) {
  CHECK(!open_);
  CHECK(parts_.compact_revision < at && at <= parts_.revision)
      << "compaction at " << at << " of " << parts_.revision << ", last was at " << parts_.compact_revision;
  WriteBuffer& buffer = parts_.buffer;
  if (parts_.compact_revision == 0) {
    buffer.Insert(Table::kMeta, std::string(kCompactRevisionKey), Bytes(EncodeRevision(at)));
  } else {
    buffer.Replace(Table::kMeta, std::string(kCompactRevisionKey), EncodeRevision(parts_.compact_revision),
                   Bytes(EncodeRevision(at)));
  }
  parts_.compact_revision = at;
  // Not from within an Apply: what compaction removes belongs to no entry.
  buffer.engine().executor().Post([this, alive = std::weak_ptr<const bool>(parts_.alive)] {
    if (!alive.expired()) compactor_.Wake();
  });
}

Revision Store::History(Revision from, Revision to, std::size_t max_events,
                        const std::function<void(const Event&)>& visit) const {
  CHECK(parts_.compact_revision <= from && to <= parts_.revision)
      << "history from " << from << " to " << to << ", there is " << parts_.compact_revision << " to "
      << parts_.revision;
  if (from > to) return from - 1;
  std::size_t events = 0;
  Revision covered = to;
  Revision current = from;
  const auto take = [&](RecordKey key, const Bytes& encoded) {
    const Revision revision = key.revision;
    if (revision > to) return false;
    if (revision != current && events >= max_events) {
      covered = current;
      return false;
    }
    current = revision;
    std::optional<Record> record = DecodeRecord(encoded);
    CHECK(record.has_value()) << "the record at revision " << revision << " is damaged";
    if (revision == parts_.compact_revision && !Kept(key, record->kv.key.view())) return true;
    visit(EventOf(*std::move(record)));
    ++events;
    return true;
  };
  RecordKey in_memory{from, 0};
  if (!HistoryInMemory(from)) {
    in_memory.revision = std::min(parts_.buffer.oldest_revision(), to + 1);
    bool more = true;
    const Status status =
        parts_.buffer.engine().Pin()->Scan(Table::kKv, EncodeRecordKey({from, 0}), EncodeRecordKey(in_memory),
                                           [&](std::string_view key, std::string_view) {
                                             const RecordKey place = DecodeRecordKey(key);
                                             return more = take(place, ReadNow(place));
                                           });
    CHECK(status.ok()) << status.message();
    if (!more) return covered;
  }
  parts_.buffer.ForEachRecord(in_memory, [&](const BufferedRecord& record) { return take(record.key, record.record); });
  return covered;
}

void Store::LoadHistory(Revision from, Revision to, std::size_t max_events, std::size_t max_bytes,
                        std::function<void(Result<HistoryChunk>)> done) {
  CHECK(!HistoryInMemory(from));
  ++counted_.cold_loads;
  auto chunk = std::make_shared<HistoryChunk>();
  chunk->from = from;
  chunk->covered = std::min(to, parts_.buffer.oldest_revision() - 1);
  auto work = [chunk, max_events, max_bytes, last = chunk->covered](const EngineView& view) -> Status {
    std::size_t bytes = 0;
    Revision current = chunk->from;
    chunk->events.clear();
    chunk->covered = last;
    Status broken;
    const Status status =
        view.Scan(Table::kKv, EncodeRecordKey({chunk->from, 0}), EncodeRecordKey({last + 1, 0}),
                  [&](std::string_view key, std::string_view row) {
                    const Revision revision = DecodeRecordKey(key).revision;
                    if (revision != current && (chunk->events.size() >= max_events || bytes >= max_bytes)) {
                      chunk->covered = current;
                      return false;
                    }
                    current = revision;
                    Result<std::optional<Bytes>> value = view.Get(Table::kValue, key);
                    if (!value.ok()) return (broken = value.status()).ok();
                    const Result<Bytes> record = JoinRecord(row, value->value_or(Bytes()));
                    if (!record.ok()) return (broken = record.status()).ok();
                    bytes += record->size();
                    chunk->events.push_back(EventOf(*DecodeRecord(*record)));
                    return true;
                  });
    return status.ok() ? broken : status;
  };
  parts_.buffer.engine().Read(
      nullptr, std::move(work),
      [this, chunk, done = std::move(done), alive = std::weak_ptr<const bool>(parts_.alive)](const Status& status) {
        if (alive.expired()) return done(Replaced());
        if (!status.ok()) return done(status);
        if (chunk->from == parts_.compact_revision) DropSuperseded(chunk->from, &chunk->events);
        done(std::move(*chunk));
      });
}

std::uint32_t Store::Hash(Revision at) const {
  CheckReadable(at);
  const Result<std::uint32_t> hash = HashWalk::Blocking(parts_, at);
  CHECK(hash.ok()) << hash.status().message();
  return *hash;
}

void Store::StartHash(Revision at, HashWalk::Done done) {
  CheckReadable(at);
  std::make_shared<HashWalk>(parts_, at, std::move(done))->Start();
}

MvccStats Store::stats() const {
  MvccStats stats = counted_;
  stats.keys = parts_.index.size();
  stats.index_bytes = parts_.index.memory_bytes();
  stats.cache_bytes = parts_.cache.bytes();
  stats.compaction_backlog = static_cast<std::uint64_t>(compactor_.behind());
  return stats;
}

}  // namespace

Result<std::unique_ptr<Mvcc>> Mvcc::Open(WriteBuffer& buffer, MvccOptions options) {
  auto store = std::make_unique<Store>(buffer, std::move(options));
  RETURN_IF_ERROR(store->LoadAll());
  return std::unique_ptr<Mvcc>(std::move(store));
}

}  // namespace quorate::store
