// Queues: what is under way on each link, oldest first. Every sequence that ever occurs is kept once and has a number;
// 0 is the empty one. Used by explore::Explorer. Thread rule: one thread.
//
// Invariant: a queue holds at most one reset (the news that the link was replaced), and what is behind it was sent on
// the new link.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "sim/explore/local_states.h"

namespace quorate::sim::explore {

using QueueNumber = std::uint32_t;

class Queues {
 public:
  Queues();

  QueueNumber Push(QueueNumber queue, MessageNumber message);
  // REQUIRES that it is not empty.
  QueueNumber Pop(QueueNumber queue);
  MessageNumber Front(QueueNumber queue) const { return contents_[queue].messages.front(); }
  bool empty(QueueNumber queue) const { return contents_[queue].messages.empty(); }
  // The link breaks and another takes its place, of which `reset` tells. What the former reset was to tell of, and what
  // is behind it, its receiver never gets to see.
  QueueNumber Reset(QueueNumber queue, MessageNumber reset);
  bool has_reset(QueueNumber queue) const { return contents_[queue].reset_at.has_value(); }
  bool reset_is_behind(QueueNumber queue) const { return has_reset(queue) && *contents_[queue].reset_at > 0; }
  // Without what is before the reset. REQUIRES has_reset().
  QueueNumber DropBeforeReset(QueueNumber queue);

  const std::vector<MessageNumber>& messages(QueueNumber queue) const { return contents_[queue].messages; }
  std::uint64_t size() const { return contents_.size(); }

 private:
  struct Content {
    std::vector<MessageNumber> messages;
    std::optional<std::size_t> reset_at;
    std::optional<QueueNumber> popped;
  };
  struct ContentHash {
    std::size_t operator()(const std::vector<MessageNumber>& messages) const noexcept;
  };

  QueueNumber Intern(std::vector<MessageNumber> messages, std::optional<std::size_t> reset_at);

  std::vector<Content> contents_;
  std::unordered_map<std::vector<MessageNumber>, QueueNumber, ContentHash> numbers_;
  std::unordered_map<std::uint64_t, QueueNumber> pushed_;  // by (queue, message)
};

}  // namespace quorate::sim::explore
