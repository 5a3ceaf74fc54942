#include "sim/collections.h"

#include <algorithm>
#include <set>
#include <utility>

namespace quorate::sim {
namespace {

constexpr std::uint64_t kLists = 2;
constexpr std::uint64_t kReadPermille = 500;
constexpr std::uint64_t kTimeoutNs = 4 * kSecond;
const std::string kSet = "set/";
const std::string kSetEnd = "set0";

std::vector<std::string> Split(const std::string& value) {
  std::vector<std::string> elements;
  for (std::size_t from = 0; from < value.size();) {
    const std::size_t comma = std::min(value.find(',', from), value.size());
    elements.push_back(value.substr(from, comma - from));
    from = comma + 1;
  }
  return elements;
}

coord::RangeRequest RangeOf(const std::string& name) {
  coord::RangeRequest range;
  range.key = name;
  if (name == kSet) range.end = kSetEnd;
  return range;
}

Violation Wrong(const std::string& name, const std::string& what) {
  return {"collections", name + ": " + what};
}

std::string Times(std::uint64_t from_ns, std::uint64_t to_ns) {
  return " [" + std::to_string(from_ns / kMicrosecond) + " us, " +
         (to_ns == kNever ? "open)" : std::to_string(to_ns / kMicrosecond) + " us]");
}

// Nothing twice, and nothing that nobody wrote or that was refused.
Verdict CheckElements(const std::string& name, const CollectionHistory& history) {
  std::set<std::string> possible;
  for (const Adding& adding : history.addings) {
    if (!adding.refused) possible.insert(adding.element);
  }
  for (const Looking& looking : history.lookings) {
    std::set<std::string> seen;
    for (const std::string& element : looking.elements) {
      if (!possible.contains(element)) return Wrong(name, element + " is there, and was never written");
      if (!seen.insert(element).second) return Wrong(name, element + " is there twice");
    }
  }
  return std::nullopt;
}

// What an earlier read saw, and what was acknowledged, a later read sees: a prefix of it, or a part.
Verdict CheckNothingLost(const std::string& name, const CollectionHistory& history, bool ordered) {
  for (const Looking& later : history.lookings) {
    const std::set<std::string> seen(later.elements.begin(), later.elements.end());
    for (const Adding& adding : history.addings) {
      if (adding.returned_ns >= later.invoked_ns || adding.refused || seen.contains(adding.element)) continue;
      return Wrong(name, adding.element + " was acknowledged" + Times(adding.invoked_ns, adding.returned_ns) +
                             " and is missing in the read" + Times(later.invoked_ns, later.returned_ns));
    }
    for (const Looking& earlier : history.lookings) {
      if (earlier.returned_ns >= later.invoked_ns) continue;
      const bool kept = ordered ? earlier.elements.size() <= later.elements.size()
                                : std::all_of(earlier.elements.begin(), earlier.elements.end(),
                                              [&](const std::string& element) { return seen.contains(element); });
      if (kept) continue;
      return Wrong(name, "the read" + Times(later.invoked_ns, later.returned_ns) + " saw less than the one" +
                             Times(earlier.invoked_ns, earlier.returned_ns));
    }
  }
  return std::nullopt;
}

// All reads of a list are beginnings of one list, and it has the order in which its elements were written.
Verdict CheckOrder(const std::string& name, const CollectionHistory& history) {
  const Looking* longest = nullptr;
  for (const Looking& looking : history.lookings) {
    if (longest == nullptr || looking.elements.size() > longest->elements.size()) longest = &looking;
  }
  if (longest == nullptr) return std::nullopt;
  for (const Looking& looking : history.lookings) {
    if (std::equal(looking.elements.begin(), looking.elements.end(), longest->elements.begin())) continue;
    return Wrong(name, "two reads saw different orders:" + Times(looking.invoked_ns, looking.returned_ns) + " and" +
                           Times(longest->invoked_ns, longest->returned_ns));
  }
  std::map<std::string, const Adding*> by_element;
  for (const Adding& adding : history.addings) by_element[adding.element] = &adding;
  const Adding* newest = nullptr;  // of those so far, the one begun last
  for (const std::string& element : longest->elements) {
    const Adding* adding = by_element.at(element);
    if (newest != nullptr && adding->returned_ns < newest->invoked_ns) {
      return Wrong(name, newest->element + " stands before " + element + ", which was there before it was asked for");
    }
    if (newest == nullptr || adding->invoked_ns > newest->invoked_ns) newest = adding;
  }
  return std::nullopt;
}

}  // namespace

Verdict CheckCollection(const std::string& name, const CollectionHistory& history, bool ordered) {
  if (Verdict wrong = CheckElements(name, history)) return wrong;
  if (Verdict wrong = CheckNothingLost(name, history, ordered)) return wrong;
  return ordered ? CheckOrder(name, history) : std::nullopt;
}

Collections::Collections(std::uint64_t seed, const Scenario& scenario, Cluster& cluster)
    : turns_(scenario.workloads), cluster_(cluster), random_(SeededRandom::ForPurpose(seed, "collections")) {
  for (std::uint64_t i = 1; i <= kLists; ++i) lists_[Numbered("list", i)] = {};
}

void Collections::Start() {
  Begin("lists", &Collections::TurnList);
  Begin("sets", &Collections::TurnSet);
}

void Collections::Begin(const std::string& kind, void (Collections::*turn)()) {
  const auto turns = turns_.find(kind);
  if (turns != turns_.end() && turns->second != 0) Every(2 * 1000 * kSecond / turns->second, turn);
}

void Collections::Every(std::uint64_t gap_max_ns, void (Collections::*turn)()) {
  cluster_.scheduler().After(random_.Below(gap_max_ns), kSimulator, [this, gap_max_ns, turn] {
    if (stopped_) return;
    (this->*turn)();
    Every(gap_max_ns, turn);
  });
}

Member* Collections::Anybody() {
  const std::vector<Member*> members = cluster_.WithStanding(Standing::kMember);
  Member* member = members.empty() ? nullptr : random_.Pick(members);
  return member != nullptr && member->running() ? member : nullptr;
}

void Collections::TurnList() {
  Member* member = Anybody();
  if (member == nullptr) return;
  const std::string list = Numbered("list", random_.Between(1, kLists));
  random_.Chance(kReadPermille) ? Read(*member, list) : Append(*member, list);
}

void Collections::TurnSet() {
  Member* member = Anybody();
  if (member == nullptr) return;
  random_.Chance(kReadPermille) ? Read(*member, kSet) : AddToSet(*member);
}

void Collections::Append(Member& at, const std::string& list) {
  const List& known = lists_[list];
  const std::string element = Numbered("e", ++last_element_);
  coord::Compare same;
  same.key = list;
  same.target = coord::Compare::Target::kMod;
  same.number = known.mod_revision;
  coord::PutRequest put;
  put.key = list;
  put.value = Bytes::Copy(known.value.empty() ? element : known.value + "," + element);
  coord::TxnRequest txn;
  txn.compares = {same};
  txn.success = {put, RangeOf(list)};
  txn.failure = {RangeOf(list)};
  histories_[list].addings.push_back({element, cluster_.scheduler().now()});
  Send(at, list, histories_[list].addings.size() - 1, std::move(txn));
}

void Collections::AddToSet(Member& at) {
  const std::string element = Numbered("e", ++last_element_);
  coord::PutRequest put;
  put.key = kSet + element;
  put.value = Bytes::Copy(element);
  histories_[kSet].addings.push_back({element, cluster_.scheduler().now()});
  Send(at, kSet, histories_[kSet].addings.size() - 1, std::move(put));
}

void Collections::Send(Member& at, const std::string& name, std::size_t adding, coord::CommandBody body) {
  coord::Command command;
  command.body = std::move(body);
  cluster_.scheduler().After(
      0, at.process(), [this, member = &at, name, adding, encoded = coord::EncodeCommand(command)] {
        const std::uint64_t deadline = member->clock().MonotonicNs() + kTimeoutNs;
        member->group().Propose(encoded, deadline, [this, name, adding](const replica::ProposeResult& result) {
          Answer(name, adding, result);
        });
      });
}

void Collections::Answer(const std::string& name, std::size_t adding, const replica::ProposeResult& result) {
  Adding& one = histories_[name].addings[adding];
  if (result.fate != replica::Fate::kApplied) {
    one.refused = result.fate != replica::Fate::kTimedOut && result.fate != replica::Fate::kLeaderLost;
    return;
  }
  const auto* outcome = dynamic_cast<const coord::CommandOutcome*>(result.outcome.get());
  CHECK(outcome != nullptr) << "an executed command without an outcome";
  if (const auto* txn = std::get_if<coord::TxnResponse>(&outcome->body)) {
    one.refused = !txn->succeeded;
    const auto* found = txn->responses.empty() ? nullptr : std::get_if<coord::RangeResponse>(&txn->responses.back());
    if (found != nullptr) NoteList(name, *found);
  }
  if (!one.refused) one.returned_ns = cluster_.scheduler().now();
}

void Collections::NoteList(const std::string& name, const coord::RangeResponse& found) {
  const auto list = lists_.find(name);
  if (list == lists_.end() || found.kvs.empty() || found.kvs[0].mod_revision < list->second.mod_revision) return;
  list->second = {found.kvs[0].value.ToString(), found.kvs[0].mod_revision};
}

void Collections::Read(Member& at, const std::string& name) {
  const std::uint64_t invoked = cluster_.scheduler().now();
  cluster_.scheduler().After(0, at.process(), [this, member = &at, name, invoked] {
    member->group().ReadBarrier(
        member->clock().MonotonicNs() + kTimeoutNs, [this, member, name, invoked](replica::Fate fate) {
          if (fate != replica::Fate::kApplied) return;
          member->machine().ReadRange(RangeOf(name), [this, name, invoked](const Result<coord::RangeResponse>& found) {
            if (!found.ok()) return;
            Looking looking{invoked, cluster_.scheduler().now(), {}};
            if (name != kSet && !found->kvs.empty()) looking.elements = Split(found->kvs[0].value.ToString());
            if (name == kSet) {
              for (const store::KeyValue& kv : found->kvs) looking.elements.push_back(kv.value.ToString());
            }
            NoteList(name, *found);
            histories_[name].lookings.push_back(std::move(looking));
          });
        });
  });
}

void Collections::ReadAll() {
  if (histories_.empty()) return;
  for (Member* member : cluster_.WithStanding(Standing::kMember)) {
    if (!member->running()) continue;
    for (const auto& [list, known] : lists_) Read(*member, list);
    Read(*member, kSet);
  }
}

void Collections::Judge() {
  for (const auto& [name, history] : histories_) {
    cluster_.monitor().Report(CheckCollection(name, history, name != kSet));
  }
}

}  // namespace quorate::sim
