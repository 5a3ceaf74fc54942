// Progress: what a leader knows about one other replica's slots, and how much it may send there.
//
// Called by paxos::Node while it leads; one thread. A replica is sent everything from where it stands, in slot order:
// chosen values, then what is open. Three states:
//   unknown    where it stands is not known: the next heartbeat's answer says.
//   replicate  messages are pipelined, `next` runs ahead of `match`, within a window of bytes and messages.
//   snapshot   it needs values that the leader's log no longer has: nothing is sent until a snapshot has arrived there,
//              and a snapshot that failed is asked for again after a delay.
//
// Invariants:
//  1. match < next. While replicating, everything below next was sent or is there.
//  2. match falls only when the replica has restarted and says so: what it had learned by a notice, with a value
//     accepted in an old ballot, it may not know to be chosen any more.
//  3. The window holds at most messages_max messages, and at most bytes_max bytes unless it holds one message only.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <variant>

#include "base/ids.h"
#include "consensus/paxos/messages.h"

namespace quorate::consensus::paxos {

struct WindowLimits {
  std::uint64_t bytes_max = 0;
  std::uint64_t messages_max = 0;
};

class Progress {
 public:
  LogIndex match() const { return match_; }
  LogIndex next() const { return next_; }
  LogIndex sent() const { return next_.Prev(); }
  bool replicating() const { return std::holds_alternative<Replicate>(state_); }
  bool in_snapshot() const { return std::holds_alternative<Snapshot>(state_); }
  bool MaySend(const WindowLimits& limits) const;
  void OnSent(LogIndex last, std::uint64_t bytes, LogIndex chosen);

  // Everything up to `match` is there, durably.
  void OnMatch(LogIndex match);
  // A heartbeat's answer: after everything up to `reply.sent`, the replica held `reply.held`.
  void OnPosition(const HeartbeatReply& reply);
  // It said in phase 1 that it knows all slots up to `chosen` to be chosen.
  void StandsAt(LogIndex chosen) { Restart(chosen); }
  void OnLinkChanged() { state_ = Unknown{}; }

  bool WantsSnapshot(LogIndex log_start) const { return replicating() && next_ <= log_start; }
  void OnSnapshotAsked(LogIndex needed);
  void OnSnapshotDelivered(LogIndex last);
  void OnSnapshotFailed(std::uint64_t wait_ticks);
  void Tick();
  std::uint64_t wait_ticks() const { return in_snapshot() ? std::get<Snapshot>(state_).wait_ticks : 0; }

  // How far it was told that slots are chosen which it holds.
  LogIndex told() const { return told_; }
  void OnTold(LogIndex chosen);

  LogIndex known() const { return known_; }  // it durably knows all slots up to here to be chosen
  void OnKnown(LogIndex known);

  void MarkActive() { active_ = true; }  // heard from since the last call of TakeActive
  bool TakeActive() { return std::exchange(active_, false); }

  ReadRound confirmed() const { return confirmed_; }
  void OnConfirmed(ReadRound round);
  ReadRound lent() const { return lent_; }  // the latest round that it answered with a lease
  void OnLent(ReadRound round);

  // ---- A replica that is no member any more, until it has been told so
  bool leaving() const { return leave_ticks_ > 0; }
  void Leave(std::uint64_t ticks) { leave_ticks_ = leave_ticks_ > 0 ? leave_ticks_ : ticks; }
  void Stay() { leave_ticks_ = 0; }
  bool TickLeaving() { return leave_ticks_ > 0 && --leave_ticks_ == 0; }  // true: its time is over

  std::uint64_t Hash() const;
  void CheckInvariants(LogIndex last, const WindowLimits& limits) const;

 private:
  struct Unknown {};
  struct Message {
    LogIndex last;
    std::uint64_t bytes;
  };
  struct Replicate {
    std::deque<Message> window;  // sent and not acknowledged, oldest first
    std::uint64_t bytes = 0;
  };
  struct Snapshot {
    LogIndex needed;
    std::uint64_t wait_ticks = 0;  // after a failure, until the next try; 0 = the host is at it
  };

  void Restart(LogIndex held);

  LogIndex match_;
  LogIndex next_{1};
  std::variant<Unknown, Replicate, Snapshot> state_;
  LogIndex told_;
  LogIndex known_;
  bool active_ = false;
  ReadRound confirmed_;
  ReadRound lent_;
  std::uint64_t leave_ticks_ = 0;
};

}  // namespace quorate::consensus::paxos
