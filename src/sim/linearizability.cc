#include "sim/linearizability.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

namespace quorate::sim {
namespace {

constexpr std::uint32_t kAbsent = 0;         // the register's first state; values are numbered from 1
constexpr std::uint32_t kAny = 0xffffffff;   // a step that fits every state
constexpr std::uint32_t kKeep = 0xffffffff;  // a step that changes nothing

// What an operation demands of the state and makes of it.
struct Step {
  const Operation* operation = nullptr;
  std::uint64_t invoked = 0;
  std::uint64_t returned = kNever;
  std::uint32_t require = kAny;
  std::uint32_t set = kKeep;
  Revision order = 0;  // of a write; 0 = not known
};

// The operations of one key as steps, ascending by invocation.
class Problem {
 public:
  Problem(const History& history, const std::string& key) {
    NoteSightings(history, key);
    for (const Operation& operation : history) {
      if (operation.key != key || operation.fate == OperationFate::kFailed) continue;
      if (operation.fate == OperationFate::kGood) {
        AddGood(operation);
      } else {
        AddUnknown(operation);
      }
    }
    std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.invoked < b.invoked; });
    std::sort(unknown_deletes.begin(), unknown_deletes.end());
    for (std::uint32_t i = 0; i < steps.size(); ++i) {
      if (steps[i].order != 0) ordered.push_back(i);
    }
    std::stable_sort(ordered.begin(), ordered.end(),
                     [this](std::uint32_t a, std::uint32_t b) { return steps[a].order < steps[b].order; });
  }

  std::vector<Step> steps;
  std::vector<std::uint64_t> unknown_deletes;  // when each was asked for
  std::vector<std::uint32_t> ordered;          // writes with known revisions, in that order

 private:
  struct Sighting {
    std::uint64_t before = kNever;  // when the first one who saw it had returned
    Revision revision = 0;
  };

  void NoteSightings(const History& history, const std::string& key) {
    for (const Operation& operation : history) {
      if (operation.key != key || operation.fate != OperationFate::kGood || !operation.seen) continue;
      Sighting& sighting = sightings_[operation.seen->value];
      sighting.before = std::min(sighting.before, operation.returned_ns);
      sighting.revision = operation.seen->mod_revision;
    }
    while (NoteImplied(history, key)) {
    }
  }
  // An unknown swap whose value was seen did happen, so what it expected was there before that.
  bool NoteImplied(const History& history, const std::string& key) {
    bool changed = false;
    for (const Operation& operation : history) {
      if (operation.key != key || operation.fate != OperationFate::kUnknown || !operation.expected) continue;
      const auto own = sightings_.find(operation.value);
      if (own == sightings_.end()) continue;
      const std::uint64_t before = own->second.before;
      Sighting& implied = sightings_[*operation.expected];
      if (implied.before <= before) continue;
      implied.before = before;
      changed = true;
    }
    return changed;
  }
  std::uint32_t Number(const std::string& value) {
    return numbers_.try_emplace(value, static_cast<std::uint32_t>(numbers_.size() + 1)).first->second;
  }
  void AddGood(const Operation& operation) {
    Step step{&operation, operation.invoked_ns, operation.returned_ns};
    if (operation.looked) step.require = operation.seen ? Number(operation.seen->value) : kAbsent;
    if (operation.Writes()) {
      step.set = operation.kind == OperationKind::kDelete ? kAbsent : Number(operation.value);
      step.order = operation.revision;
    }
    steps.push_back(step);
  }
  void AddUnknown(const Operation& operation) {
    if (operation.kind == OperationKind::kGet) return;
    if (operation.kind == OperationKind::kDelete) {
      unknown_deletes.push_back(operation.invoked_ns);
      return;
    }
    const auto sighting = sightings_.find(operation.value);
    if (sighting == sightings_.end()) return;
    Step step{&operation, operation.invoked_ns, sighting->second.before};
    if (operation.kind == OperationKind::kCompareAndSwap) {
      step.require = operation.expected ? Number(*operation.expected) : kAbsent;
    }
    step.set = Number(operation.value);
    step.order = sighting->second.revision;
    steps.push_back(step);
  }

  std::map<std::string, Sighting> sightings_;
  std::map<std::string, std::uint32_t> numbers_;
};

// How far a search has come: every step below `base` is taken, and those of `ahead`.
struct Progress {
  std::uint32_t state = kAbsent;
  std::uint32_t deletes = 0;  // unknown deletes taken
  std::uint32_t base = 0;
  std::uint32_t writes = 0;          // of Problem::ordered
  std::vector<std::uint32_t> ahead;  // ascending, above base

  auto operator<=>(const Progress&) const = default;
  bool Taken(std::uint32_t step) const { return step < base || std::binary_search(ahead.begin(), ahead.end(), step); }
  void Take(std::uint32_t step) {
    ahead.insert(std::lower_bound(ahead.begin(), ahead.end(), step), step);
    auto gone = ahead.begin();
    while (gone != ahead.end() && *gone == base) {
      ++base;
      ++gone;
    }
    ahead.erase(ahead.begin(), gone);
  }
};

class Search {
 public:
  explicit Search(const Problem& problem) : problem_(problem) {}

  bool Run() {
    std::vector<Progress> open{Progress{}};
    while (!open.empty()) {
      Progress progress = std::move(open.back());
      open.pop_back();
      TakeFittingReads(progress);
      if (progress.base == problem_.steps.size()) return true;
      if (!seen_.insert(progress).second) continue;
      if (Size(progress) >= Size(deepest_)) deepest_ = progress;
      Expand(progress, open);
    }
    return false;
  }

  std::string Stuck() const {
    std::ostringstream out;
    out << "no order explains all answers; after the first " << Size(deepest_) << " of " << problem_.steps.size()
        << " operations none of these fits:";
    for (const std::uint32_t i : Candidates(deepest_)) out << "\n    " << Describe(*problem_.steps[i].operation);
    return out.str();
  }

 private:
  static std::size_t Size(const Progress& progress) { return progress.base + progress.ahead.size(); }

  // The steps that may come next: those asked for before any other untaken step had returned.
  std::vector<std::uint32_t> Candidates(const Progress& progress) const {
    std::vector<std::uint32_t> found;
    std::uint64_t first_return = kNever;
    for (std::uint32_t i = progress.base; i < problem_.steps.size(); ++i) {
      const Step& step = problem_.steps[i];
      if (step.invoked > first_return) break;
      if (progress.Taken(i)) continue;
      first_return = std::min(first_return, step.returned);
      found.push_back(i);
    }
    std::erase_if(found, [&](std::uint32_t i) { return problem_.steps[i].invoked > first_return; });
    return found;
  }

  void TakeFittingReads(Progress& progress) const {
    for (bool again = true; again;) {
      again = false;
      for (const std::uint32_t i : Candidates(progress)) {
        const Step& step = problem_.steps[i];
        if (step.set != kKeep || step.require != progress.state) continue;
        progress.Take(i);
        again = true;
      }
    }
  }

  void Expand(const Progress& progress, std::vector<Progress>& open) const {
    const std::vector<std::uint32_t> candidates = Candidates(progress);
    std::uint64_t first_return = kNever;
    for (const std::uint32_t i : candidates) first_return = std::min(first_return, problem_.steps[i].returned);
    // Pushed first, so tried last: an unknown delete is a resource to be spent only when nothing else helps.
    if (progress.state != kAbsent && progress.deletes < problem_.unknown_deletes.size() &&
        problem_.unknown_deletes[progress.deletes] < first_return) {
      Progress next = progress;
      next.state = kAbsent;
      ++next.deletes;
      open.push_back(std::move(next));
    }
    for (const std::uint32_t i : candidates) {
      const Step& step = problem_.steps[i];
      if (step.set == kKeep || (step.require != kAny && step.require != progress.state)) continue;
      const bool in_order =
          step.order == 0 || (progress.writes < problem_.ordered.size() && problem_.ordered[progress.writes] == i);
      if (!in_order) continue;
      Progress next = progress;
      next.Take(i);
      next.state = step.set;
      if (step.order != 0) ++next.writes;
      open.push_back(std::move(next));
    }
  }

  const Problem& problem_;
  std::set<Progress> seen_;
  Progress deepest_;
};

}  // namespace

std::optional<std::string> ExplainNotLinearizable(const History& history, const std::string& key) {
  const Problem problem(history, key);
  Search search(problem);
  if (search.Run()) return std::nullopt;
  return "key " + key + ": " + search.Stuck();
}

}  // namespace quorate::sim
