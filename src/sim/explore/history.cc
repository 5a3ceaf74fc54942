#include "sim/explore/history.h"

#include <algorithm>

#include "consensus/hash.h"

namespace quorate::sim::explore {
namespace {

std::string Who(const Replica& replica) {
  return "replica " + std::to_string(replica.id().value);
}

}  // namespace

Verdict History::On(const Replica& replica, const Effects& effects) {
  if (!effects.broken.empty()) return Violation{"invariant", Who(replica) + ": " + effects.broken};
  // Leadership first: what an entry was decided under is at most the newest ballot that has a leader by now.
  for (const consensus::Leadership& leadership : effects.leaderships) {
    if (Verdict verdict = OnLeadership(replica, leadership)) return verdict;
  }
  for (const consensus::Entry& entry : effects.decided) {
    if (Verdict verdict = OnDecided(replica, entry)) return verdict;
  }
  for (const auto& [read, index] : effects.reads) {
    if (Verdict verdict = OnRead(replica, read, index)) return verdict;
  }
  return std::nullopt;
}

Verdict History::OnDecided(const Replica& replica, const consensus::Entry& entry) {
  const Decision decision{DecisionHash(entry), std::max(replica.leadership().ballot.number, entry.ballot.number)};
  const std::uint64_t place = entry.index.value - 1;
  if (place == decided_.size()) {
    decided_.push_back(decision);
  } else if (place > decided_.size() || decided_[place].hash != decision.hash) {
    return Violation{"log-agreement", Who(replica) + " decides another entry at index " +
                                          std::to_string(entry.index.value) + " than was decided there before"};
  } else if (decision.under >= decided_[place].under) {
    return std::nullopt;
  }
  decided_[place].under = decision.under;
  return CheckCompleteness();
}

Verdict History::OnLeadership(const Replica& replica, const consensus::Leadership& leadership) {
  if (leadership.role != consensus::Role::kLeader) return std::nullopt;
  const auto [leader, is_new] = leaders_.try_emplace(leadership.ballot, Leader{replica.id(), {}});
  if (leader->second.id != replica.id()) {
    return Violation{"one-leader", Who(replica) + " leads ballot " + std::to_string(leadership.ballot.number) +
                                       ", which replica " + std::to_string(leader->second.id.value) + " has led"};
  }
  if (!is_new || replica.core().traits().log_may_have_holes) return std::nullopt;
  for (LogIndex index(1); replica.LogAt(index) != nullptr; index = index.Next()) {
    leader->second.log.push_back(DecisionHash(*replica.LogAt(index)));
  }
  return CheckCompleteness();
}

Verdict History::CheckCompleteness() const {
  for (const auto& [ballot, leader] : leaders_) {
    for (std::uint64_t place = 0; !leader.log.empty() && place < decided_.size(); ++place) {
      if (decided_[place].under >= ballot.number) continue;
      if (place < leader.log.size() && leader.log[place] == decided_[place].hash) continue;
      return Violation{"leader-completeness", "replica " + std::to_string(leader.id.value) + " leads ballot " +
                                                  std::to_string(ballot.number) + " without entry " +
                                                  std::to_string(place + 1) + ", which was decided before"};
    }
  }
  return std::nullopt;
}

Verdict History::OnRead(const Replica& replica, ReadId read, LogIndex index) {
  const auto asked = open_reads_.find(read);
  if (asked == open_reads_.end()) {
    return Violation{"linearizability", Who(replica) + " answers a read that is not open"};
  }
  const LogIndex needed = asked->second;
  open_reads_.erase(asked);
  if (index >= needed) return std::nullopt;
  return Violation{"linearizability", Who(replica) + " confirms a read at index " + std::to_string(index.value) +
                                          "; when it was asked, entry " + std::to_string(needed.value) +
                                          " had been decided"};
}

bool History::IsDurable(std::span<const LocalState* const> replicas, Verdict* verdict) const {
  for (std::uint64_t place = 0; place < decided_.size(); ++place) {
    const auto holds = [&](const LocalState* state) {
      return place < state->durable.size() && state->durable[place] == decided_[place].hash;
    };
    const auto holders = static_cast<std::uint64_t>(std::count_if(replicas.begin(), replicas.end(), holds));
    if (2 * holders > replicas.size()) continue;
    *verdict =
        Violation{"durability", "entry " + std::to_string(place + 1) + " was decided and is on " +
                                    std::to_string(holders) + " of " + std::to_string(replicas.size()) + " disks only"};
    return false;
  }
  return true;
}

std::uint64_t History::Hash() const {
  consensus::Hasher h;
  h.Add(decided_.size());
  for (const Decision& decision : decided_) h.Add(decision.hash).Add(decision.under);
  for (const auto& [ballot, leader] : leaders_) {
    h.Add(ballot.number).Add(ballot.owner).Add(leader.id).Add(leader.log.size());
    for (const std::uint64_t hash : leader.log) h.Add(hash);
  }
  h.Add(leaders_.size());
  for (const auto& [read, index] : open_reads_) h.Add(read).Add(index);
  return h.value();
}

}  // namespace quorate::sim::explore
