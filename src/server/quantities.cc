#include "server/quantities.h"

#include <charconv>
#include <ctime>
#include <string>
#include <utility>

namespace quorate::server {
namespace {

constexpr std::uint64_t kBytesMax = std::uint64_t{8} << 30;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kSecondsMax = std::uint64_t{3650} * 86'400;

using Unit = std::pair<std::string_view, std::uint64_t>;

// The number times its unit, or nothing: no number, no such unit, or more than `most`.
template <std::size_t kCount>
Result<std::uint64_t> Parse(std::string_view text, const Unit (&units)[kCount], std::uint64_t most,
                            const std::string& what) {
  const Status wrong = Status::InvalidArgument(std::string("\"").append(text).append("\" is not ").append(what));
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return wrong;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, factor] : units) {
    if (unit != name) continue;
    if (number > most / factor) return wrong;
    return number * factor;
  }
  return wrong;
}

}  // namespace

Result<std::uint64_t> ParseBytes(std::string_view text) {
  static constexpr Unit kUnits[] = {{"", 1},       {"KiB", 1 << 10},  {"MiB", 1 << 20},     {"GiB", 1 << 30},
                                    {"kB", 1'000}, {"MB", 1'000'000}, {"GB", 1'000'000'000}};
  return Parse(text, kUnits, kBytesMax, "a number of bytes like 1048576, 50MiB or 50MB, at most 8GiB");
}

Result<std::uint64_t> ParseDuration(std::string_view text) {
  static constexpr Unit kUnits[] = {{"s", 1}, {"m", 60}, {"h", 3'600}, {"d", 86'400}};
  const Result<std::uint64_t> seconds =
      Parse(text, kUnits, kSecondsMax, "a time like 90s, 45m, 24h or 7d, at most ten years");
  if (!seconds.ok()) return seconds;
  return *seconds * kNsPerSecond;
}

std::string FormatTime(std::int64_t wall_ns) {
  const std::time_t seconds = wall_ns / static_cast<std::int64_t>(kNsPerSecond);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace quorate::server
