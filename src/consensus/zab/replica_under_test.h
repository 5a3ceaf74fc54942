// One Zab node under test (replica 1, or whom the options name), driven by hand, with a disk that finishes when told;
// its peers are messages. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "consensus/core.h"
#include "consensus/zab/messages.h"

namespace quorate::consensus::zab {

inline Zxid At(std::uint64_t index, std::uint64_t epoch) {
  return {Epoch(epoch), LogIndex(index)};
}
inline std::vector<ReplicaId> Ids(const std::vector<std::uint64_t>& ids) {
  std::vector<ReplicaId> out;
  for (const std::uint64_t id : ids) out.emplace_back(id);
  return out;
}
inline Entry MakeEntry(std::uint64_t index, std::uint64_t epoch) {
  return {LogIndex(index), {epoch, ReplicaId()}, EntryKind::kCommand, {}, Bytes(std::to_string(index))};
}
inline Vote VoteFor(std::uint64_t leader, std::uint64_t current, Zxid last) {
  return {Epoch(current), last, false, ReplicaId(leader)};
}
inline AckEpoch EmptyHistory() {
  return {Epoch(0), LogIndex(0), {{Epoch(0), LogIndex(0)}}, {}};
}
// Of a log from entry 1 on whose entries have these epochs.
inline AckEpoch OutlineOf(const std::vector<std::uint64_t>& epochs, std::uint64_t current) {
  AckEpoch outline = EmptyHistory();
  outline.current = Epoch(current);
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    if (outline.runs.back().generation != Epoch(epochs[i])) outline.runs.push_back({Epoch(epochs[i]), LogIndex()});
    outline.runs.back().last = LogIndex(i + 1);
  }
  return outline;
}
inline std::string Show(const std::vector<Run>& runs) {
  std::string out;
  for (const Run& run : runs) {
    out += std::to_string(run.last.value) + "/" + std::to_string(run.generation.value) + " ";
  }
  return out;
}

// Voters 1 to `voters`.
inline Options OptionsOf(std::uint64_t voters) {
  Options options;
  options.self = ReplicaId(1);
  for (std::uint64_t id = 1; id <= voters; ++id) options.initial.voters.emplace_back(id);
  options.election_ticks = 10;
  options.heartbeat_ticks = 2;
  return options;
}

struct DiskSpec {
  Ballot accepted = {};
  std::uint64_t current = 0;
  std::vector<std::uint64_t> epochs = {};  // of the log's entries, from 1 on
  std::uint64_t commit = 0;
  std::uint64_t voters = 3;
};
inline Recovered Disk(const DiskSpec& spec) {
  Recovered disk;
  disk.hard_state =
      EncodeHardState({spec.accepted, Epoch(spec.current), LogIndex(spec.commit), OptionsOf(spec.voters).initial});
  for (const std::uint64_t epoch : spec.epochs) disk.log.push_back(MakeEntry(disk.log.size() + 1, epoch));
  return disk;
}

inline HardState HardStateIn(const WriteBatch& batch) {
  return batch.hard_state ? DecodeHardState(*batch.hard_state).value() : HardState();
}

struct Sent {
  ReplicaId to;
  PersistSeq after;
  Message message;
};

class Replica {
 public:
  explicit Replica(Options options, Recovered recovered = {}) : options_(std::move(options)), disk_(recovered) {
    for (const Entry& entry : recovered.log) log_[entry.index] = entry;
    auto made = MakeCore(Protocol::kZab, options_, std::move(recovered));
    EXPECT_TRUE(made.ok()) << made.status().message();
    core_ = std::move(made).value();
    Take();
    for (std::uint64_t peer = 1; peer <= 6; ++peer) {
      if (ReplicaId(peer) != options_.self) Step(LinkUp{ReplicaId(peer), LinkId(1), Incarnation(1)});
    }
  }

  void Step(Event event) {
    core_->Step(std::move(event));
    core_->CheckInvariants();
    Take();
  }
  void Hear(std::uint64_t from, std::uint64_t epoch, std::uint64_t session, Body body) {
    Step(Receive{ReplicaId(from), LinkId(1), EncodeMessage({Epoch(epoch), SessionNumber(session), std::move(body)})});
  }
  void Ticks(std::uint64_t count) {
    for (; count > 0; --count) Step(Tick{});
  }
  // The disk finishes everything; Recover() would find it.
  void Persist() {
    while (persisted_ < writes.size()) {
      const WriteBatch batch = writes[persisted_++];
      if (batch.hard_state) disk_.hard_state = batch.hard_state;
      for (const LogOp& op : batch.ops) {
        if (const auto* put = std::get_if<PutEntry>(&op)) {
          log_[put->entry.index] = put->entry;
        } else if (const auto* cut = std::get_if<TruncateAfter>(&op)) {
          log_.erase(log_.upper_bound(cut->last_kept), log_.end());
        } else {
          disk_.snapshot = std::get<InstallSnapshot>(op).meta;
          log_.clear();
        }
      }
      Step(Persisted{batch.seq});
    }
  }
  Recovered Recover() const {
    Recovered found = disk_;
    found.applied = found.snapshot.last;
    found.log.clear();
    for (const auto& [index, entry] : log_) found.log.push_back(entry);
    return found;
  }
  void Apply() {
    if (!decided.empty()) Step(Applied{decided.back().index});
  }
  void Propose(const std::string& text) {
    Step(consensus::Propose{{options_.self, Incarnation(1), ProposalId(++proposals_)}, Bytes(text)});
  }
  void Change(const std::vector<std::uint64_t>& voters, const std::vector<std::uint64_t>& learners = {}) {
    Step(ChangeMembers{{options_.self, Incarnation(1), ProposalId(++proposals_)}, {Ids(voters), {}, Ids(learners)}});
  }
  void Forget() { sent.clear(); }

  // ---- What was sent
  template <class Kind>
  std::vector<std::pair<std::uint64_t, Kind>> All() const {
    std::vector<std::pair<std::uint64_t, Kind>> out;
    for (const Sent& one : sent) {
      if (const auto* body = std::get_if<Kind>(&one.message.body)) out.emplace_back(one.to.value, *body);
    }
    return out;
  }
  template <class Kind>
  std::vector<Kind> To(std::uint64_t to) const {
    std::vector<Kind> out;
    for (const auto& [peer, body] : All<Kind>()) {
      if (peer == to) out.push_back(body);
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
  template <class Kind>
  Kind Body(std::uint64_t to) const {
    const Sent* last = Last<Kind>(to);
    EXPECT_NE(last, nullptr) << "nothing of that kind was sent to " << to;
    return last == nullptr ? Kind() : std::get<Kind>(last->message.body);
  }
  Vote OwnVote() const { return All<Notification>().back().second.vote; }
  std::string Decided() const {
    std::string out;
    for (const Entry& entry : decided) {
      if (!out.empty()) out.append(" ");
      out.append(std::to_string(entry.index.value)).append("/").append(std::to_string(entry.ballot.number));
    }
    return out;
  }

  // ---- As one that looks for a leader, and as a follower
  void HearVote(std::uint64_t from, Vote vote, std::uint64_t round = 1) {
    Hear(from, 0, 0, Notification{State::kLooking, false, round, vote, {}});
  }
  void HearLeader(std::uint64_t from, bool established) {
    Hear(from, 0, 0, Notification{State::kLeading, established, 1, VoteFor(from, 0, {}), {}});
  }
  // Joins `leader`: the number of its session.
  std::uint64_t Follow(std::uint64_t leader) {
    HearLeader(leader, true);
    const Sent* cepoch = Last<CEpoch>(leader);
    EXPECT_NE(cepoch, nullptr);
    return cepoch == nullptr ? 0 : cepoch->message.session.value;
  }
  // And is synchronized, up to ACK-LD: its history gets `entries` added.
  std::uint64_t Join(std::uint64_t leader, std::uint64_t epoch, const std::vector<Entry>& entries,
                     bool secured = false) {
    const std::uint64_t session = Follow(leader);
    Hear(leader, epoch, session, NewEpoch{secured});
    Persist();
    const AckEpoch history = Body<AckEpoch>(leader);
    Zxid end{history.runs.back().generation, history.runs.back().last};
    if (!entries.empty()) {
      Hear(leader, epoch, session, Diff{end, entries});
      end = {GenerationOf(entries.back()), entries.back().index};
    }
    Hear(leader, epoch, session, NewLeader{end});
    Persist();
    EXPECT_NE(Last<AckLeader>(leader), nullptr);
    return session;
  }

  // ---- As leader
  // `friends` vote for it: it is about to lead.
  void Elect(const std::vector<std::uint64_t>& friends) {
    const Notification own = All<Notification>().back().second;
    for (const std::uint64_t one : friends) HearVote(one, own.vote, own.round);
    for (int limit = 20; limit > 0 && All<Notification>().back().second.state != State::kLeading; --limit) Ticks(1);
    EXPECT_EQ(All<Notification>().back().second.state, State::kLeading);
  }
  // And follow it, each in its session 1, with nothing in their logs: it is established. Gives the epoch.
  std::uint64_t Lead(const std::vector<std::uint64_t>& friends) {
    Elect(friends);
    for (const std::uint64_t one : friends) Hear(one, 0, 1, CEpoch{});
    Persist();
    const std::uint64_t epoch = Last<NewEpoch>(friends.front())->message.epoch.value;
    for (const std::uint64_t one : friends) Hear(one, epoch, 1, EmptyHistory());
    Persist();
    for (const std::uint64_t one : friends) Hear(one, epoch, 1, AckLeader{});
    EXPECT_TRUE(leadership.established);
    return epoch;
  }
  // One more follows it.
  void Welcome(std::uint64_t peer, std::uint64_t epoch, std::uint64_t session = 1) {
    Hear(peer, 0, session, CEpoch{});
    Hear(peer, epoch, session, EmptyHistory());
    Hear(peer, epoch, session, AckLeader{});
    EXPECT_NE(Last<UpToDate>(peer), nullptr);
  }
  void Acknowledge(const std::vector<std::uint64_t>& peers, std::uint64_t epoch, std::uint64_t upto) {
    for (const std::uint64_t peer : peers) Hear(peer, epoch, 1, Ack{LogIndex(upto)});
  }

  std::uint64_t heartbeat_ticks() const { return options_.heartbeat_ticks; }
  const Core& core() const { return *core_; }

  std::vector<Sent> sent;
  std::vector<WriteBatch> writes;
  std::vector<Entry> decided;
  std::vector<std::pair<ReadId, LogIndex>> reads;
  std::vector<ReadId> failed_reads;
  std::vector<Failed> failed;
  std::vector<SendSnapshot> send_snapshot;
  Leadership leadership;
  Membership membership;

 private:
  void Take() {
    while (core_->HasReady()) {
      Ready ready = core_->TakeReady();
      core_->CheckInvariants();
      for (const Outbound& out : ready.outbound) {
        sent.push_back({out.to, out.after, DecodeMessage(out.payload).value()});
      }
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
  Recovered disk_;
  std::map<LogIndex, Entry> log_;
  std::uint64_t proposals_ = 0;
};

}  // namespace quorate::consensus::zab
