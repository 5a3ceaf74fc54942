#include "consensus/inspection.h"

#include <string>
#include <string_view>
#include <vector>

namespace quorate::consensus {

void InspectMembers(const Membership& members, Inspector& out) {
  const auto list = [&out](std::string_view name, const std::vector<ReplicaId>& replicas) {
    std::string text;
    for (const ReplicaId replica : replicas) {
      if (!text.empty()) text.push_back(',');
      text.append(std::to_string(replica.value));
    }
    if (!text.empty()) out.Text(name, text);
  };
  list("voters", members.voters);
  list("outgoing", members.outgoing);
  list("learners", members.learners);
}

}  // namespace quorate::consensus
