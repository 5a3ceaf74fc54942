// LocalStates: every state that one replica was ever seen in, each kept once, and what each event leads to from there.
//
// Thousands of global states share one local state, so a core is stepped once for each pair of local state and event,
// and the walk over global states is table look-ups. Used by explore::Explorer. Thread rule: one thread.
//
// Invariants:
//  1. Two replicas with one Replica::Fingerprint count as one state, whose first instance stands for all. That they
//     behave alike is Core::Fingerprint's contract, and it is tested: every `audit_every`-th time that a state is
//     reached anew, all events known from it are tried on the new instance as well, and must lead where they led.
//  2. Numbers given out (of states, messages, outcomes) never change.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"
#include "sim/explore/event.h"
#include "sim/explore/replica.h"

namespace quorate::sim::explore {

using StateNumber = std::uint32_t;
using MessageNumber = std::uint32_t;
using OutcomeNumber = std::uint32_t;

// What travels in a link's queue: a core's message, or the news that the link was replaced.
struct Message {
  Bytes payload;
  LinkId new_link;  // 0: a core's message
  Incarnation new_incarnation;
  bool is_reset() const { return static_cast<bool>(new_link); }
};

// An event at one replica, with all that it depends on besides the replica's state.
struct LocalEvent {
  EventKind kind = EventKind::kDeliver;
  std::uint8_t peer = 0;      // of kDeliver
  std::uint32_t subject = 0;  // kDeliver: the message; kRead: which; kCrash: the sessions that it finds
  std::uint64_t Key() const {
    return static_cast<std::uint64_t>(kind) << 56 | static_cast<std::uint64_t>(peer) << 32 | subject;
  }
};

struct Effects {  // what the history has to know
  std::vector<consensus::Entry> decided;
  std::vector<consensus::Leadership> leaderships;
  std::vector<std::pair<ReadId, LogIndex>> reads;
  std::string broken;
};

struct LocalOutcome {
  StateNumber next = 0;
  std::vector<std::pair<std::uint8_t, MessageNumber>> sent;  // to which place
  std::unique_ptr<Effects> effects;                          // null: none
  bool redundant = false;                                    // see LocalStates::IsRedundant
};

struct LocalState {
  std::unique_ptr<const Replica> replica;
  std::vector<std::uint64_t> durable;  // DecisionHash of the log on the disk, by index from 1; 0: a hole
  bool can_persist = false;
  bool doomed = false;
  bool has_pending = false;
  bool has_deadline = false;
  bool can_be_late = false;
  bool leads = false;
  bool may_propose = false;
};

// What a replica that starts finds: its links, and who is at the other ends.
struct Sessions {
  std::map<ReplicaId, LinkId> links;
  std::map<ReplicaId, Incarnation> peers;
};

class LocalStates {
 public:
  // 0: nothing is audited.
  explicit LocalStates(std::uint64_t audit_every);

  StateNumber Intern(std::unique_ptr<const Replica> replica);
  MessageNumber InternMessage(Message message);
  // What `event` does at `state`. The reference is good until the next call.
  const LocalOutcome& Apply(StateNumber state, const LocalEvent& event);
  // What led to `replica`, as an outcome.
  LocalOutcome OutcomeOf(std::unique_ptr<const Replica> replica, Outputs outputs);
  std::uint32_t InternSessions(const Sessions& sessions);

  const LocalState& at(StateNumber state) const { return states_[state]; }
  const Message& message(MessageNumber message) const { return messages_[message]; }
  std::uint64_t states() const { return states_.size(); }
  std::uint64_t messages() const { return messages_.size(); }
  std::uint64_t steps() const { return outcomes_.size(); }
  std::uint64_t audited() const { return audited_; }
  // Two states of one fingerprint behaved differently; empty: none did.
  const std::string& audit_failure() const { return audit_failure_; }

 private:
  struct KeyHash {
    std::size_t operator()(const std::pair<StateNumber, std::uint64_t>& key) const noexcept;
  };

  Outputs Run(Replica& replica, const LocalEvent& event) const;
  // Whether `late`, the outcome of kDeliverLate, is what comes of kDeliver and the same wait after it: then all that
  // can happen from there also happens from the outcome of kDeliver, with the wait before the next message instead.
  // (Nothing but messages and ticks depends on how long a core has waited.)
  bool IsRedundant(StateNumber state, const LocalEvent& event, const LocalOutcome& late);
  void Audit(StateNumber state, const Replica& twin);

  const std::uint64_t audit_every_;
  std::vector<LocalState> states_;
  std::vector<std::vector<std::pair<LocalEvent, OutcomeNumber>>> known_;  // events tried, per state
  std::vector<Message> messages_;
  std::vector<LocalOutcome> outcomes_;
  std::vector<Sessions> sessions_;
  std::unordered_map<std::uint64_t, StateNumber> state_of_;
  std::unordered_map<std::string, MessageNumber> message_of_;
  std::unordered_map<std::string, std::uint32_t> sessions_of_;
  std::unordered_map<std::pair<StateNumber, std::uint64_t>, OutcomeNumber, KeyHash> outcome_of_;
  std::uint64_t merged_ = 0;
  std::uint64_t audited_ = 0;
  std::string audit_failure_;
};

}  // namespace quorate::sim::explore
