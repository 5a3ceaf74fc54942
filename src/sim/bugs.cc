#include "sim/bugs.h"

#include <utility>

namespace quorate::sim {

std::string_view SeededBug::owner() const {
  return protocol ? consensus::ProtocolName(*protocol) : "shared";
}

const std::vector<SeededBug>& SeededBugs() {
  static const std::vector<SeededBug> all = [] {
    std::vector<SeededBug> bugs;
#ifdef QUORATE_BUGS
    using consensus::Protocol;
    using Listed = std::pair<std::optional<Protocol>, std::vector<SeededBug> (*)()>;
    for (const auto& [protocol, list] : {Listed{Protocol::kRaft, &RaftBugs}, Listed{Protocol::kPaxos, &PaxosBugs},
                                         Listed{Protocol::kZab, &ZabBugs}, Listed{std::nullopt, &SharedBugs}}) {
      for (SeededBug& bug : list()) {
        bug.protocol = protocol;
        bugs.push_back(std::move(bug));
      }
    }
#endif
    return bugs;
  }();
  return all;
}

const SeededBug* FindSeededBug(const std::string& name) {
  for (const SeededBug& bug : SeededBugs()) {
    if (bug.name == name) return &bug;
  }
  return nullptr;
}

}  // namespace quorate::sim
