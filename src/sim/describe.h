// What a protocol's message says, in its own words, for people: the trace page and the explorer's traces. Plain
// functions, no thread rule.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "consensus/core.h"

namespace quorate::sim {

struct Described {
  std::string kind;    // the message's name: short, the same for all of its kind
  std::string label;   // what tells it from others of its kind; a few words
  std::string detail;  // every field
};

// Bytes that are no message of the protocol are described as such.
Described DescribeMessage(consensus::Protocol protocol, const Bytes& payload);

// A frame between two members: a core's message, or one of their hosts'.
Described DescribeFrame(consensus::Protocol protocol, const Bytes& frame);

std::string DescribeEntry(const consensus::Entry& entry);

std::string_view RoleName(consensus::Role role);

}  // namespace quorate::sim
