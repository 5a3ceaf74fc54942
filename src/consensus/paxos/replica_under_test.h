// One Paxos replica under test (1), driven by hand, with a disk that finishes when told; everybody else is messages.
// Tests only.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "consensus/core.h"
#include "consensus/paxos/messages.h"

namespace quorate::consensus::paxos {

inline constexpr std::uint64_t kAlpha = 4;

inline Ballot At(std::uint64_t round, std::uint64_t owner) {
  return {round, ReplicaId(owner)};
}
inline LogIndex Slot(std::uint64_t slot) {
  return LogIndex(slot);
}
inline std::vector<ReplicaId> Ids(const std::vector<std::uint64_t>& ids) {
  std::vector<ReplicaId> out;
  for (const std::uint64_t id : ids) out.emplace_back(id);
  return out;
}
inline Entry Command(std::uint64_t slot, Ballot ballot, const std::string& text) {
  return {Slot(slot), ballot, EntryKind::kCommand, {ReplicaId(9), Incarnation(1), ProposalId(slot)}, Bytes(text)};
}
inline Entry Noop(std::uint64_t slot, Ballot ballot) {
  return {Slot(slot), ballot, EntryKind::kNoop, {}, {}};
}

inline Options OptionsOf(std::uint64_t voters, std::uint64_t alpha = kAlpha) {
  Options options;
  options.self = ReplicaId(1);
  for (std::uint64_t id = 1; id <= voters; ++id) options.initial.voters.emplace_back(id);
  options.election_ticks = 10;
  options.heartbeat_ticks = 2;
  options.alpha = alpha;
  return options;
}

struct Sent {
  ReplicaId to;
  PersistSeq after;
  Message message;
};

class Replica {
 public:
  explicit Replica(Options options, Recovered recovered = {}) : options_(std::move(options)) {
    auto made = MakeCore(Protocol::kPaxos, options_, std::move(recovered));
    EXPECT_TRUE(made.ok()) << made.status().message();
    core_ = std::move(made).value();
    Take();
  }

  void Step(Event event) {
    core_->Step(std::move(event));
    core_->CheckInvariants();
    Take();
  }
  void Hear(std::uint64_t from, Ballot ballot, Body body) {
    Hear(from, ballot, std::move(body), {options_.alpha, options_.phase1_quorum, options_.phase2_quorum});
  }
  void Hear(std::uint64_t from, Ballot ballot, Body body, Parameters parameters) {
    Step(Receive{ReplicaId(from), LinkId(1), EncodeMessage({parameters, ballot, std::move(body)})});
  }
  void Ticks(std::uint64_t count) {
    for (; count > 0; --count) Step(Tick{});
  }
  // The disk finishes everything; a restart would find it.
  void Persist() {
    while (persisted_ < writes.size()) {
      const WriteBatch batch = writes[persisted_++];
      if (batch.hard_state) disk.hard_state = batch.hard_state;
      for (const LogOp& op : batch.ops) {
        if (const auto* put = std::get_if<PutEntry>(&op)) {
          log_[put->entry.index] = put->entry;
        } else {
          disk.snapshot = std::get<InstallSnapshot>(op).meta;
          log_.clear();
        }
      }
      Step(Persisted{batch.seq});
    }
  }
  Recovered Disk() const {
    Recovered found = disk;
    found.applied = found.snapshot.last;
    for (const auto& [slot, entry] : log_) found.log.push_back(entry);
    return found;
  }
  void Apply() {
    if (!decided.empty()) Step(Applied{decided.back().index});
  }
  void Propose(const std::string& text) {
    Step(consensus::Propose{{ReplicaId(1), Incarnation(1), ProposalId(++proposals_)}, Bytes(text)});
  }
  void Forget() { sent.clear(); }

  template <class Kind>
  std::vector<std::pair<std::uint64_t, Kind>> All() const {
    std::vector<std::pair<std::uint64_t, Kind>> out;
    for (const Sent& one : sent) {
      if (const auto* body = std::get_if<Kind>(&one.message.body)) out.emplace_back(one.to.value, *body);
    }
    return out;
  }
  template <class Kind>
  const Sent* Last(std::uint64_t to) const {
    for (auto it = sent.rbegin(); it != sent.rend(); ++it) {
      if (it->to.value == to && std::holds_alternative<Kind>(it->message.body)) return &*it;
    }
    return nullptr;
  }
  // The entries that were proposed to `to` (phase 2a) or told to it as chosen, by slot.
  template <class Kind>
  std::map<std::uint64_t, Entry> EntriesTo(std::uint64_t to) const {
    std::map<std::uint64_t, Entry> out;
    for (const auto& [id, body] : All<Kind>()) {
      if (id != to) continue;
      for (const Entry& entry : body.entries) out[entry.index.value] = entry;
    }
    return out;
  }

  // Polls, is granted the poll by `friends`, and asks for phase 1.
  Ballot Campaign(const std::vector<std::uint64_t>& friends) {
    for (int limit = 200; limit > 0 && All<Poll>().empty(); --limit) Ticks(1);
    for (const std::uint64_t one : friends) Hear(one, Ballot(), PollReply{All<Poll>().back().second.number, true});
    return leadership.ballot;
  }
  // And gets it: from each of `friends` a whole report of `accepted`.
  Ballot Lead(const std::vector<std::uint64_t>& friends, const std::vector<Entry>& accepted = {}) {
    const Ballot ballot = Campaign(friends);
    Persist();
    for (const std::uint64_t one : friends) Promise(one, ballot, accepted);
    EXPECT_EQ(leadership.role, Role::kLeader);
    return ballot;
  }
  void Promise(std::uint64_t from, Ballot ballot, std::vector<Entry> accepted, std::uint64_t chosen = 0) {
    const LogIndex first = std::get<Phase1a>(Last<Phase1a>(from)->message.body).from;
    Hear(from, ballot, Phase1b{first, Slot(chosen), {}, std::move(accepted)});
  }
  void Accepted(std::uint64_t from, Ballot ballot, std::uint64_t first, std::uint64_t last, std::uint64_t match = 0) {
    Hear(from, ballot, Phase2b{{{Slot(first), Slot(last)}}, Slot(match)});
  }
  // `from` answers the latest heartbeat: it holds, and durably knows, everything up to `held`.
  void Answer(std::uint64_t from, Ballot ballot, std::uint64_t held, std::uint64_t known = 0, bool lease = false) {
    const auto heartbeat = std::get<Heartbeat>(Last<Heartbeat>(from)->message.body);
    HeartbeatReply reply;
    reply.round = heartbeat.round;
    reply.sent = heartbeat.sent;
    reply.echoed = heartbeat.match;
    reply.held = reply.match = Slot(held);
    reply.known = Slot(known);
    reply.lease = lease;
    Hear(from, ballot, reply);
  }

  std::vector<Sent> sent;
  std::vector<WriteBatch> writes;
  std::vector<Entry> decided;
  std::vector<std::pair<ReadId, LogIndex>> reads;
  std::vector<ReadId> failed_reads;
  std::vector<Failed> failed;
  std::vector<SendSnapshot> send_snapshot;
  Leadership leadership;
  std::optional<Membership> membership;
  Recovered disk;
  const Core& core() const { return *core_; }

 private:
  void Take() {
    while (core_->HasReady()) {
      Ready ready = core_->TakeReady();
      core_->CheckInvariants();
      for (const Outbound& out : ready.outbound)
        sent.push_back({out.to, out.after, DecodeMessage(out.payload).value()});
      if (ready.write) writes.push_back(*ready.write);
      for (Entry& entry : ready.decided) decided.push_back(std::move(entry));
      reads.insert(reads.end(), ready.reads.begin(), ready.reads.end());
      failed_reads.insert(failed_reads.end(), ready.failed_reads.begin(), ready.failed_reads.end());
      failed.insert(failed.end(), ready.failed.begin(), ready.failed.end());
      send_snapshot.insert(send_snapshot.end(), ready.send_snapshot.begin(), ready.send_snapshot.end());
      if (ready.leadership) leadership = *ready.leadership;
      if (ready.membership) membership = *ready.membership;
    }
  }

  const Options options_;
  std::unique_ptr<Core> core_;
  std::size_t persisted_ = 0;
  std::map<LogIndex, Entry> log_;
  std::uint64_t proposals_ = 0;
};

inline std::vector<Entry> PutsOf(const WriteBatch& batch) {
  std::vector<Entry> puts;
  for (const LogOp& op : batch.ops) {
    if (const auto* put = std::get_if<PutEntry>(&op)) puts.push_back(put->entry);
  }
  return puts;
}
inline Ballot PromisedIn(const WriteBatch& batch) {
  return batch.hard_state ? DecodeHardState(*batch.hard_state)->promised : Ballot();
}

}  // namespace quorate::consensus::paxos
