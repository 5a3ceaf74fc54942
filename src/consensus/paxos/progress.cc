#include "consensus/paxos/progress.h"

#include <algorithm>

#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus::paxos {

bool Progress::MaySend(const WindowLimits& limits) const {
  const auto* replicate = std::get_if<Replicate>(&state_);
  return replicate != nullptr && replicate->bytes < limits.bytes_max && replicate->window.size() < limits.messages_max;
}

void Progress::OnSent(LogIndex last, std::uint64_t bytes, LogIndex chosen) {
  auto& replicate = std::get<Replicate>(state_);
  replicate.window.push_back({last, bytes});
  replicate.bytes += bytes;
  next_ = last.Next();
  OnTold(std::min(chosen, last));
}

void Progress::OnTold(LogIndex chosen) {
  told_ = std::max(told_, chosen);
}

void Progress::OnKnown(LogIndex known) {
  known_ = std::max(known_, known);
}

void Progress::OnConfirmed(ReadRound round) {
  confirmed_ = std::max(confirmed_, round);
}

void Progress::OnLent(ReadRound round) {
  lent_ = std::max(lent_, round);
}

void Progress::OnMatch(LogIndex match) {
  if (match <= match_) return;
  match_ = match;
  next_ = std::max(next_, match.Next());
  if (auto* replicate = std::get_if<Replicate>(&state_)) {
    while (!replicate->window.empty() && replicate->window.front().last <= match) {
      replicate->bytes -= replicate->window.front().bytes;
      replicate->window.pop_front();
    }
  } else if (const auto* snapshot = std::get_if<Snapshot>(&state_)) {
    if (match >= snapshot->needed) Restart(match);
  }
}

void Progress::OnPosition(const HeartbeatReply& reply) {
  // It had acknowledged more than it holds now: it has restarted since. Otherwise an old answer.
  if (reply.held < reply.echoed) match_ = std::min(match_, reply.held);
  if (std::holds_alternative<Unknown>(state_)) {
    Restart(std::max(match_, reply.held));
  } else if (replicating() && reply.held < reply.sent) {
    // With frames in order, the heartbeat was sent after what it names, so that is lost. If they were reordered
    // instead, it is sent once more than needed.
    Restart(std::max(match_, reply.held));
  }
  OnMatch(reply.match);
}

void Progress::OnSnapshotAsked(LogIndex needed) {
  state_ = Snapshot{.needed = needed};
}

void Progress::OnSnapshotDelivered(LogIndex last) {
  if (in_snapshot()) Restart(std::max(match_, last));
}

void Progress::OnSnapshotFailed(std::uint64_t wait_ticks) {
  if (auto* snapshot = std::get_if<Snapshot>(&state_)) snapshot->wait_ticks = wait_ticks;
}

void Progress::Tick() {
  auto* snapshot = std::get_if<Snapshot>(&state_);
  if (snapshot != nullptr && snapshot->wait_ticks > 0 && --snapshot->wait_ticks == 0) state_ = Unknown{};
}

void Progress::Restart(LogIndex held) {
  state_ = Replicate{};
  next_ = held.Next();
  told_ = LogIndex();
}

std::uint64_t Progress::Hash() const {
  Hasher h;
  h.Add(match_).Add(next_).Add(told_).Add(known_).Add(active_ ? 1 : 0).Add(confirmed_).Add(lent_).Add(leave_ticks_);
  h.Add(state_.index());
  if (const auto* replicate = std::get_if<Replicate>(&state_)) {
    h.Add(replicate->bytes);
    for (const Message& message : replicate->window) h.Add(message.last);
  }
  const auto* snapshot = std::get_if<Snapshot>(&state_);
  if (snapshot != nullptr) h.Add(snapshot->needed).Add(snapshot->wait_ticks);
  return h.value();
}

void Progress::CheckInvariants(LogIndex last, const WindowLimits& limits) const {
  CHECK(match_ < next_) << "match " << match_.value << ", next " << next_.value;
  CHECK(next_ <= last.Next()) << "sent up to " << next_.value << ", there is up to " << last.value;
  const auto* replicate = std::get_if<Replicate>(&state_);
  CHECK(replicate == nullptr || replicate->window.size() <= limits.messages_max);
}

}  // namespace quorate::consensus::paxos
