#include "store/mvcc.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "store/key_index.h"
#include "store/record.h"

namespace quorate::store {
namespace {

constexpr std::string_view kCompactRevisionKey = "compact_revision";  // in kMeta

class Store final : public Mvcc {
 public:
  explicit Store(Engine& engine) : engine_(engine) {}
  void Load();

  Revision revision() const override { return revision_; }
  Revision compact_revision() const override { return compact_revision_; }
  std::optional<KeyValue> Get(std::string_view key, Revision at) const override;
  RangeResult Range(std::string_view key, std::string_view end, const RangeOptions& options) const override;
  void Begin() override;
  void Put(std::string_view key, Bytes value, std::int64_t lease) override;
  bool Delete(std::string_view key) override;
  bool wrote() const override { return !events_.empty(); }
  std::vector<Event> Commit(std::vector<TableWrite>* out) override;
  void Compact(Revision at, std::vector<TableWrite>* out) override;
  Revision History(Revision from, Revision to, std::size_t max_events,
                   const std::function<void(const Event&)>& visit) const override;
  std::uint32_t Hash(Revision at) const override;
  std::uint64_t size_bytes() const override { return size_bytes_; }
  std::uint64_t size_in_use_bytes() const override { return size_in_use_bytes_; }

 private:
  // The newest revision a read can name: an open transaction's own, once it wrote.
  Revision newest_readable() const { return revision_ + (wrote() ? 1 : 0); }
  void CheckReadable(Revision at) const;
  Bytes RecordOf(const KeyHistory& history, const Point& point) const;
  // Takes a record in: into `history`, or as a new key's first when that is null.
  void Index(KeyHistory* history, RecordKey key, const Bytes& encoded, const Record& record);
  void Append(KeyHistory* history, Bytes encoded);

  Engine& engine_;
  KeyIndex index_;
  Revision revision_ = 1;
  Revision compact_revision_ = 0;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t size_in_use_bytes_ = 0;
  // The open transaction.
  bool open_ = false;
  std::vector<TableWrite> writes_;
  std::vector<Event> events_;
};

std::uint64_t SizeOf(const Point& point) {
  return kRecordKeySize + point.record_size;
}

void Store::Load() {
  if (const std::optional<Bytes> compacted = engine_.Get(Table::kMeta, kCompactRevisionKey)) {
    Reader r(compacted->view());
    compact_revision_ = static_cast<Revision>(r.GetOrdered64());
    CHECK(r.Done()) << "the table of metadata holds a compact revision of " << compacted->size() << " bytes";
  }
  engine_.Scan(Table::kKv, {}, {}, [this](std::string_view table_key, const Bytes& encoded) {
    const RecordKey key = DecodeRecordKey(table_key);
    const std::optional<Record> record = DecodeRecord(encoded);
    CHECK(record && record->kv.mod_revision == key.revision)
        << "the record at revision " << key.revision << "." << key.sub << " is damaged or of a newer format";
    Index(index_.Find(record->kv.key.view()), key, encoded, *record);
    revision_ = key.revision;
    return true;
  });
  revision_ = std::max(revision_, compact_revision_);
}

void Store::Index(KeyHistory* history, RecordKey key, const Bytes& encoded, const Record& record) {
  const Point point{key.revision, record.tombstone, key.sub, static_cast<std::uint32_t>(encoded.size())};
  size_bytes_ += SizeOf(point);
  if (history != nullptr && history->alive()) size_in_use_bytes_ -= SizeOf(history->newest());
  if (!record.tombstone) size_in_use_bytes_ += SizeOf(point);
  if (history != nullptr) {
    history->Append(point, record.kv.key.view(), encoded);
    return;
  }
  auto fresh = std::make_unique<KeyHistory>();
  fresh->Append(point, record.kv.key.view(), encoded);
  index_.Insert(std::move(fresh));
}

void Store::CheckReadable(Revision at) const {
  CHECK(compact_revision_ <= at && at <= newest_readable())
      << "read at revision " << at << ", readable are " << compact_revision_ << " to " << newest_readable();
}

Bytes Store::RecordOf(const KeyHistory& history, const Point& point) const {
  if (&point == &history.newest()) return history.newest_record();
  std::optional<Bytes> record = engine_.Get(Table::kKv, EncodeRecordKey(point.key()));
  CHECK(record.has_value()) << "the index names a record at revision " << point.revision << "." << point.sub
                            << " that the engine does not hold";
  return *std::move(record);
}

std::optional<KeyValue> Store::Get(std::string_view key, Revision at) const {
  if (at != 0) CheckReadable(at);
  const KeyHistory* history = index_.Find(key);
  if (history == nullptr) return std::nullopt;
  const Point* point = at == 0 ? &history->newest() : history->At(at);
  if (point == nullptr || point->tombstone != 0) return std::nullopt;
  return MustDecodePut(RecordOf(*history, *point));
}

RangeResult Store::Range(std::string_view key, std::string_view end, const RangeOptions& options) const {
  if (options.revision != 0) CheckReadable(options.revision);
  RangeResult result;
  index_.ForEach(key, end, [&](const KeyHistory& history) {
    const Point* point = options.revision == 0 ? &history.newest() : history.At(options.revision);
    if (point == nullptr || point->tombstone != 0) return;
    ++result.count;
    if (options.count_only || (options.limit > 0 && result.count > options.limit)) return;
    result.kvs.push_back(MustDecodePut(RecordOf(history, *point)));
    if (options.keys_only) result.kvs.back().value = Bytes();
  });
  return result;
}

void Store::Begin() {
  CHECK(!open_) << "one transaction at a time";
  open_ = true;
}

void Store::Append(KeyHistory* history, Bytes encoded) {
  const RecordKey key{revision_ + 1, static_cast<std::uint32_t>(events_.size())};
  std::optional<Record> record = DecodeRecord(encoded);
  CHECK(record.has_value());
  Index(history, key, encoded, *record);
  events_.push_back({record->tombstone ? Event::Type::kDelete : Event::Type::kPut, std::move(record->kv)});
  writes_.push_back({Table::kKv, EncodeRecordKey(key), std::move(encoded)});
}

void Store::Put(std::string_view key, Bytes value, std::int64_t lease) {
  CHECK(open_);
  KeyHistory* history = index_.Find(key);
  Revision create = revision_ + 1;
  std::int64_t version = 1;
  if (history != nullptr && history->alive()) {
    const KeyValue previous = MustDecodePut(history->newest_record());
    create = previous.create_revision;
    version = previous.version + 1;
  } else if (history != nullptr && QUORATE_BUG(mvcc_version_survives_deletion)) {
    const Point* before = history->At(history->newest().revision - 1);
    if (before != nullptr) version = MustDecodePut(RecordOf(*history, *before)).version + 1;
  }
  Append(history, EncodePut(key, value.view(), create, revision_ + 1, version, lease));
}

bool Store::Delete(std::string_view key) {
  CHECK(open_);
  KeyHistory* history = index_.Find(key);
  if (history == nullptr || !history->alive()) return false;
  Append(history, EncodeTombstone(key, revision_ + 1));
  return true;
}

std::vector<Event> Store::Commit(std::vector<TableWrite>* out) {
  CHECK(open_);
  open_ = false;
  if (wrote() || QUORATE_BUG(mvcc_revision_bumped_by_empty_transaction)) ++revision_;
  out->insert(out->end(), std::make_move_iterator(writes_.begin()), std::make_move_iterator(writes_.end()));
  writes_.clear();
  return std::exchange(events_, {});
}

// Only keys with a record in [last compaction, at] can hold something to drop: every older key was left with the one
// record that is still its newest. So the work is in proportion to what was written since, not to the keyspace.
void Store::Compact(Revision at, std::vector<TableWrite>* out) {
  CHECK(!open_);
  CHECK(compact_revision_ < at && at <= revision_)
      << "compaction at " << at << " of " << revision_ << ", last was at " << compact_revision_;
  std::vector<Point> dropped;
  const std::string begin = EncodeRecordKey({compact_revision_, 0});
  const std::string end = EncodeRecordKey({at + 1, 0});
  engine_.Scan(Table::kKv, begin, end, [&](std::string_view, const Bytes& encoded) {
    const std::optional<Record> record = DecodeRecord(encoded);
    CHECK(record.has_value());
    KeyHistory* history = index_.Find(record->kv.key.view());
    if (history != nullptr && history->Compact(at, &dropped)) index_.Erase(history);
    return true;
  });
  for (const Point& point : dropped) {
    size_bytes_ -= SizeOf(point);
    out->push_back({Table::kKv, EncodeRecordKey(point.key()), std::nullopt});
  }
  compact_revision_ = at;
  Writer w;
  w.PutOrdered64(static_cast<std::uint64_t>(at));
  out->push_back({Table::kMeta, std::string(kCompactRevisionKey), Bytes(std::move(w).Take())});
}

Revision Store::History(Revision from, Revision to, std::size_t max_events,
                        const std::function<void(const Event&)>& visit) const {
  CHECK(compact_revision_ <= from && to <= revision_)
      << "history from " << from << " to " << to << ", there is " << compact_revision_ << " to " << revision_;
  if (from > to) return from - 1;
  std::size_t events = 0;
  Revision covered = to;
  Revision current = from;
  const std::string begin = EncodeRecordKey({from, 0});
  const std::string end = EncodeRecordKey({to + 1, 0});
  engine_.Scan(Table::kKv, begin, end, [&](std::string_view table_key, const Bytes& encoded) {
    const Revision revision = DecodeRecordKey(table_key).revision;
    if (revision != current && events >= max_events) {
      covered = current;
      return false;
    }
    current = revision;
    std::optional<Record> record = DecodeRecord(encoded);
    CHECK(record.has_value()) << "the record at revision " << revision << " is damaged";
    visit({record->tombstone ? Event::Type::kDelete : Event::Type::kPut, std::move(record->kv)});
    ++events;
    return true;
  });
  return covered;
}

std::uint32_t Store::Hash(Revision at) const {
  CheckReadable(at);
  std::uint32_t crc = 0;
  const std::string end = EncodeRecordKey({at + 1, 0});
  engine_.Scan(Table::kKv, {}, end, [&](std::string_view table_key, const Bytes& encoded) {
    crc = ExtendCrc32c(ExtendCrc32c(crc, table_key), encoded.view());
    return true;
  });
  return crc;
}

}  // namespace

std::unique_ptr<Mvcc> Mvcc::Open(Engine& engine) {
  auto store = std::make_unique<Store>(engine);
  store->Load();
  return store;
}

}  // namespace quorate::store
