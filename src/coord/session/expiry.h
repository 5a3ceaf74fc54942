// Expiry: on the leader, finds the sessions past their deadline and asks for their end in bounded commands.
//
// Owned by Machine. Thread rule: the owner's thread. Local to a member, not replicated: what it asks for goes through
// the log, where the deadline is checked again.
//
// A command may still be on its way, or lost. So while the first session past its deadline has been asked for, only
// later ones are, and every kRetryNs it is all of them again: also when others keep ending meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "coord/command.h"
#include "coord/session/sessions.h"

namespace quorate::coord {

class Expiry {
 public:
  static constexpr std::size_t kLeasesMax = 500;   // per command
  static constexpr std::size_t kKeysMax = 10'000;  // deleted by one command, unless one lease alone has more
  static constexpr std::size_t kCommandsMax = 4;   // per call
  static constexpr std::uint64_t kRetryNs = 3'000'000'000;

  // `now_ns` is cluster time.
  std::vector<Command> Due(const Sessions& sessions, std::uint64_t now_ns, std::uint64_t monotonic_ns);
  void Reset() { asked_ = {}; }  // leadership began

 private:
  Sessions::Deadline asked_;            // everything up to here was asked for
  std::uint64_t from_first_at_ns_ = 0;  // when all were asked for last
};

}  // namespace quorate::coord
