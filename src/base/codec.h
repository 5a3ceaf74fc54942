// Writer and Reader: the primitives of every format of ours (log records, commands, peer frames, table keys).
//
// Integers are little-endian and fixed, or LEB128 varints; byte strings carry a varint length. Big-endian integers
// exist for keys that must sort (PutOrdered64). Reader never reads past its input: the first failure makes it bad for
// good, every later call returns zero or empty, and the caller asks ok() once at the end. Hostile lengths therefore
// cost nothing. Thread rule: plain values, one thread each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace quorate {

class Writer {
 public:
  Writer() = default;
  explicit Writer(std::size_t reserve) { out_.reserve(reserve); }

  void Put8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void Put32(std::uint32_t v);
  void Put64(std::uint64_t v);
  void PutOrdered64(std::uint64_t v);  // big-endian: byte order is number order
  void PutVarint(std::uint64_t v);
  void PutSigned(std::int64_t v);  // zigzag varint
  void PutBool(bool v) { Put8(v ? 1 : 0); }
  void PutBytes(std::string_view v);  // varint length, then the bytes
  void PutRaw(std::string_view v) { out_.append(v); }
  template <class Tag>
  void PutId(Id<Tag> id) {
    PutVarint(id.value);
  }

  std::size_t size() const { return out_.size(); }
  const std::string& str() const { return out_; }
  std::string Take() && { return std::move(out_); }
  std::string* mutable_str() { return &out_; }

 private:
  std::string out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  std::uint8_t Get8();
  std::uint32_t Get32();
  std::uint64_t Get64();
  std::uint64_t GetOrdered64();
  std::uint64_t GetVarint();
  std::int64_t GetSigned();
  bool GetBool();               // anything but 0 or 1 is bad
  std::string_view GetBytes();  // a view into the input
  std::string_view GetRaw(std::size_t length);
  template <class IdType>
  IdType GetId() {
    return IdType(GetVarint());
  }
  // An element count, bad when the rest of the input could not hold `count` elements of `min_size` bytes each.
  std::size_t GetCount(std::size_t min_size = 1);

  bool ok() const { return ok_; }
  bool AtEnd() const { return in_.empty(); }
  bool Done() const { return ok_ && in_.empty(); }  // all read, nothing wrong, nothing left over
  std::string_view rest() const { return in_; }
  void Fail() {
    ok_ = false;
    in_ = {};
  }

 private:
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace quorate
