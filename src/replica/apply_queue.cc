#include "replica/apply_queue.h"

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"

namespace quorate::replica {
namespace {

std::uint64_t SizeOf(const consensus::Entry& entry) {
  return entry.payload.size() + ApplyQueue::kEntryOverheadBytes;
}

}  // namespace

ApplyQueue::ApplyQueue(StateMachine& machine, LogIndex decided, std::function<void()> wake)
    : machine_(machine), wake_(std::move(wake)), decided_(decided), alive_(std::make_shared<const bool>(true)) {}

void ApplyQueue::Push(std::vector<consensus::Entry> entries) {
  for (consensus::Entry& entry : entries) {
    CHECK(entry.index == decided_.Next()) << "entry " << entry.index.value << " decided after " << decided_.value;
    decided_ = entry.index;
    if (!blocked_ && entry.index <= machine_.applied()) continue;
    bytes_ += SizeOf(entry);
    queue_.push_back(std::move(entry));
  }
}

bool ApplyQueue::Run(const Executed& executed) {
  const LogIndex before = machine_.applied();
  std::size_t count = 0;
  while (!queue_.empty()) {
    if (blocked_ && !QUORATE_BUG(replica_applies_while_installing)) break;
    if (count == kSliceEntries) {
      wake_();
      break;
    }
    if (!Prepared(queue_.front())) break;
    ++count;
    const consensus::Entry entry = std::move(queue_.front());
    bytes_ -= SizeOf(entry);
    queue_.pop_front();
    std::unique_ptr<Outcome> outcome = machine_.Apply(entry);
    CHECK(machine_.applied() == entry.index);
    executed(entry, std::move(outcome));
  }
  return machine_.applied() != before;
}

bool ApplyQueue::Prepared(const consensus::Entry& entry) {
  if (waiting_) return false;
  waiting_ = true;
  const bool ready =
      machine_.Prepare(entry, [this, generation = generation_, alive = std::weak_ptr<const bool>(alive_)] {
        if (alive.expired() || generation != generation_) return;
        waiting_ = false;
        wake_();
      });
  if (ready || QUORATE_BUG(replica_skips_prepare_wait)) {
    ++generation_;
    waiting_ = false;
    return true;
  }
  QUORATE_PROBE(replica_apply_waits_for_cold_data);
  return false;
}

void ApplyQueue::Block(LogIndex upto) {
  blocked_ = true;
  decided_ = std::max(decided_, upto);
  // The machine forgets what it had prepared when the installation begins.
  waiting_ = false;
  ++generation_;
  while (!queue_.empty() && queue_.front().index <= upto) PopFront();
}

void ApplyQueue::Unblock() {
  blocked_ = false;
  while (!queue_.empty() && queue_.front().index <= machine_.applied()) PopFront();
  if (!queue_.empty()) wake_();
}

void ApplyQueue::PopFront() {
  bytes_ -= SizeOf(queue_.front());
  queue_.pop_front();
}

}  // namespace quorate::replica
