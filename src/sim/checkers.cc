#include "sim/checkers.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "sim/linearizability.h"

namespace quorate::sim {
namespace {

std::string Describe(const consensus::Entry& entry) {
  std::ostringstream out;
  out << "entry " << entry.index.value << " of term " << entry.ballot.number << ", kind "
      << static_cast<int>(entry.kind) << ", origin " << entry.origin.replica.value << "/"
      << entry.origin.incarnation.value << "/" << entry.origin.proposal.value << ", " << entry.payload.size()
      << " bytes";
  return out.str();
}

// Revisions as the clients saw them, in real time: an operation that began after another had ended sees a revision that
// is not lower, and a higher one if it wrote.
Verdict CheckRevisionsInRealTime(const History& history) {
  std::vector<const Operation*> by_return;
  for (const Operation& operation : history) {
    if (operation.fate == OperationFate::kGood) by_return.push_back(&operation);
  }
  std::stable_sort(by_return.begin(), by_return.end(),
                   [](const Operation* a, const Operation* b) { return a->returned_ns < b->returned_ns; });
  std::size_t ended = 0;
  const Operation* highest = nullptr;
  for (const Operation& operation : history) {
    if (operation.fate != OperationFate::kGood) continue;
    for (; ended < by_return.size() && by_return[ended]->returned_ns < operation.invoked_ns; ++ended) {
      if (highest == nullptr || by_return[ended]->revision > highest->revision) highest = by_return[ended];
    }
    if (highest == nullptr) continue;
    const Revision lowest_right = highest->revision + (operation.Writes() ? 1 : 0);
    if (operation.revision < lowest_right) {
      return Violation{"revision", "the revision went back from " + Describe(*highest) + " to " + Describe(operation)};
    }
  }
  return std::nullopt;
}

}  // namespace

bool LogAgreementChecker::Same(const consensus::Entry& a, const consensus::Entry& b) const {
  if (keeps_ballot_) return a == b;
  return a.index == b.index && a.kind == b.kind && a.origin == b.origin && a.payload == b.payload;
}

Verdict LogAgreementChecker::OnDecided(ReplicaId member, const consensus::Entry& entry) {
  LogIndex& last = last_[member];
  if (entry.index != last.Next()) {
    return Violation{"log-agreement", "member " + std::to_string(member.value) + " got " + Describe(entry) + " after " +
                                          std::to_string(last.value)};
  }
  last = entry.index;
  const auto [first, is_new] = decided_.try_emplace(entry.index, First{member, entry});
  if (is_new || Same(first->second.entry, entry)) return std::nullopt;
  return Violation{"log-agreement", "member " + std::to_string(member.value) + " decided " + Describe(entry) +
                                        ", member " + std::to_string(first->second.member.value) + " decided " +
                                        Describe(first->second.entry)};
}

Verdict OneLeaderChecker::OnLeadership(ReplicaId member, const consensus::Leadership& leadership) {
  if (leadership.role != consensus::Role::kLeader) return std::nullopt;
  const auto [first, is_new] = leaders_.try_emplace(leadership.ballot, member);
  if (first->second == member) return std::nullopt;
  return Violation{"one-leader", "members " + std::to_string(first->second.value) + " and " +
                                     std::to_string(member.value) + " both lead term " +
                                     std::to_string(leadership.ballot.number)};
}

Verdict StateHashChecker::OnHash(ReplicaId member, LogIndex applied, std::uint64_t hash) {
  const auto [first, is_new] = hashes_.try_emplace(applied, First{member, hash});
  if (first->second.hash == hash) return std::nullopt;
  return Violation{"state-hash", "at applied index " + std::to_string(applied.value) + " member " +
                                     std::to_string(first->second.member.value) + " had hash " +
                                     std::to_string(first->second.hash) + ", member " + std::to_string(member.value) +
                                     " has " + std::to_string(hash)};
}

Verdict AppliedRevisionChecker::OnApplied(ReplicaId member, LogIndex index, Revision revision) {
  const auto [first, is_new] = revisions_.try_emplace(index, revision);
  std::ostringstream out;
  if (first->second != revision) {
    out << "entry " << index.value << " gave revision " << first->second << " and, on member " << member.value << ", "
        << revision;
    return Violation{"revision", out.str()};
  }
  if (first != revisions_.begin() && std::prev(first)->second > revision) {
    out << "revision fell from " << std::prev(first)->second << " to " << revision << " at entry " << index.value
        << " on member " << member.value;
    return Violation{"revision", out.str()};
  }
  return std::nullopt;
}

Verdict CheckRevisions(const History& history) {
  std::map<Revision, const Operation*> writers;
  std::map<std::string, Revision> revisions;  // of values
  for (const Operation& operation : history) {
    if (operation.fate != OperationFate::kGood) continue;
    if (operation.Writes()) {
      const auto [other, is_new] = writers.try_emplace(operation.revision, &operation);
      if (!is_new) {
        return Violation{"revision",
                         "one revision for two writes: " + Describe(*other->second) + " and " + Describe(operation)};
      }
      if (operation.kind != OperationKind::kDelete) {
        const auto [known, first] = revisions.try_emplace(operation.value, operation.revision);
        if (known->second != operation.revision) {
          return Violation{"revision", "others saw that value at revision " + std::to_string(known->second) + ": " +
                                           Describe(operation)};
        }
      }
    }
    if (operation.seen) {
      const auto [known, first] = revisions.try_emplace(operation.seen->value, operation.seen->mod_revision);
      if (known->second != operation.seen->mod_revision) {
        return Violation{"revision", "others saw that value at revision " + std::to_string(known->second) + ": " +
                                         Describe(operation)};
      }
    }
  }
  return CheckRevisionsInRealTime(history);
}

Verdict CheckLinearizability(const History& history) {
  std::set<std::string> keys;
  for (const Operation& operation : history) keys.insert(operation.key);
  for (const std::string& key : keys) {
    if (const auto why = ExplainNotLinearizable(history, key)) return Violation{"linearizability", *why};
  }
  return std::nullopt;
}

Verdict CheckDurability(const History& history, ReplicaId member, Revision compacted, const ReadAt& read) {
  for (const Operation& operation : history) {
    if (operation.fate != OperationFate::kGood || !operation.Writes() || operation.revision <= compacted) continue;
    const std::optional<SeenValue> found = read(operation.key, operation.revision);
    std::optional<SeenValue> right;
    if (operation.kind != OperationKind::kDelete) right = SeenValue{operation.value, operation.revision};
    if (found == right) continue;
    return Violation{"durability", "member " + std::to_string(member.value) + " has " +
                                       (found ? found->value + "@" + std::to_string(found->mod_revision) : "nothing") +
                                       " at the revision of the acknowledged " + Describe(operation)};
  }
  return std::nullopt;
}

}  // namespace quorate::sim
