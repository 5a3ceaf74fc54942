// Proposals: this member's clients' proposals from the call to the answer.
//
// Owned by Group. Thread rule: the executor's thread. A proposal is *waiting* (it entered no log and nobody was sent
// it) or *sent* (its outcome is unknown until it is met in the decided stream, refused by the receiver, or its leader
// is lost).
//
// Invariants:
//  1. `done` runs exactly once.
//  2. Every dispatch takes a fresh ProposalId, so a receiver may drop what is not above the last it saw from an origin:
//  a repeat.
//  3. Iteration is in id order: the simulator replays it.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "replica/group.h"
#include "replica/peer_message.h"

namespace quorate::replica {

struct WaitingProposal {
  std::string command;
  std::uint64_t deadline_ns = 0;
  std::function<void(ProposeResult)> done;
  std::optional<consensus::Membership> members = std::nullopt;  // a change of members, instead of a command
};

class Proposals {
 public:
  explicit Proposals(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // False: over the byte bound, `proposal` is left as it was.
  bool Admit(WaitingProposal& proposal);
  std::optional<WaitingProposal> NextWaiting();
  // Registers it as sent to `leader` and gives it an id. The command's bytes leave with the caller unless it keeps a
  // copy.
  ProposalId MarkSent(WaitingProposal proposal, ReplicaId leader);

  void Executed(ProposalId id, LogIndex index, std::unique_ptr<Outcome> outcome);
  // The receiver was certain that it entered no log: back to waiting, from `command` (kept until then).
  void Refused(ProposalId id);
  void Fail(ProposalId id, Fate fate);
  bool IsChange(ProposalId id) const;  // of members
  bool IsSentToAnother(ProposalId id, ReplicaId than) const;
  void FailAllSent(Fate fate);  // the leader they were sent to is gone
  void FailSentTo(ReplicaId leader, Fate fate);
  void Expire(std::uint64_t now_ns);

  std::size_t size() const { return waiting_.size() + sent_.size(); }
  std::uint64_t failures() const { return failures_; }
  bool has_waiting() const { return !waiting_.empty(); }

 private:
  struct Sent {
    WaitingProposal proposal;
    ReplicaId leader;
  };

  void Answer(WaitingProposal& proposal, Fate fate);

  const std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::uint64_t failures_ = 0;
  ProposalId last_id_;
  std::deque<WaitingProposal> waiting_;
  absl::btree_map<ProposalId, Sent> sent_;
};

// On the leader: what other members forwarded and may not enter the log yet. Whoever forwarded it has long answered its
// client when it has waited for longer than a request may take, so it is dropped then.
class HeldProposals {
 public:
  explicit HeldProposals(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  bool Add(ForwardedProposal proposal, std::uint64_t now_ns);  // false: over the byte bound
  std::optional<ForwardedProposal> Next();
  void Expire(std::uint64_t now_ns, std::uint64_t timeout_ns);
  bool empty() const { return held_.empty(); }

 private:
  struct Held {
    ForwardedProposal proposal;
    std::uint64_t since_ns = 0;
  };

  const std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::deque<Held> held_;
};

}  // namespace quorate::replica
