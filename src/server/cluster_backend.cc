#include "server/cluster_backend.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "consensus/quorum/quorum.h"

namespace quorate::server {
namespace {

Status FromFate(replica::Fate fate) {
  switch (fate) {
    case replica::Fate::kApplied:
      return Status::Ok();
    case replica::Fate::kTimedOut:
    case replica::Fate::kNoLeader:
      return Status::Unavailable("etcdserver: request timed out");
    case replica::Fate::kLeaderLost:
      return Status::Unavailable("etcdserver: request timed out, possibly due to previous leader failure");
    case replica::Fate::kOverloaded:
      return Status::ResourceExhausted("etcdserver: too many requests");
    case replica::Fate::kNoSpace:
      return Status::ResourceExhausted("quorate: the disk is full: nothing is written until there is room again");
    case replica::Fate::kNotReady:
      return Status::Unavailable("etcdserver: not ready: this member is loading a snapshot");
    case replica::Fate::kRefused:
      return Status::FailedPrecondition("etcdserver: the change is not possible now");
  }
  return Status::Internal("no such fate");
}

constexpr std::uint64_t kGoneTurnNs = 20'000'000;
constexpr std::uint32_t kMembersLevel = 2;  // from it on the cluster has a member table
constexpr std::uint64_t kCapableTurnNs = 20'000'000;
constexpr int kCapableTurnsMax = 100;  // two seconds: etcdctl waits for five
constexpr int kGoneTurnsMax = 200;     // four seconds, within the clients' patience

ReplicaId LeavingMember(const coord::CommandBody& body) {
  if (const auto* remove = std::get_if<coord::RemoveMember>(&body)) return remove->id;
  if (const auto* replace = std::get_if<coord::ReplaceMember>(&body)) return replace->old_id;
  return {};
}

// Ids of downloads and of what the group sends to members come from the same maker.
constexpr std::uint64_t kFirstDownload = std::uint64_t{1} << 32;
// At once. Each pins an image of the keyspace, with what of it was not yet durable when it was opened.
constexpr long kDownloadsMax = 8;

class StreamDownload final : public coord::SnapshotDownload {
 public:
  StreamDownload(std::shared_ptr<replica::SnapshotStream> stream, std::shared_ptr<const bool> place)
      : stream_(std::move(stream)), place_(std::move(place)) {}
  std::uint64_t size_estimate_bytes() const override { return stream_->size_estimate_bytes(); }
  void Next(std::function<void(Result<Piece>)> done) override {
    stream_->Read(at_, [this, done = std::move(done), alive = std::weak_ptr<const bool>(alive_)](
                           const Result<replica::SnapshotStream::Piece>& piece) {
      if (alive.expired()) return;
      if (!piece.ok()) return done(piece.status());
      at_ += piece->bytes.size();
      done(Piece{piece->bytes, piece->last});
    });
  }

 private:
  const std::shared_ptr<replica::SnapshotStream> stream_;
  const std::shared_ptr<const bool> place_;  // counts as open while it is held
  std::uint64_t at_ = 0;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};
Status NoSpace() {
  return Status::ResourceExhausted("etcdserver: mvcc: database space exceeded");
}
Status NotEnoughStarted() {
  return Status::FailedPrecondition("etcdserver: re-configuration failed due to not enough started members");
}
Status UnhealthyCluster() {
  return Status::Unavailable("etcdserver: unhealthy cluster");
}
Status LearnerNotReady() {
  return Status::FailedPrecondition("etcdserver: can only promote a learner member which is in sync with leader");
}

}  // namespace

ClusterBackend::ClusterBackend(const ServeConfig& config, replica::Group& group, coord::Machine& machine,
                               env::Executor& executor, Surroundings surroundings)
    : first_members_(config.members),
      cluster_(config.cluster),
      self_(config.self),
      quota_bytes_(config.quota_bytes),
      group_(group),
      machine_(machine),
      executor_(executor),
      surroundings_(std::move(surroundings)) {}

void ClusterBackend::Propose(const coord::RequestContext& context, coord::Command command, Done done) {
  if (machine_.feature_level() >= kMembersLevel || !coord::NeedsMembers(command.body)) {
    return ProposeNow(context, std::move(command), std::move(done));
  }
  WhenCapable(context, std::move(command), kCapableTurnsMax, std::move(done));
}

// A cluster begins at the lowest level and rises as soon as all first members were linked, which takes a moment after
// the first start: what needs more waits for that, and is refused by apply when it does not come.
void ClusterBackend::WhenCapable(const coord::RequestContext& context, coord::Command command, int turns, Done done) {
  if (machine_.feature_level() >= kMembersLevel || turns == 0) {
    return ProposeNow(context, std::move(command), std::move(done));
  }
  executor_.After(kCapableTurnNs, [this, context, command = std::move(command), turns, done = std::move(done),
                                   alive = std::weak_ptr<const bool>(alive_)]() mutable {
    if (!alive.expired()) WhenCapable(context, std::move(command), turns - 1, std::move(done));
  });
}

void ClusterBackend::ProposeNow(const coord::RequestContext& context, coord::Command command, Done done) {
  Status refused = CheckMemberChange(command.body);
  if (!refused.ok()) {
    return executor_.Post([done = std::move(done), refused = std::move(refused)] { done(refused); });
  }
  if (const ReplicaId leaving = LeavingMember(command.body); leaving && leaving != self_) {
    done = [this, leaving, done = std::move(done)](Result<coord::CommandOutcome> outcome) {
      if (!outcome.ok() || !outcome->status.ok()) return done(std::move(outcome));
      WhenGone(leaving, kGoneTurnsMax, [done, outcome = std::move(outcome)]() mutable { done(std::move(outcome)); });
    };
  }
  const std::uint64_t cost = quota_bytes_ == 0 ? 0 : coord::SpaceCost(command.body);
  if (cost == 0) return Submit(context, std::move(command), std::move(done));
  // As etcd: whoever meets the limit raises the alarm, and the request that met it is refused.
  if (OverQuota(cost)) return RaiseNoSpace([done = std::move(done)] { done(NoSpace()); });
  Submit(context, std::move(command), [this, done = std::move(done)](Result<coord::CommandOutcome> outcome) {
    if (outcome.ok() && outcome->status.ok() && OverQuota(0)) RaiseNoSpace([] {});  // several passed at once
    done(std::move(outcome));
  });
}

// As etcd's answer does, this one means that the member's vote is needed no more: whoever reads it may stop the
// process.
void ClusterBackend::WhenGone(ReplicaId member, int turns, std::function<void()> done) {
  const consensus::Membership& now = group_.membership();
  const bool gone = now.outgoing.empty() && !consensus::IsVoter(now, member);
  if (gone || turns == 0) return done();
  executor_.After(kGoneTurnNs,
                  [this, member, turns, done = std::move(done), alive = std::weak_ptr<const bool>(alive_)]() mutable {
                    if (!alive.expired()) WhenGone(member, turns - 1, std::move(done));
                  });
}

bool ClusterBackend::OverQuota(std::uint64_t cost) const {
  return machine_.size_bytes() + cost >= static_cast<std::uint64_t>(quota_bytes_);
}

void ClusterBackend::RaiseNoSpace(std::function<void()> done) {
  const coord::Alarm alarm{self_, coord::AlarmType::kNoSpace};
  const std::vector<coord::Alarm> active = machine_.alarms();
  if (raising_ || std::find(active.begin(), active.end(), alarm) != active.end()) {
    return executor_.Post(std::move(done));
  }
  raising_ = true;
  LogWarn("the keyspace has reached --quota-backend-bytes (" + std::to_string(quota_bytes_) +
          "): raising the alarm NOSPACE. To write again: compact or delete, then quorate alarm disarm");
  Submit({}, coord::Command{{}, coord::AlarmRequest{true, alarm}},
         [this, done = std::move(done)](const Result<coord::CommandOutcome>&) {
           raising_ = false;
           done();
         });
}

void ClusterBackend::Submit(const coord::RequestContext& context, coord::Command command, Done done) {
  command.envelope.principal = context.principal;
  command.envelope.trace_id = context.trace_id;
  group_.Propose(coord::EncodeCommand(command), context.deadline_ns,
                 [done = std::move(done)](replica::ProposeResult result) {
                   if (result.fate != replica::Fate::kApplied) {
                     done(FromFate(result.fate));
                     return;
                   }
                   auto* outcome = dynamic_cast<coord::CommandOutcome*>(result.outcome.get());
                   CHECK(outcome != nullptr) << "a command was executed without an outcome";
                   done(std::move(*outcome));
                 });
}

bool ClusterBackend::Leads() const {
  return group_.status().leadership.role == consensus::Role::kLeader;
}

Status ClusterBackend::CheckMemberChange(const coord::CommandBody& body) const {
  if (machine_.feature_level() < kMembersLevel) return Status::Ok();  // apply has the word for that
  const std::vector<coord::MemberInfo> members = machine_.members();
  if (const auto* add = std::get_if<coord::AddMember>(&body)) {
    if (!add->learner && !coord::EnoughStarted(members, 1, 0, ReplicaId())) return NotEnoughStarted();
    return CheckCanGrow(members, ReplicaId());
  }
  if (const auto* replace = std::get_if<coord::ReplaceMember>(&body)) return CheckCanGrow(members, replace->old_id);
  if (const auto* remove = std::get_if<coord::RemoveMember>(&body)) return CheckCanRemove(members, remove->id);
  if (const auto* promote = std::get_if<coord::PromoteMember>(&body)) return CheckCanPromote(members, promote->id);
  return Status::Ok();
}

// Every voter but the one that leaves must be there.
Status ClusterBackend::CheckCanGrow(const std::vector<coord::MemberInfo>& members, ReplicaId leaving) const {
  RETURN_IF_ERROR(surroundings_.prepare_to_grow());
  const std::set<ReplicaId> linked = surroundings_.linked();
  for (const coord::MemberInfo& member : members) {
    if (member.learner || member.id == leaving || member.id == self_) continue;
    if (!linked.contains(member.id)) return UnhealthyCluster();
  }
  return Status::Ok();
}

// A voter that cannot be reached is no part of the quorum that works; another leaves only if the rest is one.
Status ClusterBackend::CheckCanRemove(const std::vector<coord::MemberInfo>& members, ReplicaId leaving) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.id == leaving; });
  if (found == members.end() || found->learner) return Status::Ok();
  if (!coord::EnoughStarted(members, 0, 0, leaving)) return NotEnoughStarted();
  const std::set<ReplicaId> linked = surroundings_.linked();
  if (leaving != self_ && !linked.contains(leaving)) return Status::Ok();
  std::size_t voters = 0;
  std::size_t active = 0;
  for (const coord::MemberInfo& member : members) {
    if (member.learner) continue;
    ++voters;
    if (member.id == self_ || linked.contains(member.id)) ++active;
  }
  return active - 1 < 1 + (voters - 1) / 2 ? UnhealthyCluster() : Status::Ok();
}

// The leader knows how far it is; elsewhere, being reached and having started must do (the table says the latter), and
// consensus waits for the rest in any case.
Status ClusterBackend::CheckCanPromote(const std::vector<coord::MemberInfo>& members, ReplicaId learner) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.id == learner; });
  if (found == members.end() || !found->learner) return Status::Ok();
  const bool ready = Leads() ? surroundings_.caught_up().contains(learner) : surroundings_.linked().contains(learner);
  return ready ? Status::Ok() : LearnerNotReady();
}

void ClusterBackend::ReadBarrier(const coord::RequestContext& context, std::function<void(Status)> done) {
  group_.ReadBarrier(context.deadline_ns, [done = std::move(done)](replica::Fate fate) { done(FromFate(fate)); });
}

coord::ClusterView ClusterBackend::cluster() const {
  const replica::GroupStatus status = group_.status();
  coord::ClusterView view;
  view.cluster = cluster_;
  view.self = self_;
  view.leader = status.leadership.leader.value_or(ReplicaId());
  view.term = status.leadership.ballot.number;
  view.commit = status.commit;
  view.applied = status.applied;
  view.self_is_learner = status.leadership.role == consensus::Role::kLearner;
  return view;
}

std::vector<coord::MemberInfo> ClusterBackend::members() const {
  std::vector<coord::MemberInfo> known = machine_.members();
  if (machine_.feature_level() >= kMembersLevel && !known.empty()) return known;
  std::vector<coord::MemberInfo> out;
  for (const Member& member : first_members_) {
    coord::MemberInfo info{member.id, member.name, {"http://" + member.peer.ToString()}, {}, false};
    for (const coord::MemberInfo& published : known) {
      if (published.id == member.id) info.client_urls = published.client_urls;
    }
    out.push_back(std::move(info));
  }
  return out;
}

void ClusterBackend::MoveLeader(const coord::RequestContext& context, ReplicaId to, std::function<void(Status)> done) {
  const auto later = [&](Status status) {
    executor_.Post([done = std::move(done), status = std::move(status)] { done(status); });
  };
  const Status bad = Status::FailedPrecondition("etcdserver: bad leader transferee");
  if (!Leads()) return later(Status::FailedPrecondition("etcdserver: not leader"));
  const std::vector<coord::MemberInfo> known = members();
  const bool may = std::any_of(known.begin(), known.end(),
                               [to](const coord::MemberInfo& member) { return member.id == to && !member.learner; });
  if (!may) return later(bad);
  if (to == self_) return later(Status::Ok());
  group_.TransferLeadership(to, context.deadline_ns, [done = std::move(done), bad](replica::Fate fate) {
    switch (fate) {
      case replica::Fate::kNoLeader:
        return done(Status::FailedPrecondition("etcdserver: not leader"));
      case replica::Fate::kRefused:
        return done(bad);
      case replica::Fate::kTimedOut:
      case replica::Fate::kLeaderLost:
        return done(Status::Unavailable("etcdserver: request timed out, leader transfer took too long"));
      default:
        return done(FromFate(fate));
    }
  });
}

void ClusterBackend::OfferSnapshots(replica::SnapshotMaker maker, const env::Clock& clock) {
  downloads_ = {std::move(maker), &clock, kFirstDownload, std::make_shared<const bool>(true)};
}

Result<std::unique_ptr<coord::SnapshotDownload>> ClusterBackend::OpenSnapshot() {
  if (downloads_.clock == nullptr) return Status::Unavailable("quorate: this member makes no snapshots");
  if (group_.status().installing) {
    return Status::Unavailable("quorate: this member is loading a snapshot itself: ask another one");
  }
  if (downloads_.open.use_count() > kDownloadsMax) {
    return Status::ResourceExhausted("etcdserver: too many requests: " + std::to_string(kDownloadsMax) +
                                     " snapshots are being saved from this member already; try again later");
  }
  Result<std::shared_ptr<replica::SnapshotStream>> stream =
      replica::OpenSnapshotStream(downloads_.maker, downloads_.made++, group_.core().MetaAt(machine_.applied()),
                                  machine_, executor_, *downloads_.clock);
  if (!stream.ok()) return stream.status();
  return std::unique_ptr<coord::SnapshotDownload>(
      std::make_unique<StreamDownload>(*std::move(stream), downloads_.open));
}

}  // namespace quorate::server
