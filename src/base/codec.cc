#include "base/codec.h"

#include <bit>
#include <cstring>

namespace quorate {

static_assert(std::endian::native == std::endian::little, "the formats are written by memcpy");

namespace {
template <class T>
void AppendFixed(std::string* out, T v) {
  char raw[sizeof v];
  std::memcpy(raw, &v, sizeof v);
  out->append(raw, sizeof v);
}
template <class T>
T LoadFixed(std::string_view raw) {
  T v = 0;
  if (raw.size() == sizeof v) std::memcpy(&v, raw.data(), sizeof v);
  return v;
}
}  // namespace

void Writer::Put32(std::uint32_t v) {
  AppendFixed(&out_, v);
}
void Writer::Put64(std::uint64_t v) {
  AppendFixed(&out_, v);
}
void Writer::PutOrdered64(std::uint64_t v) {
  AppendFixed(&out_, __builtin_bswap64(v));
}

void Writer::PutVarint(std::uint64_t v) {
  while (v >= 0x80) {
    out_.push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  out_.push_back(static_cast<char>(v));
}

void Writer::PutSigned(std::int64_t v) {
  PutVarint((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
}

void Writer::PutBytes(std::string_view v) {
  PutVarint(v.size());
  out_.append(v);
}

std::string_view Reader::GetRaw(std::size_t length) {
  if (length > in_.size()) {
    Fail();
    return {};
  }
  const std::string_view out = in_.substr(0, length);
  in_.remove_prefix(length);
  return out;
}

std::uint8_t Reader::Get8() {
  const std::string_view raw = GetRaw(1);
  return raw.empty() ? 0 : static_cast<std::uint8_t>(raw[0]);
}
std::uint32_t Reader::Get32() {
  return LoadFixed<std::uint32_t>(GetRaw(4));
}
std::uint64_t Reader::Get64() {
  return LoadFixed<std::uint64_t>(GetRaw(8));
}
std::uint64_t Reader::GetOrdered64() {
  return __builtin_bswap64(Get64());
}

std::uint64_t Reader::GetVarint() {
  std::uint64_t v = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = Get8();
    if (!ok_) return 0;
    if (shift == 63 && byte > 1) break;  // more than 64 bits
    v |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return v;
  }
  Fail();
  return 0;
}

std::int64_t Reader::GetSigned() {
  const std::uint64_t v = GetVarint();
  return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
}

bool Reader::GetBool() {
  const std::uint8_t v = Get8();
  if (v > 1) Fail();
  return v == 1;
}

std::string_view Reader::GetBytes() {
  const std::uint64_t length = GetVarint();
  if (length > in_.size()) {
    Fail();
    return {};
  }
  return GetRaw(length);
}

std::size_t Reader::GetCount(std::size_t min_size) {
  const std::uint64_t count = GetVarint();
  if (count > in_.size() / (min_size == 0 ? 1 : min_size)) {
    Fail();
    return 0;
  }
  return count;
}

}  // namespace quorate
