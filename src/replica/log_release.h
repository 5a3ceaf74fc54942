// LogRelease: how much of a group's log may go, and how much stays for members that are behind.
//
// Owned by Group. Plain arithmetic, no thread rule. Knows sizes by marks, one for about an eighth of a release step, so
// it is told only of decided entries, whose sizes never change.
//
// The rule: never above the flushed index (a crash takes what is above it from the keyspace, and only the log has it
// then). Below it, a start reads nothing again; but for members that are behind, the last keep_always bytes stay, and
// what the slowest live follower has not got as long as that is not more than `keep` bytes. A follower that needs more
// gets a snapshot. What follows that snapshot stays while it is being sent, or it would be of no use when it arrives
// and the follower would never catch up under load: up to `keep` bytes and as many as the snapshot has, which is
// enough when it travels no slower than new entries are written.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/ids.h"
#include "replica/snapshots.h"

namespace quorate::replica {

struct LogReleaseOptions {
  std::uint64_t keep_bytes = 0;
  std::uint64_t keep_always_bytes = 0;
  std::uint64_t step_bytes = 0;
};

class LogRelease {
 public:
  struct Point {
    LogIndex covered;    // the flushed state covers the log up to here
    LogIndex keep_from;  // entries from here on stay for members that are behind; at most covered + 1
  };

  explicit LogRelease(LogReleaseOptions options);

  void Note(LogIndex index, std::uint64_t bytes);  // the next decided entry
  void Restart(LogIndex start);  // the log begins after `start`: recovered, or a snapshot's installation
  // Whether it may be worth asking Decide.
  bool Worth(LogIndex flushed) const;
  // What may go now; the caller lets it go. `slowest`: the least that a live follower has.
  std::optional<Point> Decide(LogIndex flushed, std::optional<LogIndex> slowest,
                              std::optional<SnapshotsUnderWay> sending);
  LogIndex start() const { return start_; }  // the last entry that is gone for members that are behind

 private:
  struct Mark {
    LogIndex index;
    std::uint64_t upto = 0;  // bytes noted up to and with it
  };

  // The highest mark above which at least `kept` bytes lie.
  LogIndex Keeping(std::uint64_t kept) const;
  Mark AtOrBelow(LogIndex index) const;  // or the start
  bool IsStep(std::uint64_t from, std::uint64_t to) const { return to > from && to - from >= options_.step_bytes; }

  const LogReleaseOptions options_;
  std::deque<Mark> marks_;  // above start_, ascending
  LogIndex start_;
  std::uint64_t total_ = 0;     // bytes noted
  std::uint64_t released_ = 0;  // of them, up to start_
  std::uint64_t covered_ = 0;   // of them, in the last Point
};

}  // namespace quorate::replica
