// CRC-32C (Castagnoli) of log records, frames and hashes. By hand because Debian has no static library of it
// (docs/design/000-decisions.md): the SSE4.2 instruction where the CPU has it, a table elsewhere. Thread rule: any
// thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace quorate {

std::uint32_t Crc32c(std::string_view data);
std::uint32_t ExtendCrc32c(std::uint32_t crc, std::string_view data);

}  // namespace quorate
