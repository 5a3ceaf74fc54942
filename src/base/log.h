// The log facade: lines for the operator on standard error. spdlog is included by log.cc only (it costs seconds to
// compile).
//
// LogInfo("listening", "port 2379"): one event, in words, with its numbers. No secret and no value of a user ever goes
// in. Thread rule: any thread. The pure folders (consensus, coord, txn) do not log: what they have to say is in what
// they return.
#pragma once

#include <string>
#include <string_view>

namespace quorate {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

void SetLogLevel(LogLevel level);  // default kInfo
void LogLine(LogLevel level, std::string_view text);
inline void LogDebug(std::string_view text) {
  LogLine(LogLevel::kDebug, text);
}
inline void LogInfo(std::string_view text) {
  LogLine(LogLevel::kInfo, text);
}
inline void LogWarn(std::string_view text) {
  LogLine(LogLevel::kWarn, text);
}
inline void LogError(std::string_view text) {
  LogLine(LogLevel::kError, text);
}

}  // namespace quorate
