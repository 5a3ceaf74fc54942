// An exploration as text.
#include <iomanip>
#include <sstream>

#include "sim/explore/explorer.h"

namespace quorate::sim::explore {
namespace {

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) >= ' ') {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

std::string Json(const Exploration& exploration) {
  std::ostringstream out;
  out << "{\"complete\":" << (exploration.complete ? "true" : "false") << ",\"states\":" << exploration.states
      << ",\"transitions\":" << exploration.transitions << ",\"depth\":" << exploration.depth
      << ",\"local_states\":" << exploration.local_states << ",\"core_steps\":" << exploration.core_steps
      << ",\"messages\":" << exploration.messages << ",\"audited\":" << exploration.audited
      << ",\"memory_bytes\":" << exploration.memory_bytes << ",\"milliseconds\":" << exploration.milliseconds;
  if (exploration.violation) {
    out << ",\"violation\":{\"checker\":" << Quoted(exploration.violation->checker)
        << ",\"message\":" << Quoted(exploration.violation->message) << "}";
  }
  out << ",\"trace\":[";
  for (std::size_t i = 0; i < exploration.trace.size(); ++i) out << (i == 0 ? "" : ",") << Quoted(exploration.trace[i]);
  out << "]}";
  return out.str();
}

std::string Summary(const Exploration& exploration) {
  std::ostringstream out;
  for (std::size_t i = 0; i < exploration.trace.size(); ++i) {
    out << std::setw(3) << i + 1 << "  " << exploration.trace[i] << "\n";
  }
  if (exploration.violation) {
    out << "violated: " << exploration.violation->checker << ": " << exploration.violation->message << "\n";
  }
  out << (exploration.violation  ? "stopped at the violation: "
          : exploration.complete ? "complete: "
                                 : "cut short: ")
      << exploration.states << " states, " << exploration.transitions << " transitions, depth " << exploration.depth
      << "; " << exploration.local_states << " local states, " << exploration.messages << " messages, a core stepped "
      << exploration.core_steps << " times, " << exploration.audited << " fingerprints tried out; " << std::fixed
      << std::setprecision(1) << static_cast<double>(exploration.milliseconds) / 1000 << " s, "
      << exploration.memory_bytes / (1 << 20) << " MiB";
  return out.str();
}

}  // namespace quorate::sim::explore
