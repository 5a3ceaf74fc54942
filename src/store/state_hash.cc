#include "store/state_hash.h"

#include "base/crc32c.h"

namespace quorate::store {
namespace {

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): spreads the two checksums over all bits before they are
// summed.
std::uint64_t Mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t RecordHash(Table table, std::string_view key, std::string_view value) {
  const std::uint64_t checksums = (static_cast<std::uint64_t>(Crc32c(key)) << 32) | Crc32c(value);
  return Mix(checksums + static_cast<std::uint64_t>(table) * 0x9e3779b97f4a7c15);
}

}  // namespace quorate::store
