#include "cli/bench/write_record.h"

#include <algorithm>

namespace quorate::cli {
namespace {

std::vector<const WriteRecord*> Acked(const std::vector<WriteRecord>& writes) {
  std::vector<const WriteRecord*> acked;
  for (const WriteRecord& write : writes) {
    if (write.outcome == WriteOutcome::kAcked) acked.push_back(&write);
  }
  return acked;
}

}  // namespace

std::vector<Gap> FindGaps(const std::vector<WriteRecord>& writes, std::uint64_t begin_ns, std::uint64_t end_ns,
                          std::uint64_t shortest_ns) {
  std::vector<std::uint64_t> times;
  for (const WriteRecord* write : Acked(writes)) {
    if (write->done_ns > begin_ns && write->done_ns < end_ns) times.push_back(write->done_ns);
  }
  std::sort(times.begin(), times.end());
  times.push_back(end_ns);
  std::vector<Gap> gaps;
  std::uint64_t last = begin_ns;
  for (const std::uint64_t time : times) {
    if (time - last >= shortest_ns) gaps.push_back({last, time});
    last = time;
  }
  return gaps;
}

std::uint64_t CountReusedRevisions(const std::vector<WriteRecord>& writes) {
  std::vector<std::int64_t> revisions;
  for (const WriteRecord* write : Acked(writes)) revisions.push_back(write->revision);
  std::sort(revisions.begin(), revisions.end());
  std::uint64_t reused = 0;
  for (std::size_t i = 1; i < revisions.size(); ++i) reused += revisions[i] == revisions[i - 1] ? 1 : 0;
  return reused;
}

std::uint64_t CountOrderViolations(const std::vector<WriteRecord>& writes) {
  std::vector<const WriteRecord*> by_sending = Acked(writes);
  std::vector<const WriteRecord*> by_answer = by_sending;
  std::stable_sort(by_sending.begin(), by_sending.end(),
                   [](const WriteRecord* a, const WriteRecord* b) { return a->sent_ns < b->sent_ns; });
  std::stable_sort(by_answer.begin(), by_answer.end(),
                   [](const WriteRecord* a, const WriteRecord* b) { return a->done_ns < b->done_ns; });
  std::uint64_t violations = 0;
  std::int64_t highest = 0;
  auto answered = by_answer.begin();
  for (const WriteRecord* write : by_sending) {
    for (; answered != by_answer.end() && (*answered)->done_ns < write->sent_ns; ++answered) {
      highest = std::max(highest, (*answered)->revision);
    }
    violations += write->revision <= highest ? 1 : 0;
  }
  return violations;
}

}  // namespace quorate::cli
