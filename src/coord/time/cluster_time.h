// ClusterTime: the time that all members agree on. It advances by the leader's monotonic clock, is stamped into
// commands, and apply takes the maximum of what it saw.
//
// Owned by Machine. Thread rule: the owner's thread. Nanoseconds since the cluster's first command; no calendar.
//
// Invariants:
//  1. applied() never falls and is a function of the applied entries alone (kTime holds it).
//  2. Between two moments it advances by no more than real time does: a new leader starts from the last stamp applied,
//     and what passed between the leaders is not counted. So a deadline may come late, by the length of a leader
//     change, but never early.
//  3. A stamp of a former leader that comes behind one of a later leader says nothing. The former leader counts what
//     passed between the two, and what was renewed under the later one would end early by that (Paxos alone has such
//     commands; there they carry their leader).
#pragma once

#include <cstdint>
#include <string_view>

#include "consensus/core.h"
#include "coord/tables.h"

namespace quorate::coord {

class ClusterTime {
 public:
  static constexpr std::string_view kLeaderKey = "cluster_time_leader";  // in kTime; of one cluster, not for its copies

  explicit ClusterTime(Tables& tables);  // reads kTime

  // An entry with this stamp is being applied. A stamp of 0 says nothing. `leader` is zero where order needs none.
  void Apply(std::uint64_t stamp_ns, consensus::Ballot leader);
  std::uint64_t applied() const { return applied_ns_; }
  // The newest time known here: on the leader, its last stamp may be ahead of what was applied.
  std::uint64_t known() const;

  // A leader's clock runs from here on, a follower's stands.
  void OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns);
  bool leads() const { return leads_; }
  // The state that this is part of takes the place of `former`'s: whoever leads goes on leading, by the same clock.
  void GoOnAs(const ClusterTime& former);
  // What a stamp made now would say. Not advancing where this member does not lead.
  std::uint64_t Project(std::uint64_t monotonic_ns) const;
  std::uint64_t Stamp(std::uint64_t monotonic_ns);
  // What a stamp says of its leader.
  consensus::Ballot stamps_as() const { return stamps_as_; }
  std::uint64_t last_stamp_monotonic_ns() const { return base_monotonic_ns_; }

 private:
  Tables& tables_;
  std::uint64_t applied_ns_ = 0;
  consensus::Ballot newest_;  // of those whose stamps were applied (kTime holds it, too)
  bool leads_ = false;
  consensus::Ballot stamps_as_;
  // The leader's clock: base_ns_ of cluster time was at base_monotonic_ns_ of its own.
  std::uint64_t base_ns_ = 0;
  std::uint64_t base_monotonic_ns_ = 0;
};

}  // namespace quorate::coord
