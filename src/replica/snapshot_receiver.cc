#include "replica/snapshot_receiver.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/probe.h"
#include "replica/snapshot_directory.h"

namespace quorate::replica {
namespace {

constexpr std::uint64_t kTickNs = 200'000'000;

Status RemoveIfThere(env::Disk& disk, const std::string& path) {
  return disk.Exists(path) ? RemoveSnapshotFile(disk, path) : Status::Ok();
}

}  // namespace

struct SnapshotReceiver::Incoming {
  Incoming(ReplicaId sender, const SnapshotOffer& what, SnapshotExpectation expected)
      : from(sender), offer(what), reader(expected, false) {}

  ReplicaId from;
  SnapshotOffer offer;
  SnapshotReader reader;
  std::unique_ptr<env::File> file;
  std::string buffer;  // checked, not yet written
  std::uint64_t written = 0;
  std::uint64_t unsynced = 0;
  bool syncing = false;
  bool complete = false;  // durable, and under its final name
  std::uint64_t heard_at_ns = 0;
};

SnapshotReceiver::SnapshotReceiver(SnapshotReceiverOptions options, env::Disk& disk, env::Executor& executor,
                                   const env::Clock& clock, SnapshotReceiverHost& host)
    : options_(options),
      disk_(disk),
      executor_(executor),
      clock_(clock),
      host_(host),
      alive_(std::make_shared<const bool>(true)) {}

SnapshotReceiver::~SnapshotReceiver() {
  if (timer_ != 0) executor_.Cancel(timer_);
}

void SnapshotReceiver::Want() {
  wanted_ = true;
  ScheduleTick();
  AskIfWanted();
}

void SnapshotReceiver::StopWanting() {
  wanted_ = false;
}

void SnapshotReceiver::SetLeader(ReplicaId leader) {
  leader_ = leader;
  AskIfWanted();
}

void SnapshotReceiver::AskIfWanted() {
  if (!wanted_ || !leader_) return;
  const std::uint64_t now = clock_.MonotonicNs();
  if (incoming_ != nullptr && now - incoming_->heard_at_ns < options_.ask_again_ns) return;
  if (incoming_ != nullptr && (incoming_->syncing || incoming_->complete)) return;
  host_.SendSnapshotMessage(leader_, SnapshotWanted{});
}

void SnapshotReceiver::OnMessage(ReplicaId from, const SnapshotOffer& message) {
  std::string why_not;
  if (message.ballot < ballot_) {
    why_not = "another member leads by now";
  } else if (message.wanted && !wanted_) {
    why_not = "it is not wanted any more";
  } else {
    why_not = host_.WhyNotSnapshot(message);
  }
  if (!why_not.empty()) {
    QUORATE_PROBE(replica_snapshot_refused);
    return host_.SendSnapshotMessage(from, SnapshotRefused{message.meta.id, why_not});
  }
  ballot_ = message.ballot;
  const bool same = incoming_ != nullptr && incoming_->from == from && incoming_->offer.meta == message.meta;
  if (!same) {
    const Status opened = Open(from, message);
    if (!opened.ok()) {
      Drop();
      return host_.SendSnapshotMessage(from, SnapshotRefused{message.meta.id, opened.message()});
    }
  }
  incoming_->offer = message;
  incoming_->heard_at_ns = clock_.MonotonicNs();
  ScheduleTick();
  if (incoming_->complete) return SayDone();
  host_.SendSnapshotMessage(from, SnapshotAccept{message.meta.id, incoming_->reader.offset()});
}

Status SnapshotReceiver::Open(ReplicaId from, const SnapshotOffer& offer) {
  Drop();
  incoming_ = std::make_unique<Incoming>(from, offer, SnapshotExpectation{options_.cluster, options_.group});
  const std::string path = SnapshotPartPath(offer.meta.id);
  RETURN_IF_ERROR(RemoveIfThere(disk_, path));
  Result<std::unique_ptr<env::File>> file = disk_.Create(path);
  if (!file.ok()) return file.status();
  incoming_->file = *std::move(file);
  LogInfo("receiving a snapshot of about " + std::to_string(offer.size_bytes >> 20) + " MiB from member " +
          std::to_string(from.value));
  return Status::Ok();
}

void SnapshotReceiver::OnMessage(ReplicaId from, const SnapshotData& message) {
  if (incoming_ == nullptr || incoming_->from != from || incoming_->offer.meta.id != message.id) return;
  Incoming& incoming = *incoming_;
  incoming.heard_at_ns = clock_.MonotonicNs();
  if (incoming.complete) return SayDone();
  if (message.offset > incoming.reader.offset()) {
    QUORATE_PROBE(replica_snapshot_frame_missing);
    return host_.SendSnapshotMessage(from, SnapshotAccept{message.id, incoming.reader.offset()});
  }
  if (message.offset + message.bytes.size() <= incoming.reader.offset()) return;  // known
  const Bytes news = message.bytes.Slice(incoming.reader.offset() - message.offset);
  if (incoming.buffer.size() + news.size() > options_.buffer_bytes_max) {
    return Fail(Status::ResourceExhausted("the sender does not wait for what it sent to be kept"));
  }
  Status status = incoming.reader.Add(news.view());
  if (status.ok() && message.last) status = incoming.reader.Finish();
  if (status.ok() && incoming.reader.header() && incoming.reader.header()->meta != incoming.offer.meta) {
    status = Status::DataLoss("the snapshot is not the one that was offered");
  }
  if (!status.ok()) return Fail(status);
  incoming.buffer.append(news.view());
  Write();
}

void SnapshotReceiver::OnMessage(ReplicaId from, const SnapshotStopped& message) {
  if (incoming_ == nullptr || incoming_->from != from || incoming_->offer.meta.id != message.id) return;
  if (incoming_->complete) return;
  LogInfo("member " + std::to_string(from.value) + " stopped sending its snapshot: " + message.why);
  Drop();
}

void SnapshotReceiver::Write() {
  Incoming& incoming = *incoming_;
  if (incoming.syncing) return;
  const bool last = incoming.reader.complete();
  if (last || incoming.unsynced + incoming.buffer.size() >= options_.sync_bytes) return WriteWithSync(last);
  if (incoming.buffer.empty()) return;
  const Status written = incoming.file->Write(incoming.written, incoming.buffer);
  if (!written.ok()) return Fail(written);
  incoming.written += incoming.buffer.size();
  incoming.unsynced += incoming.buffer.size();
  incoming.buffer.clear();
  host_.SendSnapshotMessage(incoming.from, SnapshotProgress{incoming.offer.meta.id, incoming.written, false});
}

void SnapshotReceiver::WriteWithSync(bool last) {
  Incoming& incoming = *incoming_;
  incoming.syncing = true;
  std::string bytes = std::exchange(incoming.buffer, {});
  const std::uint64_t length = bytes.size();
  incoming.file->WriteAndSync(
      incoming.written, std::move(bytes),
      [this, number = ++writes_, length, last, alive = std::weak_ptr<const bool>(alive_)](const Status& status) {
        if (!alive.expired() && number == writes_) OnSynced(status, length, last);
      });
}

void SnapshotReceiver::OnSynced(const Status& status, std::uint64_t bytes, bool last) {
  if (incoming_ == nullptr) return;
  Incoming& incoming = *incoming_;
  incoming.syncing = false;
  if (!status.ok()) return Fail(status);
  incoming.written += bytes;
  incoming.unsynced = 0;
  if (last) return Complete();
  host_.SendSnapshotMessage(incoming.from, SnapshotProgress{incoming.offer.meta.id, incoming.written, false});
  Write();
}

void SnapshotReceiver::Complete() {
  Incoming& incoming = *incoming_;
  incoming.file = nullptr;
  const std::uint64_t id = incoming.offer.meta.id;
  Status named = disk_.Rename(SnapshotPartPath(id), SnapshotPath(id));
  if (named.ok()) named = disk_.SyncDirectory(kSnapshotDirectory);
  if (!named.ok()) return Fail(named);
  incoming.complete = true;
  ++status_.received;
  LogInfo("received a snapshot of " + std::to_string(incoming.written) + " bytes, up to entry " +
          std::to_string(incoming.offer.meta.last.value));
  SayDone();
  const bool wanted = incoming.offer.wanted;
  if (wanted) wanted_ = false;
  host_.OnSnapshotReceived(incoming.from, *incoming.reader.header(), wanted);
}

void SnapshotReceiver::SayDone() {
  host_.SendSnapshotMessage(incoming_->from, SnapshotProgress{incoming_->offer.meta.id, incoming_->written, true});
}

void SnapshotReceiver::Fail(const Status& why) {
  LogWarn("a snapshot could not be received: " + why.message());
  ++status_.failed;
  host_.SendSnapshotMessage(incoming_->from, SnapshotRefused{incoming_->offer.meta.id, why.message()});
  Drop();
}

void SnapshotReceiver::Drop() {
  if (incoming_ == nullptr) return;
  ++writes_;  // a write under way is nobody's any more
  const bool complete = incoming_->complete;
  const std::uint64_t id = incoming_->offer.meta.id;
  incoming_ = nullptr;
  if (complete) return;
  const Status removed = RemoveIfThere(disk_, SnapshotPartPath(id));
  if (!removed.ok()) LogWarn(removed.message());
}

void SnapshotReceiver::ScheduleTick() {
  if (timer_ != 0) return;
  timer_ = executor_.After(kTickNs, [this] {
    timer_ = 0;
    OnTick();
  });
}

void SnapshotReceiver::OnTick() {
  if (incoming_ != nullptr && !incoming_->syncing &&
      clock_.MonotonicNs() - incoming_->heard_at_ns >= options_.keep_ns) {
    Drop();
  }
  AskIfWanted();
  if (wanted_ || incoming_ != nullptr) ScheduleTick();
}

SnapshotReceiverStatus SnapshotReceiver::status() const {
  SnapshotReceiverStatus status = status_;
  if (incoming_ == nullptr || incoming_->complete) return status;
  status.receiving = true;
  status.bytes = incoming_->written;
  status.bytes_total = incoming_->offer.size_bytes;
  return status;
}

}  // namespace quorate::replica
