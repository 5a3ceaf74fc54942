#include "sim/membership_checker.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "consensus/change.h"

namespace quorate::sim {
namespace {

void Print(std::ostringstream& out, const std::vector<ReplicaId>& ids) {
  out << "{";
  for (const ReplicaId id : ids) out << (id == ids.front() ? "" : " ") << id.value;
  out << "}";
}

std::string Describe(const consensus::Membership& members) {
  std::ostringstream out;
  out << "voters ";
  Print(out, members.voters);
  if (!members.outgoing.empty()) {
    out << " outgoing ";
    Print(out, members.outgoing);
  }
  if (!members.learners.empty()) {
    out << " learners ";
    Print(out, members.learners);
  }
  return out.str();
}

bool HasMajority(const std::vector<ReplicaId>& voters, ReplicaId candidate,
                 const std::function<bool(ReplicaId)>& voted) {
  const auto votes =
      std::count_if(voters.begin(), voters.end(), [&](ReplicaId voter) { return voter == candidate || voted(voter); });
  return static_cast<std::size_t>(votes) > voters.size() / 2;
}

bool IsLegal(const consensus::Membership& before, const consensus::Membership& after) {
  if (before.outgoing.empty()) return after.voters == before.voters || after.outgoing == before.voters;
  return after.voters == before.voters && after.outgoing.empty();
}

// What a leader found accepted and had to propose again, although another change came before it.
bool IsVoid(const consensus::Membership& before, const consensus::Membership& after) {
  if (before.outgoing.empty()) return !after.outgoing.empty() && after.outgoing != before.voters;
  return !after.outgoing.empty() || after.voters != before.voters;
}

}  // namespace

bool Contains(const std::vector<ReplicaId>& ids, ReplicaId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

bool IsIn(const consensus::Membership& members, ReplicaId id) {
  return Contains(members.voters, id) || Contains(members.outgoing, id) || Contains(members.learners, id);
}

Verdict MembershipChecker::OnDecided(const consensus::Entry& entry) {
  const std::optional<consensus::Change> change = consensus::DecodeChange(entry.payload);
  const std::string where = "entry " + std::to_string(entry.index.value);
  if (!change) return Violation{"membership", where + " holds no members that decode"};
  if (rule_ == VoterChange::kAlphaWindow && IsVoid(members_, change->members)) return std::nullopt;
  const consensus::Membership before = std::exchange(members_, change->members);
  const std::string step = where + " goes from " + Describe(before) + " to " + Describe(members_);
  for (const ReplicaId voter : members_.voters) {
    if (Contains(before.voters, voter) || Contains(before.learners, voter)) continue;
    return Violation{"membership", step + ": " + std::to_string(voter.value) + " was no learner before it votes"};
  }
  if (IsLegal(before, members_)) return std::nullopt;
  return Violation{"membership", step + ": not through a joint configuration of both"};
}

Verdict MembershipChecker::OnElected(ReplicaId candidate, const consensus::Leadership& leadership,
                                     const consensus::Membership& members,
                                     const std::function<bool(ReplicaId)>& voted) {
  const bool good = HasMajority(members.voters, candidate, voted) &&
                    (members.outgoing.empty() || HasMajority(members.outgoing, candidate, voted));
  if (good) return std::nullopt;
  return Violation{"membership", "member " + std::to_string(candidate.value) + " leads term " +
                                     std::to_string(leadership.ballot.number) + " without the votes of a majority of " +
                                     Describe(members)};
}

}  // namespace quorate::sim
