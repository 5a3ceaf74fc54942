#include "consensus/paxos/configurations.h"

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus::paxos {
namespace {

bool Follows(const Membership& before, const Membership& after) {
  if (before.voters.empty()) return true;  // a member that joined knows nobody
  if (after.outgoing.empty()) return after.voters == before.voters;
  return before.outgoing.empty() && after.outgoing == before.voters;
}

}  // namespace

const Membership& Configurations::At(LogIndex index) const {
  const auto after = std::upper_bound(history_.begin(), history_.end(), index,
                                      [](LogIndex wanted, const Step& step) { return wanted < step.index; });
  CHECK(after != history_.begin()) << "the members as of " << index.value << " are not known";
  return std::prev(after)->members;
}

void Configurations::NoteLatest() {
  const Step& step = history_.back();
  after_ = {step.members.voters, {}};
  before_ = after_;
  if (!IsChanging() || QUORATE_BUG(paxos_reconfiguration_without_alpha)) return;
  before_ =
      step.placed ? Electorate{step.members.outgoing, {}} : Electorate{step.members.voters, step.members.outgoing};
}

bool Configurations::IsAcceptor(ReplicaId replica) const {
  const Membership& members = latest();
  return std::binary_search(members.voters.begin(), members.voters.end(), replica) ||
         std::binary_search(members.outgoing.begin(), members.outgoing.end(), replica);
}

bool Configurations::Counts(const Membership& members) const {
  return Follows(latest(), members);
}

bool Configurations::Append(LogIndex index, const Change& change) {
  CHECK(index > latest_index()) << index.value << " after " << latest_index().value;
  if (!Counts(change.members)) return false;
  history_.push_back({index, change.members, change.origin, true});
  NoteLatest();
  return true;
}

void Configurations::ReleaseUpto(LogIndex last_released) {
  const auto first_above = std::find_if(history_.begin(), history_.end(),
                                        [last_released](const Step& step) { return step.index > last_released; });
  if (first_above - history_.begin() > 1) history_.erase(history_.begin(), std::prev(first_above));
}

void Configurations::Reset(LogIndex index, Membership members) {
  history_.clear();
  history_.push_back({index, std::move(members), Origin(), false});
  NoteLatest();
}

std::uint64_t Configurations::Hash() const {
  Hasher h;
  for (const Step& step : history_) {
    h.Add(step.index).Add(step.origin.replica).Add(step.origin.incarnation).Add(step.origin.proposal);
    h.Add(step.placed ? 1 : 0);
    for (const std::vector<ReplicaId>* some : {&step.members.voters, &step.members.outgoing, &step.members.learners}) {
      h.Add(some->size());
      for (const ReplicaId replica : *some) h.Add(replica);
    }
  }
  return h.value();
}

void Configurations::CheckInvariants() const {
  for (std::size_t i = 0; i < history_.size(); ++i) {
    CHECK(IsWellFormed(history_[i].members)) << "the members as of " << history_[i].index.value;
    if (i == 0) continue;
    CHECK(history_[i - 1].index < history_[i].index) << "configurations out of order";
    CHECK(Follows(history_[i - 1].members, history_[i].members))
        << "the members of " << history_[i].index.value << " do not follow from those of "
        << history_[i - 1].index.value;
  }
}

}  // namespace quorate::consensus::paxos
