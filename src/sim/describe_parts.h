// What the describers of sim/describe share. For those files only; no thread rule.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "consensus/core.h"
#include "sim/describe.h"

namespace quorate::sim {

template <class... Parts>
std::string Text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

std::string Range(const std::vector<consensus::Entry>& entries);   // "4" or "4..7"
std::string Listed(const std::vector<consensus::Entry>& entries);  // how many, and each
Described Unknown(const Bytes& payload);

Described DescribeRaft(const Bytes& payload);
Described DescribePaxos(const Bytes& payload);
Described DescribeZab(const Bytes& payload);

}  // namespace quorate::sim
