#include "replica/installer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace quorate::replica {

Installer::Installer(StateMachine& machine, ApplyQueue& queue, Calls calls)
    : machine_(machine), queue_(queue), calls_(std::move(calls)), alive_(std::make_shared<const bool>(true)) {}

void Installer::Begin(Snapshots* snapshots, LogIndex log_start) {
  snapshots_ = snapshots;
  if (log_start <= machine_.applied()) return;
  queue_.Block(log_start);
  WantAnother(log_start);
  Next();
}

void Installer::WantAnother(LogIndex at_least) {
  wanted_ = std::max(wanted_, at_least);
  candidate_ = snapshots_->Find(wanted_);
  if (!candidate_) snapshots_->Want();
}

void Installer::Submitted(PersistSeq seq, const consensus::SnapshotMeta& meta) {
  queue_.Block(meta.last);
  batch_ = Batch{seq, meta};
}

void Installer::Persisted(PersistSeq seq) {
  persisted_ = seq;
  Next();
}

void Installer::Arrived(const consensus::SnapshotMeta& meta) {
  if (!wanted_ || meta.last < wanted_) return;
  candidate_ = meta;
  Next();
}

void Installer::Decided() {
  if (candidate_) Next();
}

void Installer::Next() {
  if (loading_) return;
  if (batch_) {
    if (batch_->seq > persisted_) return;
    const consensus::SnapshotMeta meta = batch_->meta;
    batch_.reset();
    Load(meta);
  } else if (wanted_ && candidate_ && candidate_->last <= queue_.decided()) {
    const consensus::SnapshotMeta meta = *std::exchange(candidate_, std::nullopt);
    Load(meta);
  }
}

void Installer::Load(const consensus::SnapshotMeta& meta) {
  CHECK(snapshots_ != nullptr) << "a snapshot was installed, and nothing can load it";
  loading_ = true;
  queue_.Block(meta.last);
  LogInfo("loading the snapshot up to entry " + std::to_string(meta.last.value));
  snapshots_->Load(meta, [this, meta, alive = std::weak_ptr<const bool>(alive_)](const Status& status) {
    if (!alive.expired()) OnLoaded(meta, status);
  });
}

void Installer::OnLoaded(const consensus::SnapshotMeta& meta, const Status& status) {
  loading_ = false;
  if (status.code() == StatusCode::kDataLoss || status.code() == StatusCode::kNotFound) {
    LogError("the snapshot up to entry " + std::to_string(meta.last.value) +
             " cannot be used, another one is asked for: " + status.message());
    WantAnother(meta.last);
  } else if (!status.ok()) {
    calls_.failed(status);
    return;
  } else {
    CHECK(machine_.applied() == meta.last)
        << "the snapshot up to " << meta.last.value << " left the machine at " << machine_.applied().value;
    ++installed_;
    LogInfo("the snapshot up to entry " + std::to_string(meta.last.value) + " is loaded");
    if (machine_.applied() >= wanted_) wanted_ = LogIndex();
    if (!batch_ && !wanted_) {
      candidate_.reset();
      queue_.Unblock();
    }
    calls_.installed();
  }
  Next();
}

}  // namespace quorate::replica
