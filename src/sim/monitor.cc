#include "sim/monitor.h"

#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "store/state_hash.h"
#include "store/write_buffer.h"

namespace quorate::sim {
namespace {

// The sum over the rows of all replicated tables, as store/state_hash.h defines it.
std::uint64_t HashOf(const store::MemoryStorage::Image& image) {
  std::uint64_t hash = 0;
  for (const store::Table table : store::kReplicatedTables) {
    const auto rows = image.tables.find(table);
    if (table == store::Table::kValue || rows == image.tables.end()) continue;
    for (const auto& [key, value] : rows->second) hash += store::RecordHash(table, key, value.view());
  }
  return hash;
}

std::string On(ReplicaId member, LogIndex applied) {
  return "member " + std::to_string(member.value) + " at applied index " + std::to_string(applied.value);
}

}  // namespace

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
  const bool first = entry.index > log_agreement_.longest();
  Report(log_agreement_.OnDecided(member, entry));
  if (first && entry.kind == consensus::EntryKind::kMembership) Report(membership_.OnDecided(entry));
}

void Monitor::OnExecuted(ReplicaId member, const consensus::Entry& entry, const coord::Machine& machine,
                         const replica::Outcome* outcome, std::uint64_t now_ns) {
  Report(applied_revision_.OnApplied(member, machine.applied(), machine.revision()));
  CompareState(member, machine);
  const auto* given = dynamic_cast<const coord::CommandOutcome*>(outcome);
  CHECK(given != nullptr) << "an executed entry without an outcome";
  Report(model_.OnExecuted(member, entry, *given, now_ns));
}

void Monitor::OnRecovered(ReplicaId member, const consensus::Core& core) {
  if (protocol_ == consensus::Protocol::kRaft) Report(promises_.OnStart(member, core));
}

void Monitor::OnSent(ReplicaId from, ReplicaId to, const Bytes& frame) {
  if (protocol_ == consensus::Protocol::kRaft) Report(promises_.OnSent(from, to, frame));
}

void Monitor::OnLeadership(ReplicaId member, const consensus::Leadership& leadership) {
  Report(one_leader_.OnLeadership(member, leadership));
}

void Monitor::OnLeadership(ReplicaId member, const consensus::Leadership& leadership,
                           const consensus::Membership& members) {
  OnLeadership(member, leadership);
  if (protocol_ != consensus::Protocol::kRaft) return;
  if (leadership.role != consensus::Role::kLeader || leadership.ballot <= elected_) return;
  elected_ = leadership.ballot;
  Report(MembershipChecker::OnElected(member, leadership, members, [&](ReplicaId voter) {
    return promises_.Voted(voter, leadership.ballot.number, member);
  }));
}

void Monitor::OnState(ReplicaId member, const coord::Machine& machine, const store::MemoryStorage::Image& image) {
  log_agreement_.OnStart(member, machine.applied());
  if (machine.applied()) {
    Report(applied_revision_.OnApplied(member, machine.applied(), machine.revision()));
    CompareState(member, machine);
  }
  const auto local = image.tables.find(store::Table::kLocal);
  if (local == image.tables.end()) {
    if (image.applied) Report("recovery", On(member, image.applied) + " has a keyspace without its bookkeeping");
    return;
  }
  const auto row = local->second.find(store::LocalState::kKey);
  const auto state = row == local->second.end() ? std::nullopt : store::LocalState::Decode(row->second.view());
  if (!state) return Report("recovery", On(member, image.applied) + " has no bookkeeping that decodes");
  if (HashOf(image) + state->dropped_hash == state->hash) return;
  Report("state-hash", On(member, image.applied) + " has rows with another hash than the one they carry");
}

void Monitor::CompareState(ReplicaId member, const coord::Machine& machine) {
  const std::uint64_t hash = machine.StateHash();
  trace_.Mix(hash);
  Report(state_hash_.OnHash(member, machine.applied(), hash));
}

}  // namespace quorate::sim
