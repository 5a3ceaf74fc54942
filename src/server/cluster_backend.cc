#include "server/cluster_backend.h"

#include <utility>

#include "base/check.h"

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
      return Status::ResourceExhausted("etcdserver: mvcc: database space exceeded");
    case replica::Fate::kNotReady:
      return Status::Unavailable("etcdserver: not ready: this member is loading a snapshot");
    case replica::Fate::kRefused:
      return Status::FailedPrecondition("etcdserver: the change is not possible now");
  }
  return Status::Internal("no such fate");
}

// Ids of downloads and of what the group sends to members come from the same maker.
constexpr std::uint64_t kFirstDownload = std::uint64_t{1} << 32;

class StreamDownload final : public coord::SnapshotDownload {
 public:
  explicit StreamDownload(std::shared_ptr<replica::SnapshotStream> stream) : stream_(std::move(stream)) {}
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
  std::uint64_t at_ = 0;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace

ClusterBackend::ClusterBackend(const ServeConfig& config, ReplicaId self, replica::Group& group,
                               coord::Machine& machine)
    : members_(config.members),
      cluster_(MakeClusterId(config.members, config.token)),
      self_(self),
      group_(group),
      machine_(machine) {}

void ClusterBackend::Propose(const coord::RequestContext& context, coord::Command command,
                             std::function<void(Result<coord::CommandOutcome>)> done) {
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
  std::vector<coord::MemberInfo> out;
  const std::vector<coord::MemberInfo> published = machine_.members();
  for (const Member& member : members_) {
    coord::MemberInfo info{member.id, member.name, {"http://" + member.peer.ToString()}, {}, false};
    for (const coord::MemberInfo& known : published) {
      if (known.id == member.id) info.client_urls = known.client_urls;
    }
    out.push_back(std::move(info));
  }
  return out;
}

void ClusterBackend::MoveLeader(const coord::RequestContext& context, ReplicaId to, std::function<void(Status)> done) {
  group_.TransferLeadership(to, context.deadline_ns, [done = std::move(done)](replica::Fate fate) {
    switch (fate) {
      case replica::Fate::kNoLeader:
        return done(Status::FailedPrecondition("etcdserver: not leader"));
      case replica::Fate::kRefused:
        return done(Status::FailedPrecondition("etcdserver: bad leader transferee"));
      case replica::Fate::kTimedOut:
      case replica::Fate::kLeaderLost:
        return done(Status::Unavailable("etcdserver: request timed out, leader transfer took too long"));
      default:
        return done(FromFate(fate));
    }
  });
}

void ClusterBackend::OfferSnapshots(replica::SnapshotMaker maker, env::Executor& executor, const env::Clock& clock) {
  downloads_ = {std::move(maker), &executor, &clock, kFirstDownload};
}

Result<std::unique_ptr<coord::SnapshotDownload>> ClusterBackend::OpenSnapshot() {
  if (downloads_.executor == nullptr) return Status::Unavailable("quorate: this member makes no snapshots");
  if (group_.status().installing) {
    return Status::Unavailable("quorate: this member is loading a snapshot itself: ask another one");
  }
  Result<std::shared_ptr<replica::SnapshotStream>> stream =
      replica::OpenSnapshotStream(downloads_.maker, downloads_.made++, group_.core().MetaAt(machine_.applied()),
                                  machine_, *downloads_.executor, *downloads_.clock);
  if (!stream.ok()) return stream.status();
  return std::unique_ptr<coord::SnapshotDownload>(std::make_unique<StreamDownload>(*std::move(stream)));
}

}  // namespace quorate::server
