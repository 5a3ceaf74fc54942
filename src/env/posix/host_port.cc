#include "env/posix/host_port.h"

#include <charconv>
#include <utility>

namespace quorate::env {

std::string HostPort::ToString() const {
  const bool brackets = host.find(':') != std::string::npos;
  std::string text = brackets ? "[" : "";
  text.append(host).append(brackets ? "]:" : ":").append(std::to_string(port));
  return text;
}

Result<HostPort> ParseHostPort(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    std::string message = "\"";
    message.append(text).append("\" is not HOST:PORT: ").append(why);
    return Status::InvalidArgument(std::move(message));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("there is no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (!host.empty() && host.front() == '[') {
    if (host.back() != ']') return bad("the bracket is not closed before the port");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address stands in brackets");
  }
  if (host.empty()) return bad("there is no host");
  HostPort result{std::string(host), 0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result.port);
  if (error != std::errc() || end != digits.data() + digits.size()) return bad("the port is not a number up to 65535");
  return result;
}

}  // namespace quorate::env
