#include "frontend/etcd/wire_encoder.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "frontend/etcd/convert.h"

namespace quorate::frontend::etcd {
namespace {

// Pairs with every field absent, small, and as large as it can be.
std::vector<store::KeyValue> Pairs() {
  std::vector<store::KeyValue> pairs;
  for (const std::int64_t number : {std::int64_t{0}, std::int64_t{1}, std::int64_t{127}, std::int64_t{128},
                                    std::numeric_limits<std::int64_t>::max(), std::int64_t{-1}}) {
    for (const std::size_t length : {0, 1, 127, 128, 70'000}) {
      store::KeyValue kv;
      kv.key = Bytes(std::string(length, '\0'));
      kv.value = Bytes(std::string(length / 2, 'v'));
      kv.create_revision = kv.mod_revision = kv.version = kv.lease = number;
      pairs.push_back(kv);
    }
  }
  return pairs;
}

TEST(WireEncoderTest, ARangeResponseIsWhatProtobufWrites) {
  etcdserverpb::ResponseHeader header;
  for (const bool with_header_fields : {false, true}) {
    if (with_header_fields) header.set_revision(9), header.set_cluster_id(~std::uint64_t{0});
    for (const std::int64_t count : {0, 1, 300}) {
      coord::RangeResponse response;
      if (count > 0) response.kvs = Pairs();
      response.count = count;
      response.more = count == 300;
      etcdserverpb::RangeResponse expected;
      *expected.mutable_header() = header;
      ToWire(response, &expected);
      EXPECT_TRUE(EncodeRangeResponse(header, response) == expected.SerializeAsString()) << count;
    }
  }
}

TEST(WireEncoderTest, EventsAreWhatProtobufWrites) {
  etcdserverpb::WatchResponse expected;
  expected.set_watch_id(7);
  std::string encoded = expected.SerializeAsString();
  for (const store::KeyValue& kv : Pairs()) {
    for (const auto type : {store::Event::Type::kPut, store::Event::Type::kDelete}) {
      coord::WatchEvent event;
      event.event = {.type = type, .kv = kv};
      if (kv.version == 1) event.prev_kv = kv;
      AppendWatchEvent(event, &encoded);
      mvccpb::Event* wire = expected.add_events();
      if (type == store::Event::Type::kDelete) wire->set_type(mvccpb::Event::DELETE);
      ToWire(kv, wire->mutable_kv());
      if (kv.version == 1) ToWire(kv, wire->mutable_prev_kv());
    }
  }
  EXPECT_TRUE(encoded == expected.SerializeAsString());
}

}  // namespace
}  // namespace quorate::frontend::etcd
