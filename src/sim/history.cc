#include "sim/history.h"

#include <sstream>

namespace quorate::sim {

std::string_view OperationName(OperationKind kind) {
  switch (kind) {
    case OperationKind::kGet:
      return "get";
    case OperationKind::kPut:
      return "put";
    case OperationKind::kCompareAndSwap:
      return "swap";
    case OperationKind::kDelete:
      return "delete";
  }
  return "?";
}

std::string Numbered(std::string_view prefix, std::uint64_t number) {
  std::string name(prefix);
  name.append(std::to_string(number));
  return name;
}

std::string Describe(const Operation& operation) {
  std::ostringstream out;
  out << "#" << operation.id << " client " << operation.client << " at member " << operation.member.value << " "
      << OperationName(operation.kind) << " " << operation.key;
  if (operation.expected) out << " from " << *operation.expected;
  if (operation.kind == OperationKind::kCompareAndSwap && !operation.expected) out << " from absent";
  if (!operation.value.empty()) out << " to " << operation.value;
  out << " [" << operation.invoked_ns / 1000 << " us, ";
  if (operation.returned_ns == kNever) {
    out << "open)";
  } else {
    out << operation.returned_ns / 1000 << " us]";
  }
  switch (operation.fate) {
    case OperationFate::kFailed:
      out << " failed";
      break;
    case OperationFate::kUnknown:
      out << " unknown";
      break;
    case OperationFate::kGood:
      out << " revision " << operation.revision;
      if (operation.kind == OperationKind::kCompareAndSwap) out << (operation.swapped ? " swapped" : " not swapped");
      if (operation.seen) {
        out << " saw " << operation.seen->value << "@" << operation.seen->mod_revision;
      } else if (operation.looked) {
        out << " saw absent";
      }
      break;
  }
  return out.str();
}

}  // namespace quorate::sim
