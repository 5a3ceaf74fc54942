#include "consensus/log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus {

Log::Log(LogIndex snapshot_last, Generation snapshot_generation, std::vector<Entry> entries) : last_(snapshot_last) {
  runs_.push_back({snapshot_last, snapshot_generation});
  for (Entry& entry : entries) Append(std::move(entry));
}

std::optional<Generation> Log::GenerationAt(LogIndex index) const {
  if (index < snapshot_last() || index > last_) return std::nullopt;
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                      [](LogIndex wanted, const Start& run) { return wanted < run.first; });
  return std::prev(after)->generation;
}

LogIndex Log::LastNotAbove(LogIndex index, Generation generation) const {
  LogIndex end = std::min(index, last_);
  for (std::size_t i = runs_.size() - 1; i > 0; --i) {
    if (runs_[i].first > end) continue;
    if (runs_[i].generation <= generation) return end;
    end = runs_[i].first.Prev();
  }
  return runs_.front().generation <= generation ? end : std::min(end, snapshot_last());
}

std::vector<Run> Log::Runs() const {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    runs.push_back({runs_[i].generation, i + 1 < runs_.size() ? runs_[i + 1].first.Prev() : last_});
  }
  return runs;
}

void Log::NoteGeneration(LogIndex index, Generation generation) {
  CHECK(generation >= last_generation()) << "generation " << generation.value << " at index " << index.value
                                         << " after " << last_generation().value;
  if (generation > last_generation()) runs_.push_back({index, generation});
}

void Log::Append(Entry entry) {
  CHECK(entry.index == last_.Next()) << entry.index.value << " after " << last_.value;
  NoteGeneration(entry.index, GenerationOf(entry));
  last_ = entry.index;
  cached_bytes_ += entry.payload.size();
  entries_.push_back(std::move(entry));
}

void Log::TruncateAfter(LogIndex last_kept) {
  CHECK(last_kept.Next() >= first_cached()) << "truncating at " << last_kept.value << " below the cached tail";
  while (last_ > last_kept) {
    cached_bytes_ -= entries_.back().payload.size();
    entries_.pop_back();
    last_ = last_.Prev();
  }
  while (runs_.size() > 1 && runs_.back().first > last_kept) runs_.pop_back();
}

void Log::ReleaseUpto(LogIndex last_released) {
  const std::optional<Generation> generation = GenerationAt(last_released);
  CHECK(generation.has_value()) << "released up to " << last_released.value << ", log (" << snapshot_last().value
                                << ", " << last_.value << "]";
  std::erase_if(runs_, [last_released](const Start& run) { return run.first <= last_released; });
  runs_.insert(runs_.begin(), {last_released, *generation});
  while (!entries_.empty() && entries_.front().index <= last_released) {
    cached_bytes_ -= entries_.front().payload.size();
    entries_.pop_front();
  }
  std::erase_if(loaded_, [last_released](const Entry& entry) { return entry.index <= last_released; });
}

void Log::Reset(LogIndex snapshot_last, Generation snapshot_generation) {
  runs_ = {{snapshot_last, snapshot_generation}};
  entries_.clear();
  loaded_.clear();
  last_ = snapshot_last;
  cached_bytes_ = 0;
}

std::vector<Entry> Log::From(LogIndex first, std::uint64_t bytes_max) const {
  std::vector<Entry> out;
  std::uint64_t bytes = 0;
  for (LogIndex index = first; index <= last_; index = index.Next()) {
    const Entry* entry = nullptr;
    if (index >= first_cached()) {
      entry = &At(index);
    } else if (InLoaded(index)) {
      entry = &loaded_[index.value - loaded_.front().index.value];
    } else {
      break;
    }
    if (!out.empty() && bytes + entry->payload.size() > bytes_max) break;
    bytes += entry->payload.size();
    out.push_back(*entry);
  }
  return out;
}

void Log::Trim(LogIndex limit, std::uint64_t cache_bytes) {
  if (cached_bytes_ <= cache_bytes) return;
  std::uint64_t above = 0;
  for (auto it = entries_.rbegin(); it != entries_.rend() && it->index > limit; ++it) above += it->payload.size();
  while (!entries_.empty() && entries_.front().index <= limit && cached_bytes_ - above > cache_bytes) {
    cached_bytes_ -= entries_.front().payload.size();
    entries_.pop_front();
  }
}

std::optional<LoadLog> Log::StartLoad(LogIndex first, std::uint64_t bytes_max) {
  if (loading_) return std::nullopt;
  loading_ = true;
  loaded_.clear();
  return LoadLog{first, first_cached().Prev(), bytes_max};
}

void Log::FinishLoad(std::vector<Entry> entries) {
  loading_ = false;
  std::erase_if(entries, [this](const Entry& entry) { return entry.index <= snapshot_last(); });
  for (const Entry& entry : entries) {
    CHECK(Matches(entry.index, GenerationOf(entry))) << "loaded entry " << entry.index.value << " is not of this log";
  }
  loaded_ = std::move(entries);
}

std::uint64_t Log::Hash() const {
  Hasher h;
  for (const Start& run : runs_) h.Add(run.first).Add(run.generation);
  h.Add(last_).Add(first_cached()).Add(loading_ ? 1 : 0).Add(loaded_.size());
  if (!loaded_.empty()) h.Add(loaded_.front().index);
  for (const Entry& entry : entries_) {
    h.Add(static_cast<std::uint64_t>(entry.kind)).Add(entry.origin.replica).Add(entry.origin.incarnation);
    h.Add(entry.origin.proposal).AddBytes(entry.payload.view());
  }
  return h.value();
}

void Log::CheckInvariants() const {
  for (std::size_t i = 1; i < runs_.size(); ++i) {
    CHECK(runs_[i - 1].first < runs_[i].first || i == 1) << "runs out of order";
    CHECK(runs_[i - 1].generation < runs_[i].generation) << "generations fall along the log";
  }
  CHECK(runs_.back().first <= last_);
  CHECK(entries_.empty() || entries_.back().index == last_);
  CHECK(first_cached() > snapshot_last()) << "an entry that the snapshot covers is in memory";
  CHECK(loaded_.empty() || loaded_.front().index > snapshot_last());
  // The newest are enough: older ones were the newest once, and this runs after every event of a simulation.
  constexpr std::size_t kNewest = 32;
  for (std::size_t i = entries_.size() - std::min(entries_.size(), kNewest); i < entries_.size(); ++i) {
    CHECK(entries_[i].index.value == first_cached().value + i) << "gap in the cached tail";
    CHECK(Matches(entries_[i].index, GenerationOf(entries_[i])))
        << "runs disagree with entry " << entries_[i].index.value;
  }
}

}  // namespace quorate::consensus
