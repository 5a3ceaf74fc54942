#include "coord/session/expiry.h"

#include <utility>

namespace quorate::coord {

std::vector<Command> Expiry::Due(const Sessions& sessions, std::uint64_t now_ns, std::uint64_t monotonic_ns) {
  const auto& deadlines = sessions.deadlines();
  if (deadlines.empty() || deadlines.begin()->at_ns > now_ns) return {};
  if (*deadlines.begin() <= asked_ && monotonic_ns >= from_first_at_ns_ + kRetryNs) asked_ = {};
  const bool from_first = asked_ == Sessions::Deadline{};

  std::vector<Command> due;
  auto next = deadlines.upper_bound(asked_);
  while (due.size() < kCommandsMax && next != deadlines.end() && next->at_ns <= now_ns) {
    ExpireRequest request;
    std::size_t keys = 0;
    for (; next != deadlines.end() && next->at_ns <= now_ns && request.leases.size() < kLeasesMax; ++next) {
      keys += sessions.KeyCount(next->lease);
      if (keys > kKeysMax && !request.leases.empty()) break;
      request.leases.push_back(next->lease);
      asked_ = *next;
    }
    due.push_back({Envelope{}, std::move(request)});
  }
  if (from_first && !due.empty()) from_first_at_ns_ = monotonic_ns;
  return due;
}

}  // namespace quorate::coord
