#include "frontend/etcd/wire_encoder.h"

#include <google/protobuf/io/coded_stream.h>

#include <cstdint>
#include <string_view>

namespace quorate::frontend::etcd {
namespace {

using google::protobuf::io::CodedOutputStream;

// Every field here has a number below 16: its tag is one byte.
enum WireType : std::uint8_t { kVarint = 0, kLengthDelimited = 2 };
constexpr std::size_t kTagSize = 1;
constexpr std::size_t kVarintSizeMax = 10;

// Fields of zero and of no length are left out, as proto3 does; REQUIRES room for what is written.
std::size_t NumberSize(std::int64_t number) {
  return number == 0 ? 0 : kTagSize + CodedOutputStream::VarintSize64(static_cast<std::uint64_t>(number));
}
std::size_t LengthDelimitedSize(std::size_t length) {
  return kTagSize + CodedOutputStream::VarintSize64(length) + length;
}
std::size_t BytesSize(const Bytes& bytes) {
  return bytes.empty() ? 0 : LengthDelimitedSize(bytes.size());
}

class FieldWriter {
 public:
  explicit FieldWriter(std::string* out) : out_(out) {}

  void Number(int field, std::int64_t number) {
    if (number == 0) return;
    Tag(field, kVarint);
    Varint(static_cast<std::uint64_t>(number));
  }
  void String(int field, const Bytes& bytes) {
    if (bytes.empty()) return;
    Open(field, bytes.size());
    out_->append(bytes.view());
  }
  // A message of `size` bytes follows.
  void Open(int field, std::size_t size) {
    Tag(field, kLengthDelimited);
    Varint(size);
  }

 private:
  void Tag(int field, WireType type) { out_->push_back(static_cast<char>(field << 3 | type)); }
  void Varint(std::uint64_t value) {
    std::uint8_t buffer[kVarintSizeMax];
    const std::uint8_t* end = CodedOutputStream::WriteVarint64ToArray(value, buffer);
    out_->append(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(end - buffer));
  }

  std::string* out_;
};

std::size_t KeyValueSize(const store::KeyValue& kv) {
  return BytesSize(kv.key) + NumberSize(kv.create_revision) + NumberSize(kv.mod_revision) + NumberSize(kv.version) +
         BytesSize(kv.value) + NumberSize(kv.lease);
}

void AppendKeyValue(int field, const store::KeyValue& kv, std::string* out) {
  FieldWriter writer(out);
  writer.Open(field, KeyValueSize(kv));
  writer.String(mvccpb::KeyValue::kKeyFieldNumber, kv.key);
  writer.Number(mvccpb::KeyValue::kCreateRevisionFieldNumber, kv.create_revision);
  writer.Number(mvccpb::KeyValue::kModRevisionFieldNumber, kv.mod_revision);
  writer.Number(mvccpb::KeyValue::kVersionFieldNumber, kv.version);
  writer.String(mvccpb::KeyValue::kValueFieldNumber, kv.value);
  writer.Number(mvccpb::KeyValue::kLeaseFieldNumber, kv.lease);
}

}  // namespace

std::string EncodeRangeResponse(const etcdserverpb::ResponseHeader& header, const coord::RangeResponse& response) {
  const std::size_t header_size = header.ByteSizeLong();
  std::size_t size = LengthDelimitedSize(header_size) + NumberSize(response.more) + NumberSize(response.count);
  for (const store::KeyValue& kv : response.kvs) size += LengthDelimitedSize(KeyValueSize(kv));
  std::string encoded;
  encoded.reserve(size);
  FieldWriter writer(&encoded);
  writer.Open(etcdserverpb::RangeResponse::kHeaderFieldNumber, header_size);
  header.AppendToString(&encoded);
  for (const store::KeyValue& kv : response.kvs) {
    AppendKeyValue(etcdserverpb::RangeResponse::kKvsFieldNumber, kv, &encoded);
  }
  writer.Number(etcdserverpb::RangeResponse::kMoreFieldNumber, response.more ? 1 : 0);
  writer.Number(etcdserverpb::RangeResponse::kCountFieldNumber, response.count);
  return encoded;
}

void AppendWatchEvent(const coord::WatchEvent& event, std::string* encoded) {
  const std::int64_t type =
      event.event.type == store::Event::Type::kDelete ? mvccpb::Event::DELETE : mvccpb::Event::PUT;
  std::size_t size = NumberSize(type) + LengthDelimitedSize(KeyValueSize(event.event.kv));
  if (event.prev_kv.has_value()) size += LengthDelimitedSize(KeyValueSize(*event.prev_kv));
  FieldWriter writer(encoded);
  writer.Open(etcdserverpb::WatchResponse::kEventsFieldNumber, size);
  writer.Number(mvccpb::Event::kTypeFieldNumber, type);
  AppendKeyValue(mvccpb::Event::kKvFieldNumber, event.event.kv, encoded);
  if (event.prev_kv.has_value()) AppendKeyValue(mvccpb::Event::kPrevKvFieldNumber, *event.prev_kv, encoded);
}

}  // namespace quorate::frontend::etcd
