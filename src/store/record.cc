#include "store/record.h"

#include <bit>

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"

namespace quorate::store {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::uint8_t kPut = 0;
constexpr std::uint8_t kTombstone = 1;
constexpr std::uint8_t kPutApart = 2;

std::size_t VarintSize(std::uint64_t v) {
  return static_cast<std::size_t>(std::bit_width(v | 1) + 6) / 7;
}

std::size_t HeaderSize(std::string_view key, Revision revision) {
  return 2 + VarintSize(static_cast<std::uint64_t>(revision)) + VarintSize(key.size()) + key.size();
}

void PutHeader(Writer& w, std::uint8_t kind, std::string_view key, Revision revision) {
  w.Put8(kFormat);
  w.Put8(kind);
  w.PutVarint(static_cast<std::uint64_t>(revision));
  w.PutBytes(key);
}

}  // namespace

std::string EncodeRecordKey(RecordKey key) {
  Writer w(kRecordKeySize);
  w.PutOrdered64(static_cast<std::uint64_t>(key.revision));
  w.PutOrdered64(key.sub);
  return std::move(w).Take();
}

RecordKey DecodeRecordKey(std::string_view encoded) {
  CHECK(encoded.size() == kRecordKeySize) << "a record key of " << encoded.size() << " bytes";
  Reader r(encoded);
  RecordKey key;
  key.revision = static_cast<Revision>(r.GetOrdered64());
  key.sub = static_cast<std::uint32_t>(r.GetOrdered64());
  return key;
}

Bytes EncodePut(std::string_view key, std::string_view value, Revision create, Revision revision, std::int64_t version,
                std::int64_t lease) {
  // The record stays in memory as long as it is retained, so its buffer is of its size and no larger.
  const auto age = static_cast<std::uint64_t>(revision - create);
  const auto version_bits = static_cast<std::uint64_t>(version);
  const auto zigzag_lease = (static_cast<std::uint64_t>(lease) << 1) ^ static_cast<std::uint64_t>(lease >> 63);
  Writer w(HeaderSize(key, revision) + VarintSize(age) + VarintSize(version_bits) + VarintSize(zigzag_lease) +
           value.size());
  PutHeader(w, kPut, key, revision);
  w.PutVarint(age);
  w.PutVarint(version_bits);
  w.PutSigned(lease);
  w.PutRaw(value);
  return Bytes(std::move(w).Take());
}

Bytes EncodeTombstone(std::string_view key, Revision revision) {
  Writer w(HeaderSize(key, revision));
  PutHeader(w, kTombstone, key, revision);
  return Bytes(std::move(w).Take());
}

std::optional<Record> DecodeRecord(const Bytes& encoded) {
  Reader r(encoded.view());
  if (r.Get8() != kFormat) return std::nullopt;
  const std::uint8_t kind = r.Get8();
  Record record;
  record.kv.mod_revision = static_cast<Revision>(r.GetVarint());
  record.kv.key = encoded.SliceOf(r.GetBytes());
  if (kind == kTombstone) {
    record.tombstone = true;
    if (!r.Done()) return std::nullopt;
    return record;
  }
  if (kind != kPut) return std::nullopt;
  record.kv.create_revision = record.kv.mod_revision - static_cast<Revision>(r.GetVarint());
  record.kv.version = static_cast<std::int64_t>(r.GetVarint());
  record.kv.lease = r.GetSigned();
  if (!r.ok()) return std::nullopt;
  record.kv.value = encoded.SliceOf(r.rest());
  return record;
}

KeyValue MustDecodePut(const Bytes& encoded) {
  std::optional<Record> record = DecodeRecord(encoded);
  CHECK(record && !record->tombstone) << "a live key's record of " << encoded.size() << " bytes is not a put";
  return std::move(record->kv);
}

std::string EncodeRow(const Bytes& record) {
  const std::string_view whole = record.view();
  const Bytes value = ApartValue(record);
  if (value.empty()) return std::string(whole);
  const std::size_t header = whole.size() - value.size();
  Writer w(header + 4 + VarintSize(value.size()));
  w.PutRaw(whole.substr(0, header));
  (*w.mutable_str())[1] = static_cast<char>(kPutApart);
  w.Put32(Crc32c(value.view()));
  w.PutVarint(value.size());
  return std::move(w).Take();
}

Bytes ApartValue(const Bytes& record) {
  std::optional<Record> decoded = DecodeRecord(record);
  CHECK(decoded.has_value());
  return decoded->kv.value.size() > kInlineValueMax ? std::move(decoded->kv.value) : Bytes();
}

std::optional<RecordRow> DecodeRow(std::string_view encoded) {
  Reader r(encoded);
  if (r.Get8() != kFormat) return std::nullopt;
  const std::uint8_t kind = r.Get8();
  if (kind > kPutApart) return std::nullopt;
  RecordRow row;
  row.revision = static_cast<Revision>(r.GetVarint());
  row.key = r.GetBytes();
  row.tombstone = kind == kTombstone;
  row.apart = kind == kPutApart;
  row.record_size = encoded.size();
  if (row.tombstone) return r.Done() ? std::optional<RecordRow>(row) : std::nullopt;
  row.create = row.revision - static_cast<Revision>(r.GetVarint());
  row.version = static_cast<std::int64_t>(r.GetVarint());
  row.lease = r.GetSigned();
  if (row.apart) {
    const std::size_t header = encoded.size() - r.rest().size();
    row.value_crc = r.Get32();
    row.value_size = r.GetVarint();
    row.record_size = header + row.value_size;
    return r.Done() ? std::optional<RecordRow>(row) : std::nullopt;
  }
  row.value = r.rest();
  return r.ok() ? std::optional<RecordRow>(row) : std::nullopt;
}

Result<Bytes> JoinRecord(std::string_view encoded, const Bytes& value) {
  const std::optional<RecordRow> row = DecodeRow(encoded);
  if (!row) return Status::DataLoss("a record of " + std::to_string(encoded.size()) + " bytes is damaged");
  if (!row->apart) return Bytes::Copy(encoded);
  if (value.size() != row->value_size || Crc32c(value.view()) != row->value_crc) {
    return Status::DataLoss("the value at revision " + std::to_string(row->revision) + " is damaged: " +
                            std::to_string(value.size()) + " bytes, written were " + std::to_string(row->value_size));
  }
  return EncodePut(row->key, value.view(), row->create, row->revision, row->version, row->lease);
}

}  // namespace quorate::store
