// Session: what a leader knows of one follower or learner while that follows it (ZooKeeper's LearnerHandler).
//
// Owned by zab::Leading. A session is one CEPOCH and what follows it on one link; a new CEPOCH, or the link's end, ends
// it with all that was known. So nothing of one session counts in the next (ZOOKEEPER-4712).
//
// Invariants:
//  1. Stages only rise, but for a new epoch in discovery, which takes the promises back.
//  2. What is sent is one stream without gaps: DIFF from the common point, NEWLEADER, then PROPOSE or INFORM from the
//     entry after it; next() is the first entry that was not sent (ZOOKEEPER-4925, -4785).
//  3. match() is 0 before ACK-LD; it never exceeds what was sent.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/ids.h"
#include "consensus/core.h"
#include "consensus/zab/messages.h"

namespace quorate::consensus::zab {

struct WindowLimits {
  std::uint64_t bytes_max = 0;
  std::uint64_t messages_max = 0;
};

// Sent and not yet acknowledged.
class Window {
 public:
  bool Full(const WindowLimits& limits) const {
    return sent_.size() >= limits.messages_max || bytes_ >= limits.bytes_max;
  }
  void Sent(LogIndex last, std::uint64_t bytes) {
    sent_.push_back({last, bytes});
    bytes_ += bytes;
  }
  void AcknowledgedUpto(LogIndex upto) {
    while (!sent_.empty() && sent_.front().last <= upto) {
      bytes_ -= sent_.front().bytes;
      sent_.pop_front();
    }
  }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t messages() const { return sent_.size(); }

 private:
  struct Part {
    LogIndex last;
    std::uint64_t bytes = 0;
  };
  std::deque<Part> sent_;
  std::uint64_t bytes_ = 0;
};

enum class Stage : std::uint8_t {
  kJoined,     // CEPOCH has come
  kPromising,  // NEWEPOCH was sent
  kPromised,   // ACK-E has come
  kSyncing,    // TRUNC, SNAP, DIFF are being sent
  kSynced,     // NEWLEADER was sent, PROPOSE may follow
  kAcked,      // ACK-LD has come
  kActive,     // UPTODATE was sent
};

struct Shipment {                // a snapshot on its way
  std::uint64_t wait_ticks = 0;  // it failed; asked for again then
};

struct Session {
  LinkId link;
  SessionNumber number;
  Stage stage = Stage::kJoined;
  Ballot accepted;   // what CEPOCH said
  AckEpoch history;  // from ACK-E until the synchronization begins
  LogIndex next;
  LogIndex accepted_upto;  // NEWLEADER's end
  LogIndex match;
  LogIndex commit_told;
  Window window;
  std::optional<Shipment> shipment;
  ReadRound confirmed;
  bool heard = false;  // since the last check of the quorum

  bool syncing() const { return stage == Stage::kSyncing; }
  bool streaming() const { return stage >= Stage::kSyncing && !shipment; }
};

}  // namespace quorate::consensus::zab
