// Quorums: how many acceptors a phase takes, and whether a set of them is one (Howard, Malkhi and Spiegelman,
// "Flexible Paxos", section 3: only a phase 1 quorum and a phase 2 quorum must share an acceptor).
//
// Used by paxos::Node and its parts. Plain values, no thread rule.
//
// Invariants:
//  1. Whoever takes part has the same Parameters: every message carries them, and the hard state keeps them.
//  2. For every configuration that is ever proposed, phase 1 size + phase 2 size > number of acceptors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bug.h"
#include "base/ids.h"

namespace quorate::consensus::paxos {

// What all members must agree on for ever. A quorum size of 0 is a majority.
struct Parameters {
  std::uint64_t alpha = 0;
  std::uint64_t phase1_quorum = 0;
  std::uint64_t phase2_quorum = 0;
  friend bool operator==(const Parameters&, const Parameters&) = default;
};

// The acceptors of one slot. `also` is a second set of which every quorum needs its own share: used where a member does
// not know which of the two is the slot's (configurations.h). Both are sorted.
struct Electorate {
  std::vector<ReplicaId> acceptors;
  std::vector<ReplicaId> also;
  bool Contains(ReplicaId replica) const {
    return std::binary_search(acceptors.begin(), acceptors.end(), replica) ||
           std::binary_search(also.begin(), also.end(), replica);
  }
  friend bool operator==(const Electorate&, const Electorate&) = default;
};

class Quorums {
 public:
  explicit Quorums(const Parameters& parameters) : parameters_(parameters) {}

  std::size_t Phase1Size(std::size_t acceptors) const {
    if (QUORATE_BUG(paxos_quorums_do_not_intersect) && acceptors > 2) return acceptors / 2;
    return parameters_.phase1_quorum == 0 ? Majority(acceptors) : parameters_.phase1_quorum;
  }
  std::size_t Phase2Size(std::size_t acceptors) const {
    return parameters_.phase2_quorum == 0 ? Majority(acceptors) : parameters_.phase2_quorum;
  }
  // Every phase 1 quorum of this many acceptors meets every phase 2 quorum, and both exist.
  bool Intersect(std::size_t acceptors) const {
    const std::size_t phase1 = parameters_.phase1_quorum == 0 ? Majority(acceptors) : parameters_.phase1_quorum;
    const std::size_t phase2 = Phase2Size(acceptors);
    return acceptors > 0 && phase1 <= acceptors && phase2 <= acceptors && phase1 + phase2 > acceptors;
  }

  template <class In>
  bool IsPhase1(const Electorate& electorate, const In& in) const {
    return Both(electorate, in, [this](std::size_t n) { return Phase1Size(n); });
  }
  template <class In>
  bool IsPhase2(const Electorate& electorate, const In& in) const {
    return Both(electorate, in, [this](std::size_t n) { return Phase2Size(n); });
  }
  // Enough to lead with: a leader needs both phases, so who asks for less would only disturb.
  template <class In>
  bool IsEnoughToLead(const Electorate& electorate, const In& in) const {
    return IsPhase1(electorate, in) && IsPhase2(electorate, in);
  }
  // The largest value that a phase 2 quorum has reached; reached(replica) implies all smaller ones.
  template <class Value, class Reached>
  Value AgreedByPhase2(const Electorate& electorate, const Reached& reached) const {
    const Value first = Agreed<Value>(electorate.acceptors, reached);
    return electorate.also.empty() ? first : std::min(first, Agreed<Value>(electorate.also, reached));
  }

 private:
  static std::size_t Majority(std::size_t acceptors) { return acceptors / 2 + 1; }

  template <class In, class Size>
  static bool Half(const std::vector<ReplicaId>& acceptors, const In& in, const Size& size) {
    const auto count = static_cast<std::size_t>(std::count_if(acceptors.begin(), acceptors.end(), in));
    return !acceptors.empty() && count >= size(acceptors.size());
  }
  template <class In, class Size>
  static bool Both(const Electorate& electorate, const In& in, const Size& size) {
    return Half(electorate.acceptors, in, size) && (electorate.also.empty() || Half(electorate.also, in, size));
  }
  template <class Value, class Reached>
  Value Agreed(const std::vector<ReplicaId>& acceptors, const Reached& reached) const {
    const std::size_t size = Phase2Size(acceptors.size());
    if (size == 0 || size > acceptors.size()) return Value{};
    std::vector<Value> values;
    for (const ReplicaId acceptor : acceptors) values.push_back(reached(acceptor));
    std::sort(values.rbegin(), values.rend());
    return values[size - 1];
  }

  Parameters parameters_;
};

}  // namespace quorate::consensus::paxos
