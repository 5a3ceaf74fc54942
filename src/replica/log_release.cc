#include "replica/log_release.h"

#include <algorithm>
#include <iterator>

namespace quorate::replica {

LogRelease::LogRelease(LogReleaseOptions options) : options_(options) {}

void LogRelease::Note(LogIndex index, std::uint64_t bytes) {
  total_ += bytes;
  const std::uint64_t last = marks_.empty() ? released_ : marks_.back().upto;
  if (total_ - last >= options_.step_bytes / 8) marks_.push_back({index, total_});
}

void LogRelease::Restart(LogIndex start) {
  marks_.clear();
  start_ = start;
  released_ = covered_ = total_;
}

bool LogRelease::Worth(LogIndex flushed) const {
  return IsStep(covered_, AtOrBelow(flushed).upto) ||
         IsStep(released_, AtOrBelow(std::min(flushed, Keeping(options_.keep_always_bytes))).upto);
}

std::optional<LogRelease::Point> LogRelease::Decide(LogIndex flushed, std::optional<LogIndex> slowest,
                                                    std::optional<SnapshotsUnderWay> sending) {
  LogIndex gone = std::min(flushed, Keeping(options_.keep_always_bytes));
  if (slowest) gone = std::min(gone, std::max(*slowest, Keeping(options_.keep_bytes)));
  if (sending) gone = std::min(gone, std::max(sending->last, Keeping(options_.keep_bytes + sending->bytes)));
  const Mark start = AtOrBelow(gone);
  const std::uint64_t covered = AtOrBelow(flushed).upto;
  if (!IsStep(covered_, covered) && !IsStep(released_, start.upto)) return std::nullopt;
  covered_ = std::max(covered_, covered);
  start_ = start.index;
  released_ = start.upto;
  while (!marks_.empty() && marks_.front().index <= start_) marks_.pop_front();
  return Point{flushed, start_.Next()};
}

LogIndex LogRelease::Keeping(std::uint64_t kept) const {
  if (total_ - released_ < kept) return start_;
  const auto above = std::upper_bound(marks_.begin(), marks_.end(), total_ - kept,
                                      [](std::uint64_t bytes, const Mark& mark) { return bytes < mark.upto; });
  return above == marks_.begin() ? start_ : std::prev(above)->index;
}

LogRelease::Mark LogRelease::AtOrBelow(LogIndex index) const {
  const auto above = std::upper_bound(marks_.begin(), marks_.end(), index,
                                      [](LogIndex i, const Mark& mark) { return i < mark.index; });
  return above == marks_.begin() ? Mark{start_, released_} : *std::prev(above);
}

}  // namespace quorate::replica
