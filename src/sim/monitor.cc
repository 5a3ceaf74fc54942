#include "sim/monitor.h"

#include <utility>

#include "base/check.h"

namespace quorate::sim {
void Monitor::Report(Verdict verdict) {
  if (verdict) violations_.push_back(*std::move(verdict));
}

void Monitor::Report(std::string checker, std::string message) {
  violations_.push_back({std::move(checker), std::move(message)});
}

void Monitor::OnDecided(ReplicaId member, const consensus::Entry& entry) {
  trace_.Mix(member.value);
  trace_.Mix(entry.index.value);
  trace_.Mix(entry.ballot.number);
  Report(log_agreement_.OnDecided(member, entry));
}

void Monitor::OnExecuted(ReplicaId member, const consensus::Entry& entry, const coord::Machine& machine,
                         const replica::Outcome* outcome, std::uint64_t now_ns) {
  Report(applied_revision_.OnApplied(member, machine.applied(), machine.revision()));
  CompareState(member, machine);
  const auto* given = dynamic_cast<const coord::CommandOutcome*>(outcome);
  CHECK(given != nullptr) << "an executed entry without an outcome";
  Report(model_.OnExecuted(member, entry, *given, now_ns));
}

void Monitor::OnLeadership(ReplicaId member, const consensus::Leadership& leadership) {
  Report(one_leader_.OnLeadership(member, leadership));
}

void Monitor::CompareState(ReplicaId member, const coord::Machine& machine) {
  const std::uint64_t hash = machine.StateHash();
  trace_.Mix(hash);
  Report(state_hash_.OnHash(member, machine.applied(), hash));
}

}  // namespace quorate::sim
