#include "consensus/configurations.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "consensus/hash.h"
#include "consensus/quorum/quorum.h"

namespace quorate::consensus {
namespace {

bool Follows(const Membership& before, const Membership& after) {
  if (before.voters.empty()) return true;
  const bool was_joint = !before.outgoing.empty();
  const bool is_joint = !after.outgoing.empty();
  if (is_joint) return !was_joint && after.outgoing == before.voters;
  return after.voters == before.voters;
}

}  // namespace

const Membership& Configurations::At(LogIndex index) const {
  const auto after = std::upper_bound(history_.begin(), history_.end(), index,
                                      [](LogIndex wanted, const Configuration& one) { return wanted < one.index; });
  CHECK(after != history_.begin()) << "the members as of " << index.value << " are not known";
  return std::prev(after)->members;
}

std::vector<ReplicaId> Configurations::Everyone() const {
  std::vector<ReplicaId> all;
  for (const Configuration& one : history_) {
    const std::vector<ReplicaId> some = AllReplicas(one.members);
    all.insert(all.end(), some.begin(), some.end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void Configurations::Append(LogIndex index, Change change) {
  CHECK(index > latest_index()) << index.value << " after " << latest_index().value;
  history_.push_back({index, std::move(change.members), change.origin});
}

void Configurations::TruncateAfter(LogIndex last_kept) {
  while (history_.size() > 1 && latest_index() > last_kept) history_.pop_back();
}

void Configurations::ReleaseUpto(LogIndex last_released) {
  const auto is_above = [last_released](const Configuration& one) { return one.index > last_released; };
  const auto first_above = std::find_if(history_.begin(), history_.end(), is_above);
  if (first_above - history_.begin() > 1) history_.erase(history_.begin(), std::prev(first_above));
}

void Configurations::Reset(LogIndex index, Membership members) {
  history_.clear();
  history_.push_back({index, std::move(members), Origin()});
}

std::uint64_t Configurations::Hash() const {
  Hasher h;
  for (const Configuration& one : history_) {
    h.Add(one.index).Add(one.origin.replica).Add(one.origin.incarnation).Add(one.origin.proposal);
    for (const std::vector<ReplicaId>* some : {&one.members.voters, &one.members.outgoing, &one.members.learners}) {
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

Result<Configurations> RecoverConfigurations(const Membership& bootstrap, const Recovered& recovered) {
  const SnapshotMeta& snapshot = recovered.snapshot;
  if (snapshot.last && !IsWellFormed(snapshot.members)) return Status::DataLoss("the snapshot's members are damaged");
  Configurations configurations(snapshot.last, snapshot.last ? snapshot.members : bootstrap);
  for (const Entry& entry : recovered.log) {
    if (entry.kind != EntryKind::kMembership) continue;
    std::optional<Change> change = DecodeChange(entry.payload);
    if (!change) {
      return Status::DataLoss("log entry " + std::to_string(entry.index.value) + " holds no members that decode");
    }
    configurations.Append(entry.index, *std::move(change));
  }
  return configurations;
}

}  // namespace quorate::consensus
