// HostPort: "host:port" as flags write it; an IPv6 address stands in brackets. Thread rule: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quorate::env {

struct HostPort {
  std::string host;  // a name or an address, without brackets
  std::uint16_t port = 0;
  std::string ToString() const;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// INVALID_ARGUMENT says what is wrong with `text`.
Result<HostPort> ParseHostPort(std::string_view text);

}  // namespace quorate::env
