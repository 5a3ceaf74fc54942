// Explorer: walks every interleaving of a protocol's shipped core within a small scope, breadth first, and checks every
// state. No model of its own: the states are those of consensus::Core through Clone and Fingerprint.
//
// A global state is the replicas' local states, what is under way on each link, the history that the checks need, and
// what is left of the scope's budgets. The walk ends when no new state is left, at the first violation (with a shortest
// path to it), or at a stated depth or number of states. Used by `quorate sim explore` and by tests. Thread rule: one
// thread.
//
// Invariants:
//  1. Every state that is reached is checked once, and everything that can happen in it is tried, unless the walk was
//     cut short (Exploration::complete says which).
//  2. The same options give the same exploration.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "consensus/core.h"
#include "sim/checkers.h"
#include "sim/explore/event.h"
#include "sim/explore/history.h"
#include "sim/explore/local_states.h"
#include "sim/explore/queues.h"
#include "sim/explore/state_table.h"

namespace quorate::sim::explore {

constexpr std::uint64_t kUnlimited = 255;  // of Scope::waits

struct Scope {
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  std::uint64_t replicas = 3;
  std::uint64_t elections = 2;  // timeouts of replicas that do not lead
  std::uint64_t beats = 0;      // timeouts of leaders: heartbeats, and what else they do by themselves
  std::uint64_t proposals = 2;
  std::uint64_t reads = 0;
  std::uint64_t crashes = 0;
  std::uint64_t losses = 0;          // of a message; for protocols that need FIFO links, of a link
  std::uint64_t waits = kUnlimited;  // messages that come just before their receiver's deadline
  // Whose time may be up, and who may crash. Empty: anybody.
  std::set<std::uint64_t> electors;
  std::set<std::uint64_t> crashers;
  bool settled = false;         // begins when all that follows from the start, in one order, has arrived
  bool single_appends = false;  // no message holds more than one entry with a payload
  // Whether a batch's durability is an event of its own, so that anything may come between. Otherwise a batch is
  // durable at once, or, from a point on that may be anywhere before a crash, never.
  bool slow_disks = false;
  std::uint64_t depth_max = 0;     // 0: no limit
  std::uint64_t states_max = 0;    // 0: no limit
  std::uint64_t audit_every = 64;  // LocalStates, invariant 1; 0: never
  std::string bug;                 // in the `bugs` preset
};

struct Exploration {
  std::uint64_t states = 0;
  std::uint64_t transitions = 0;
  std::uint64_t depth = 0;         // events on the longest of the shortest paths
  std::uint64_t local_states = 0;  // of all replicas together
  std::uint64_t core_steps = 0;    // events that a core was stepped for; the others were looked up
  std::uint64_t messages = 0;
  std::uint64_t audited = 0;
  std::uint64_t memory_bytes = 0;  // of the process, at most
  std::uint64_t milliseconds = 0;
  bool complete = false;  // the frontier is empty
  std::optional<Violation> violation;
  std::vector<std::string> trace;  // the events that lead to the violation
};

// In this process: a CHECK ends it.
class Explorer {
 public:
  explicit Explorer(const Scope& scope);

  Exploration Run();
  // When a CHECK has failed inside Run: the exploration up to there.
  Exploration Aborted(std::string message);

 private:
  enum Budget : std::uint8_t { kElections, kBeats, kProposals, kReads, kCrashes, kLosses, kWaits, kBudgets };
  struct World {
    std::array<StateNumber, kReplicasMax> replicas{};
    std::array<QueueNumber, kReplicasMax * kReplicasMax> queues{};  // from * n + to
    std::uint32_t history = 0;
    std::array<std::uint8_t, kBudgets> left{};
    std::array<std::uint8_t, kReplicasMax * kReplicasMax> links{};  // of the smaller place * n + the larger: how many
  };
  using Packed = std::vector<std::uint32_t>;  // many worlds, one after the other

  // ---- explorer.cc
  World Begin();
  void Settle(World* world);
  bool Expand(const World& world, std::uint32_t parent);
  bool Try(const World& world, Event event, std::uint32_t parent);
  bool Violated(Violation violation);
  void Pack(const World& world, Packed* out) const;
  World Unpack(const std::uint32_t* packed) const;
  std::size_t packed_size() const;
  std::uint64_t HashOf(const World& world) const;
  std::vector<std::string> Trace(std::uint32_t parent, Event last);
  Exploration Report() const;

  // ---- world.cc: what can happen, and what it does
  void Enabled(const World& world, std::vector<Event>* out) const;
  void EnabledNext(const World& world, std::uint8_t place, std::vector<Event>* out) const;
  void EnabledAt(const World& world, std::uint8_t place, std::vector<Event>* out) const;
  void EnabledOnLink(const World& world, std::uint8_t from, std::uint8_t to, std::vector<Event>* out) const;
  // False: a violation, in `verdict`.
  bool Happen(Event event, World* world, Verdict* verdict);
  void Crash(std::uint8_t place, World* world, LocalEvent* event);
  MessageNumber ReplaceLink(std::uint8_t first, Incarnation firsts, std::uint8_t second, World* world);
  bool Apply(std::uint8_t place, const LocalEvent& event, World* world, Verdict* verdict);
  static bool May(const std::set<std::uint64_t>& who, std::uint8_t place);
  bool CheckDurability(const World& world, Verdict* verdict) const;
  std::uint32_t InternHistory(History history);
  QueueNumber& Queue(World* world, std::uint8_t from, std::uint8_t to) const;
  QueueNumber QueueOf(const World& world, std::uint8_t from, std::uint8_t to) const;
  std::uint8_t& Links(World* world, std::uint8_t a, std::uint8_t b) const;
  LinkId CurrentLink(const World& world, std::uint8_t a, std::uint8_t b) const;
  std::string What(const World& world, Event event) const;
  std::string Reaction(const World& before, const World& after, std::uint8_t place) const;

  const Scope scope_;
  const std::uint8_t replicas_;
  bool fifo_ = false;
  LocalStates locals_;
  Queues queues_;
  std::vector<History> histories_;
  std::unordered_map<std::uint64_t, std::uint32_t> history_of_;
  StateTable table_;
  Packed next_;  // the states of the next depth, in the table's order
  Exploration result_;
  bool redundant_ = false;                   // what has just happened leads nowhere that another event does not lead to
  std::pair<std::uint32_t, Event> current_;  // what is being tried, and where
  std::uint64_t began_ms_ = 0;
};

// In a process of its own: a CHECK is a violation like any other.
Exploration ExploreApart(const Scope& scope);

std::string Json(const Exploration& exploration);
std::string Summary(const Exploration& exploration);

}  // namespace quorate::sim::explore
