#include "store/hash_walk.h"

#include "base/check.h"
#include "base/crc32c.h"

namespace quorate::store {

Status HashWalk::ReadChunk(ImageReader& reader, Revision at, const std::string& begin, Rows* rows) {
  return reader.Scan(Table::kKv, begin, EncodeRecordKey({at + 1, 0}), [&](std::string_view key, std::string_view row) {
    rows->emplace_back(key, row);
    return rows->size() < kChunkRows;
  });
}

void HashWalk::Count(const MvccParts& parts, Revision compacted, const Rows& rows, std::uint32_t* crc) {
  for (const auto& [table_key, row] : rows) {
    const RecordKey key = DecodeRecordKey(table_key);
    if (key.revision <= compacted) {
      const std::optional<RecordRow> decoded = DecodeRow(row);
      CHECK(decoded.has_value()) << "the record at revision " << key.revision << " is damaged";
      const KeyHistory* history = parts.index.Find(decoded->key);
      if (history == nullptr || !history->Keeps(key, compacted)) continue;
    }
    *crc = ExtendCrc32c(ExtendCrc32c(*crc, table_key), row);
  }
}

Result<std::uint32_t> HashWalk::Blocking(MvccParts& parts, Revision at) {
  ImageReader reader(parts.buffer.Pin());
  std::uint32_t crc = 0;
  std::string next;
  Rows rows;
  do {
    rows.clear();
    RETURN_IF_ERROR(ReadChunk(reader, at, next, &rows));
    Count(parts, parts.compact_revision, rows, &crc);
    if (!rows.empty()) next = rows.back().first + '\0';
  } while (rows.size() == kChunkRows);
  return crc;
}

void HashWalk::Start() {
  if (at_ < parts_.compact_revision) return done_(std::optional<Mvcc::Hashed>());
  compacted_ = parts_.compact_revision;
  reader_ = std::make_shared<ImageReader>(parts_.buffer.Pin());
  next_.clear();
  crc_ = 0;
  ReadNext();
}

void HashWalk::ReadNext() {
  auto rows = std::make_shared<Rows>();
  parts_.buffer.engine().Read(
      reader_->image().view,
      [reader = reader_, at = at_, next = next_, rows](const EngineView&) {
        rows->clear();
        return ReadChunk(*reader, at, next, rows.get());
      },
      [self = shared_from_this(), rows, alive = std::weak_ptr<const bool>(parts_.alive)](const Status& status) {
        if (alive.expired())
          return self->done_(Status::Unavailable("the keyspace was replaced by a snapshot meanwhile"));
        if (!status.ok()) return self->done_(status);
        self->OnRows(*rows);
      });
}

void HashWalk::OnRows(const Rows& rows) {
  if (compacted_ != parts_.compact_revision) return Start();  // what is kept has changed
  Count(parts_, compacted_, rows, &crc_);
  if (rows.size() < kChunkRows) return done_(std::optional<Mvcc::Hashed>({crc_, compacted_}));
  next_ = rows.back().first + '\0';
  ReadNext();
}

}  // namespace quorate::store
