#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace quorate {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // Castagnoli, reflected

constexpr std::array<std::uint32_t, 256> MakeTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}

std::uint32_t ExtendByTable(std::uint32_t state, std::string_view data) {
  static constexpr std::array<std::uint32_t, 256> kTable = MakeTable();
  for (const char c : data) state = (state >> 8) ^ kTable[(state ^ static_cast<std::uint8_t>(c)) & 0xff];
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t ExtendByInstruction(std::uint32_t state, std::string_view data) {
  std::uint64_t wide = state;
  while (data.size() >= sizeof wide) {
    std::uint64_t word = 0;
    std::memcpy(&word, data.data(), sizeof word);
    wide = _mm_crc32_u64(wide, word);
    data.remove_prefix(sizeof word);
  }
  state = static_cast<std::uint32_t>(wide);
  for (const char c : data) state = _mm_crc32_u8(state, static_cast<std::uint8_t>(c));
  return state;
}
#endif

}  // namespace

std::uint32_t Crc32c(std::string_view data) {
  return ExtendCrc32c(0, data);
}

std::uint32_t ExtendCrc32c(std::uint32_t crc, std::string_view data) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return ~ExtendByInstruction(~crc, data);
#endif
  return ~ExtendByTable(~crc, data);
}

}  // namespace quorate
