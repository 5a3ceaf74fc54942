// ApplyQueue: decided entries from the core to the state machine.
//
// Owned by Driver. Thread rule: the executor's thread. An entry whose data is not in memory waits for
// StateMachine::Prepare, and with it all behind it; consensus goes on meanwhile. While a snapshot replaces the state
// nothing is executed, and what the snapshot covers is dropped.
//
// Invariants:
//  1. Entries are executed in index order, each once, and only when Prepare said so.
//  2. Nothing is executed while blocked.
//  3. A turn executes at most kSliceEntries, so that a long replay does not keep heartbeats waiting.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "replica/state_machine.h"

namespace quorate::replica {

class ApplyQueue {
 public:
  static constexpr std::size_t kSliceEntries = 2'000;
  static constexpr std::uint64_t kEntryOverheadBytes = 96;

  using Executed = std::function<void(const consensus::Entry& entry, std::unique_ptr<Outcome> outcome)>;

  // `decided`: the last entry that the core takes for executed. `wake` asks for another Run, later.
  ApplyQueue(StateMachine& machine, LogIndex decided, std::function<void()> wake);

  // REQUIRES that they follow decided(); those that the machine covers already are passed over.
  void Push(std::vector<consensus::Entry> entries);
  // Returns whether the machine moved.
  bool Run(const Executed& executed);

  // A snapshot up to `upto` is to replace the state.
  void Block(LogIndex upto);
  void Unblock();
  bool blocked() const { return blocked_; }

  LogIndex decided() const { return decided_; }
  std::uint64_t bytes() const { return bytes_; }
  std::size_t entries() const { return queue_.size(); }

 private:
  bool Prepared(const consensus::Entry& entry);
  void PopFront();

  StateMachine& machine_;
  const std::function<void()> wake_;
  std::deque<consensus::Entry> queue_;
  std::uint64_t bytes_ = 0;
  LogIndex decided_;
  bool blocked_ = false;
  bool waiting_ = false;          // for Prepare's call
  std::uint64_t generation_ = 0;  // calls of Prepare for entries that were dropped since are told by it
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::replica
