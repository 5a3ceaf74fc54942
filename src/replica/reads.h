// Reads: this member's read barriers from the call to the answer.
//
// Owned by Group. Thread rule: the executor's thread. Barriers that are asked for in one turn of the loop, or while
// kRoundsMax rounds are under way, share one ReadId: a round that begins after all of them confirms all of them.
//
// Invariants:
//  1. `done` runs exactly once.
//  2. No ReadId is used twice, also not for asking again after a failure (etcd #20418 served stale reads that way).
//  3. A barrier is answered only from a round that began after it was asked for.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "replica/group.h"

namespace quorate::replica {

class Reads {
 public:
  static constexpr std::size_t kRoundsMax = 4;
  static constexpr std::uint64_t kRoundTimeoutNs = 500'000'000;  // its messages were lost with a link

  void Add(std::uint64_t deadline_ns, std::function<void(Fate)> done);
  // The id of a new round over everything that waits for one; empty when there is nothing, or too many rounds are under
  // way.
  std::optional<ReadId> BeginRound(std::uint64_t now_ns);
  void Ready(ReadId id, LogIndex index);  // the round is confirmed: serve at `index`
  void Failed(ReadId id);                 // the round confirmed nothing: its barriers wait for another one
  void ServeUpTo(LogIndex applied);
  void FailAll(Fate fate);
  // Answers what is past its deadline; a round without an answer for kRoundTimeoutNs is given up and asked for anew.
  void Expire(std::uint64_t now_ns, bool leader_known);

 private:
  struct Barrier {
    std::uint64_t deadline_ns = 0;
    std::function<void(Fate)> done;
  };
  using Barriers = std::vector<Barrier>;
  struct Round {
    std::uint64_t began_ns = 0;
    Barriers barriers;
  };

  static void TakeLate(Barriers& from, std::uint64_t now_ns, Barriers* late);

  ReadId last_id_;
  Barriers waiting_;                               // for a round
  absl::btree_map<ReadId, Round> rounds_;          // under way
  absl::btree_map<LogIndex, Barriers> confirmed_;  // waiting for the applied index
};

}  // namespace quorate::replica
