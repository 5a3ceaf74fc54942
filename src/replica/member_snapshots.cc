#include "replica/member_snapshots.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "replica/snapshot_directory.h"

namespace quorate::replica {
namespace {

class MemberSnapshots final : public Snapshots, private SnapshotSenderHost, private SnapshotReceiverHost {
 public:
  MemberSnapshots(const MemberSnapshotsOptions& options, env::Disk& disk, env::Executor& executor,
                  const env::Clock& clock, SnapshotHost& host, StateMachine& machine)
      : maker_(options.maker),
        disk_(disk),
        executor_(executor),
        clock_(clock),
        host_(host),
        machine_(machine),
        alive_(std::make_shared<const bool>(true)),
        sender_(options.sender, executor, clock, *this),
        receiver_(ReceiverOptions(options), disk, executor, clock, *this) {
    for (const std::uint64_t id : ListSnapshots(disk_)) {
      const Result<SnapshotHeader> header = ReadSnapshotHeader(disk_, SnapshotPath(id));
      const Status good = header.ok() ? Check(*header) : header.status();
      if (good.ok()) {
        files_[id] = header->meta;
      } else {
        LogWarn(SnapshotPath(id) + " is ignored: " + good.message());
      }
    }
  }

  // ---- Snapshots
  void OnLeadership(const consensus::Leadership& leadership) override {
    const bool leads = leadership.role == consensus::Role::kLeader;
    ballot_ = leadership.ballot.number;
    if (!leads) sender_.StopAll();
    const ReplicaId leader = leadership.leader.value_or(ReplicaId());
    receiver_.SetLeader(leader == maker_.self ? ReplicaId() : leader);
    leads_ = leads;
  }
  void Send(ReplicaId to) override { sender_.Send(to, ballot_); }
  void Want() override { receiver_.Want(); }
  void OnLinkDown(ReplicaId peer) override { sender_.OnLinkDown(peer); }
  bool OnFrame(ReplicaId from, const Bytes& payload) override {
    std::optional<SnapshotMessage> message = DecodeSnapshotMessage(payload);
    if (message) std::visit([&](const auto& m) { OnMessage(from, m); }, *message);
    return message.has_value();
  }
  std::optional<consensus::SnapshotMeta> Find(LogIndex at_least) const override {
    std::optional<consensus::SnapshotMeta> oldest;
    for (const auto& [id, meta] : files_) {
      if (meta.last >= at_least && (!oldest || meta.last < oldest->last)) oldest = meta;
    }
    return oldest;
  }
  void Load(const consensus::SnapshotMeta& meta, std::function<void(Status)> done) override {
    // What is installed may have been written down with less than what the file says: the file is found by its id, or
    // by what it contains.
    std::uint64_t id = meta.id;
    if (!files_.contains(id)) {
      const std::optional<consensus::SnapshotMeta> other = Find(meta.last);
      if (other && other->last == meta.last) id = other->id;
    }
    load_ = LoadSnapshot(disk_, executor_, id, {maker_.cluster, maker_.group}, machine_,
                         [this, id, done = std::move(done)](const Result<SnapshotHeader>& header) {
                           // The handle must not go while it is calling.
                           executor_.Post([finished = std::shared_ptr<SnapshotLoad>(std::move(load_))] {});
                           OnLoaded(id, header.status());
                           done(header.status());
                         });
  }
  void RemoveUpTo(LogIndex flushed) override {
    for (auto at = files_.begin(); at != files_.end();) {
      at = at->second.last <= flushed && Remove(at->first) ? files_.erase(at) : std::next(at);
    }
  }
  SnapshotTraffic traffic() const override {
    const SnapshotSenderStatus sender = sender_.status();
    return {sender.bytes_sent, received_bytes_, sender.sending_ns};
  }
  std::optional<SnapshotsUnderWay> under_way() const override { return sender_.under_way(); }

 private:
  static SnapshotReceiverOptions ReceiverOptions(const MemberSnapshotsOptions& options) {
    SnapshotReceiverOptions receiver = options.receiver;
    receiver.cluster = options.maker.cluster;
    receiver.group = options.maker.group;
    return receiver;
  }
  Status Check(const SnapshotHeader& header) const {
    if (header.cluster == maker_.cluster && header.group == maker_.group) return Status::Ok();
    return Status::FailedPrecondition("it is of another cluster or group");
  }
  // Not from inside a call of the group's.
  template <class Task>
  void Later(Task task) {
    executor_.Post([task = std::move(task), alive = std::weak_ptr<const bool>(alive_)] {
      if (!alive.expired()) task();
    });
  }

  void OnMessage(ReplicaId from, const SnapshotWanted&) {
    if (leads_) sender_.OnWanted(from, ballot_);
  }
  void OnMessage(ReplicaId from, const SnapshotAccept& message) { sender_.OnMessage(from, message); }
  void OnMessage(ReplicaId from, const SnapshotRefused& message) { sender_.OnMessage(from, message); }
  void OnMessage(ReplicaId from, const SnapshotProgress& message) { sender_.OnMessage(from, message); }
  void OnMessage(ReplicaId from, const SnapshotOffer& message) { receiver_.OnMessage(from, message); }
  void OnMessage(ReplicaId from, const SnapshotData& message) {
    received_bytes_ += message.bytes.size();
    receiver_.OnMessage(from, message);
  }
  void OnMessage(ReplicaId from, const SnapshotStopped& message) { receiver_.OnMessage(from, message); }

  // ---- SnapshotSenderHost
  Result<std::shared_ptr<SnapshotStream>> OpenSnapshotStream() override {
    const std::optional<consensus::SnapshotMeta> meta = host_.MetaNow();
    if (!meta) return Status::Unavailable("this member is loading a snapshot itself");
    return replica::OpenSnapshotStream(maker_, ++made_, *meta, machine_, executor_, clock_);
  }
  bool SnapshotIsUseful(const consensus::SnapshotMeta& meta) const override { return host_.LogFollows(meta.last); }
  void SendSnapshotMessage(ReplicaId to, const SnapshotMessage& message) override {
    host_.SendFrame(to, EncodeSnapshotMessage(message));
  }
  void OnSnapshotSent(ReplicaId to, const consensus::SnapshotMeta& meta, bool delivered) override {
    Later([this, to, meta, delivered] { host_.OnSent(to, meta, delivered); });
  }

  // ---- SnapshotReceiverHost
  std::string WhyNotSnapshot(const SnapshotOffer& offer) const override {
    return host_.WhyNot(offer.meta.last, offer.wanted);
  }
  void OnSnapshotReceived(ReplicaId from, const SnapshotHeader& header, bool) override {
    files_[header.meta.id] = header.meta;
    receiver_.StopWanting();
    Later([this, from, meta = header.meta] { host_.OnArrived(from, meta); });
  }

  void OnLoaded(std::uint64_t id, const Status& status) {
    if (status.code() != StatusCode::kDataLoss && status.code() != StatusCode::kNotFound) return;
    files_.erase(id);
    if (disk_.Exists(SnapshotPath(id))) Remove(id);
  }
  bool Remove(std::uint64_t id) {
    Status removed = RemoveSnapshotFile(disk_, SnapshotPath(id));
    if (removed.ok()) removed = disk_.SyncDirectory(kSnapshotDirectory);
    if (!removed.ok()) LogWarn("a snapshot that is not needed any more stays: " + removed.message());
    return removed.ok();
  }

  const SnapshotMaker maker_;
  env::Disk& disk_;
  env::Executor& executor_;
  const env::Clock& clock_;
  SnapshotHost& host_;
  StateMachine& machine_;
  std::map<std::uint64_t, consensus::SnapshotMeta> files_;  // whole ones, by id
  std::uint64_t made_ = 0;
  std::uint64_t ballot_ = 0;
  bool leads_ = false;
  std::uint64_t received_bytes_ = 0;
  std::unique_ptr<SnapshotLoad> load_;
  std::shared_ptr<const bool> alive_;
  SnapshotSender sender_;
  SnapshotReceiver receiver_;
};

}  // namespace

std::unique_ptr<Snapshots> MakeMemberSnapshots(const MemberSnapshotsOptions& options, env::Disk& disk,
                                               env::Executor& executor, const env::Clock& clock, SnapshotHost& host,
                                               StateMachine& machine) {
  return std::make_unique<MemberSnapshots>(options, disk, executor, clock, host, machine);
}

Result<std::shared_ptr<SnapshotStream>> OpenSnapshotStream(const SnapshotMaker& maker, std::uint64_t number,
                                                           consensus::SnapshotMeta meta, StateMachine& machine,
                                                           env::Executor& executor, const env::Clock& clock) {
  std::shared_ptr<SnapshotSource> source = machine.OpenSnapshot();
  if (source == nullptr) return Status::Unavailable("the state cannot be copied now");
  CHECK(source->applied() == meta.last) << "a snapshot of entry " << source->applied().value << " under the name of "
                                        << meta.last.value;
  SnapshotHeader header;
  header.cluster = maker.cluster;
  header.group = maker.group;
  header.meta = std::move(meta);
  header.meta.id = MakeSnapshotId(maker.cluster, maker.self, maker.incarnation, number);
  header.revision = source->revision();
  header.feature_level = maker.feature_level ? maker.feature_level() : 0;
  header.state_hash = source->state_hash();
  header.created_wall_ns = clock.WallNs();
  return std::make_shared<SnapshotStream>(std::move(header), std::move(source), executor);
}

}  // namespace quorate::replica
