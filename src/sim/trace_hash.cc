#include "sim/trace_hash.h"

#include <cstring>

namespace quorate::sim {

void TraceHash::MixBytes(std::string_view bytes) {
  Mix(bytes.size());
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    const std::size_t length = bytes.size() < sizeof(word) ? bytes.size() : sizeof(word);
    std::memcpy(&word, bytes.data(), length);
    Mix(word);
    bytes.remove_prefix(length);
  }
}

}  // namespace quorate::sim
