#include "sim/random.h"

namespace quorate::sim {

std::uint64_t SeededRandom::Next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

SeededRandom SeededRandom::ForPurpose(std::uint64_t seed, std::string_view purpose, std::uint64_t number) {
  std::uint64_t mixed = SeededRandom(seed).Next();
  for (const char c : purpose) mixed = SeededRandom(mixed ^ static_cast<unsigned char>(c)).Next();
  return SeededRandom(SeededRandom(mixed ^ number).Next());
}

}  // namespace quorate::sim
