// Hasher: folds numbers and bytes into 64 bits for Core::Fingerprint. Not for data from outside: it does not resist
// someone who wants collisions.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"

namespace quorate::consensus {

// The finalizer of splitmix64: a bijection that spreads every input bit over all output bits.
constexpr std::uint64_t Mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15u;

class Hasher {
 public:
  Hasher& Add(std::uint64_t value) {
    state_ = Mix64(state_ + kGolden + value);
    return *this;
  }
  template <class Tag>
  Hasher& Add(Id<Tag> id) {
    return Add(id.value);
  }
  Hasher& AddBytes(std::string_view bytes) {
    Add(bytes.size());
    for (const char c : bytes) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return Add(0);
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0;
};

// splitmix64: the node's own generator. A plain value, so that a copied node goes on with the same numbers.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : state_(seed) {}
  // Uniform over [0, bound] (the bias is far below what jitter could show).
  std::uint64_t UpTo(std::uint64_t bound) {
    state_ += kGolden;
    return Mix64(state_) % (bound + 1);
  }
  std::uint64_t state() const { return state_; }

 private:
  std::uint64_t state_;
};

}  // namespace quorate::consensus
