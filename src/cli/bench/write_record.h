// What became of every write of an availability run, and what can be concluded from it. Pure; thread rule: plain
// values. All times are nanoseconds of one monotonic clock.
#pragma once

#include <cstdint>
#include <vector>

namespace quorate::cli {

enum class WriteOutcome {
  kWaiting,    // not sent yet, or sent and not decided
  kAcked,      // the server said that it is written
  kFailed,     // the server said that it is not
  kUnknown,    // sent; whether it is written is not known
  kNeverSent,  // no connection took it in time
};

struct WriteRecord {
  std::uint64_t intended_ns = 0;
  std::uint64_t sent_ns = 0;  // 0 = not sent
  std::uint64_t done_ns = 0;
  WriteOutcome outcome = WriteOutcome::kWaiting;
  std::int64_t revision = 0;  // of an acked one
};

struct Gap {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::uint64_t length_ns() const { return end_ns - begin_ns; }
  friend bool operator==(const Gap&, const Gap&) = default;
};

// The stretches without an acknowledgement within [begin, end] that are at least `shortest_ns` long, in order. The time
// before the first and after the last counts too: a server that is gone at the end has a gap.
std::vector<Gap> FindGaps(const std::vector<WriteRecord>& writes, std::uint64_t begin_ns, std::uint64_t end_ns,
                          std::uint64_t shortest_ns);

// Acknowledged writes that share their revision with another; every write takes a revision of its own.
std::uint64_t CountReusedRevisions(const std::vector<WriteRecord>& writes);

// Acknowledged writes whose revision is not above that of a write that was acknowledged before they were sent.
std::uint64_t CountOrderViolations(const std::vector<WriteRecord>& writes);

}  // namespace quorate::cli
