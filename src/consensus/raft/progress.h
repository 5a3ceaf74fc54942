// Progress: what a leader knows about one follower's log, and how much it may send there.
//
// Called by raft::Node while it leads; one thread. Three states:
//   probe      where the logs part is not known: one append at a time, then wait for its answer (or for a heartbeat
//              answer that shows it was lost).
//   replicate  the follower acknowledged something: appends are pipelined, `next` runs ahead of `match`
//   (thesis 10.2.1),
//              within a window of bytes and messages.
//   snapshot   it needs entries that the leader's log no longer has: nothing is appended until a snapshot has arrived
//              there (paper section 7), and a snapshot that failed is asked for again after a delay.
//
// Invariants:
//  1. match < next. In probe nothing above next was sent by this count; in replicate everything below next was.
//  2. match never falls: an acknowledged entry is durable at the follower, through its restarts too.
//  3. The window holds at most messages_max messages, and at most bytes_max bytes unless it holds one message only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>
#include <variant>

#include "base/ids.h"
#include "consensus/raft/messages.h"

namespace quorate::consensus::raft {

struct WindowLimits {
  std::uint64_t bytes_max = 0;
  std::uint64_t messages_max = 0;
};

// Appends sent and not yet acknowledged, oldest first.
class Window {
 public:
  bool Full(const WindowLimits& limits) const {
    return bytes_ >= limits.bytes_max || sent_.size() >= limits.messages_max;
  }
  void Sent(LogIndex last, std::uint64_t bytes);
  void AcknowledgedUpto(LogIndex match);
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t messages() const { return sent_.size(); }

 private:
  struct Append {
    LogIndex last;
    std::uint64_t bytes;
  };
  std::deque<Append> sent_;
  std::uint64_t bytes_ = 0;
};

struct Probe {
  bool waiting = false;  // one append is out
};
struct Replicate {
  Window window;
};
struct Snapshot {
  LogIndex needed;               // the follower has to get this far by the snapshot
  std::uint64_t wait_ticks = 0;  // after a failure, until the next try; 0 = the host is at it
};

class Progress {
 public:
  // A follower of whom nothing is known; its log is assumed to reach up to before `next`.
  explicit Progress(LogIndex next) : next_(next), sent_upto_(next.Prev()) {}

  LogIndex match() const { return match_; }
  LogIndex next() const { return next_; }
  LogIndex sent_upto() const { return sent_upto_; }
  bool probing() const { return std::holds_alternative<Probe>(state_); }
  bool replicating() const { return std::holds_alternative<Replicate>(state_); }
  bool in_snapshot() const { return std::holds_alternative<Snapshot>(state_); }
  std::uint64_t inflight_bytes() const { return replicating() ? std::get<Replicate>(state_).window.bytes() : 0; }
  std::uint64_t inflight_messages() const { return replicating() ? std::get<Replicate>(state_).window.messages() : 0; }

  // Whether an append should go out now, given the end of the leader's log.
  bool WantsAppend(LogIndex log_last, const WindowLimits& limits) const;
  // An append of (next - 1, last] with `bytes` of payload went out, carrying `commit`.
  void OnAppendSent(LogIndex last, std::uint64_t bytes, LogIndex commit);

  // The follower holds everything up to `match` durably. True when that is news.
  bool OnAcknowledged(LogIndex match);
  // The follower has no match at `prev`; `retry` is the highest place where one is still possible. A stale answer
  // changes nothing.
  void OnRejected(LogIndex prev, LogIndex retry);
  // A heartbeat's answer: of what was sent up to `sent_upto` before it, only `verified` had arrived.
  void OnHeartbeatAnswered(LogIndex sent_upto, LogIndex verified);
  // Messages in flight may be lost, or forgotten by a restart: nothing optimistic holds any more.
  void OnLinkDown();
  void OnLinkUp();

  // Whether a snapshot should go out now, given where the leader's log starts: once something was heard on the present
  // link, so that nothing big is sent to nobody, and a link that flaps delays the next try.
  bool WantsSnapshot(LogIndex snapshot_last) const;
  // The follower cannot go on without a snapshot that reaches `needed`.
  void OnSnapshotAsked(LogIndex needed);
  // It has one that ends at `last`.
  void OnSnapshotDelivered(LogIndex last);
  // It was not delivered; the next try comes after `wait_ticks`.
  void OnSnapshotFailed(std::uint64_t wait_ticks);
  void Tick();
  std::uint64_t wait_ticks() const { return in_snapshot() ? std::get<Snapshot>(state_).wait_ticks : 0; }

  // The commit index that the follower has been told with a check that it holds the entries.
  LogIndex commit_told() const { return commit_told_; }
  void OnCommitTold(LogIndex commit) { commit_told_ = std::max(commit_told_, commit); }

  // Check-quorum: heard from since the last call of TakeActive.
  void MarkActive() { active_ = heard_on_link_ = true; }
  bool TakeActive() { return std::exchange(active_, false); }
  bool active() const { return active_; }

  ReadRound confirmed() const { return confirmed_; }
  void OnConfirmed(ReadRound round) { confirmed_ = std::max(confirmed_, round); }
  void ForgetConfirmed() { confirmed_ = ReadRound(); }

  std::uint64_t Hash() const;
  void CheckInvariants(LogIndex log_last, const WindowLimits& limits) const;

 private:
  void Restart(LogIndex next);

  LogIndex match_;
  LogIndex next_;
  LogIndex sent_upto_;  // end of the latest append, in probe too
  std::variant<Probe, Replicate, Snapshot> state_;
  LogIndex commit_told_;
  bool active_ = false;
  bool heard_on_link_ = false;
  ReadRound confirmed_;  // the latest round of this term that the follower answered
};

}  // namespace quorate::consensus::raft
