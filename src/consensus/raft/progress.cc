#include "consensus/raft/progress.h"

#include <algorithm>

#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus::raft {

void Window::Sent(LogIndex last, std::uint64_t bytes) {
  sent_.push_back({last, bytes});
  bytes_ += bytes;
}

void Window::AcknowledgedUpto(LogIndex match) {
  while (!sent_.empty() && sent_.front().last <= match) {
    bytes_ -= sent_.front().bytes;
    sent_.pop_front();
  }
}

bool Progress::WantsAppend(LogIndex log_last, const WindowLimits& limits) const {
  if (const auto* probe = std::get_if<Probe>(&state_)) return !probe->waiting;
  const auto* replicate = std::get_if<Replicate>(&state_);
  return replicate != nullptr && next_ <= log_last && !replicate->window.Full(limits);
}

void Progress::OnAppendSent(LogIndex last, std::uint64_t bytes, LogIndex commit) {
  sent_upto_ = last;
  if (auto* probe = std::get_if<Probe>(&state_)) {
    probe->waiting = true;
    return;
  }
  std::get<Replicate>(state_).window.Sent(last, bytes);
  next_ = last.Next();
  OnCommitTold(std::min(commit, last));
}

bool Progress::OnAcknowledged(LogIndex match) {
  if (auto* replicate = std::get_if<Replicate>(&state_)) {
    replicate->window.AcknowledgedUpto(match);
  } else if (const auto* snapshot = std::get_if<Snapshot>(&state_); snapshot != nullptr && match < snapshot->needed) {
    // The end of a pipeline that was given up: it counts, and changes nothing.
  } else if (match >= next_.Prev()) {
    // The probe, or something sent before it, matched: from here on the pipeline may run.
    state_ = Replicate{};
    next_ = match.Next();
    sent_upto_ = match;
  }
  next_ = std::max(next_, match.Next());
  sent_upto_ = std::max(sent_upto_, match);
  if (match <= match_) return false;
  match_ = match;
  return true;
}

void Progress::OnRejected(LogIndex prev, LogIndex retry) {
  if (in_snapshot()) return;                      // of an append before it
  if (prev <= match_) return;                     // overtaken by an acknowledgement
  if (probing() && prev != next_.Prev()) return;  // the answer to an earlier probe
  if (replicating() && prev >= next_) return;     // never sent since the last restart
  Restart(std::max(match_, std::min(retry, prev.Prev())).Next());
}

void Progress::OnHeartbeatAnswered(LogIndex sent_upto, LogIndex verified) {
  if (verified >= sent_upto) return;
  // With frames in order, the heartbeat was sent after the appends up to sent_upto, so they are lost. If frames were
  // reordered instead, they are sent once more than needed.
  if (probing()) {
    state_ = Probe{};
  } else if (replicating() && sent_upto > match_) {
    Restart(std::max(match_, verified).Next());
  }
}

// In probe `next` was never advanced by hope, so it stays; a match of this term may not even be known yet.
void Progress::OnLinkUp() {
  Restart(replicating() ? match_.Next() : next_);
  heard_on_link_ = false;
}

bool Progress::WantsSnapshot(LogIndex snapshot_last) const {
  if (next_ > snapshot_last || !heard_on_link_ || in_snapshot()) return false;
  const auto* probe = std::get_if<Probe>(&state_);
  return probe == nullptr || !probe->waiting;
}

void Progress::OnSnapshotAsked(LogIndex needed) {
  state_ = Snapshot{.needed = needed};
  sent_upto_ = next_.Prev();
  commit_told_ = LogIndex();
}

void Progress::OnSnapshotDelivered(LogIndex last) {
  if (in_snapshot()) Restart(std::max(match_, last).Next());
}

void Progress::OnSnapshotFailed(std::uint64_t wait_ticks) {
  if (auto* snapshot = std::get_if<Snapshot>(&state_)) snapshot->wait_ticks = wait_ticks;
}

void Progress::Tick() {
  auto* snapshot = std::get_if<Snapshot>(&state_);
  if (snapshot != nullptr && snapshot->wait_ticks > 0 && --snapshot->wait_ticks == 0) state_ = Probe{};
}

void Progress::OnLinkDown() {
  OnLinkUp();
  state_ = Probe{.waiting = true};  // until the link is back
}

void Progress::Restart(LogIndex next) {
  state_ = Probe{};
  next_ = next;
  sent_upto_ = next.Prev();
  commit_told_ = LogIndex();
}

std::uint64_t Progress::Hash() const {
  Hasher h;
  h.Add(match_).Add(next_).Add(sent_upto_).Add(commit_told_).Add(active_ ? 1 : 0).Add(confirmed_);
  h.Add(heard_on_link_ ? 1 : 0);
  h.Add(state_.index()).Add(inflight_bytes()).Add(inflight_messages());
  if (const auto* probe = std::get_if<Probe>(&state_)) h.Add(probe->waiting ? 1 : 0);
  const auto* snapshot = std::get_if<Snapshot>(&state_);
  if (snapshot != nullptr) h.Add(snapshot->needed).Add(snapshot->wait_ticks);
  return h.value();
}

void Progress::CheckInvariants(LogIndex log_last, const WindowLimits& limits) const {
  CHECK(match_ < next_) << "match " << match_.value << ", next " << next_.value;
  CHECK(match_ <= log_last) << "a follower acknowledged " << match_.value << " of " << log_last.value;
  CHECK(next_ <= log_last.Next());
  CHECK(sent_upto_ <= log_last);
  CHECK(inflight_messages() <= limits.messages_max);
  CHECK(commit_told_ <= log_last);
}

}  // namespace quorate::consensus::raft
