// SnapshotSender: on the leader, brings snapshots of the state to members that need one.
//
// Owned by Group: Ready::send_snapshot calls Send, and what peers say about snapshots comes to OnMessage. Thread rule:
// the executor's thread; the host is called back from the loop and from OnMessage, OnLinkDown, StopAll, never from
// Send.
//
// Invariants:
//  1. Every Send is answered by exactly one OnSnapshotSent of that member, unless it came from SnapshotWanted.
//  2. At most window_bytes are on their way to a member: the link's queue stays short, so consensus messages do not
//  wait behind a snapshot. Over any second, no more than rate_bytes (and one frame) are sent to all together.
//  3. A source stays pinned for keep_ns after its last use. A member that comes back within that time gets the rest
//  from the offset it has; one that needs a snapshot meanwhile shares the source.
//  4. Memory: one piece (about 256 KiB) for each member that is being sent to, and SnapshotStream's for each source;
//  at most sources_max sources.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "env/clock.h"
#include "env/executor.h"
#include "replica/snapshot_message.h"
#include "replica/snapshot_stream.h"
#include "replica/snapshots.h"

namespace quorate::replica {

struct SnapshotSenderOptions {
  std::uint64_t rate_bytes = 0;            // a second, to all members together; 0 = no limit
  std::uint64_t window_bytes = 512 << 10;  // sent and not yet said to be kept, for each member
  std::uint64_t frame_bytes = 64 << 10;
  std::uint64_t keep_ns = 300'000'000'000;
  std::uint64_t share_ns = 60'000'000'000;     // a source this young serves another member too
  std::uint64_t stall_ns = 30'000'000'000;     // without a word from the receiver: given up
  std::uint64_t install_ns = 120'000'000'000;  // a member that was sent all is given this long to install it
  std::size_t sources_max = 4;
};

class SnapshotSenderHost {
 public:
  virtual ~SnapshotSenderHost() = default;
  // The state as of now.
  virtual Result<std::shared_ptr<SnapshotStream>> OpenSnapshotStream() = 0;
  // Whether the log still begins at or before the entry after meta.last: else the snapshot is of no use any more.
  virtual bool SnapshotIsUseful(const consensus::SnapshotMeta& meta) const = 0;
  virtual void SendSnapshotMessage(ReplicaId to, const SnapshotMessage& message) = 0;
  virtual void OnSnapshotSent(ReplicaId to, const consensus::SnapshotMeta& meta, bool delivered) = 0;
};

struct SnapshotSenderStatus {
  std::uint64_t sending = 0;     // members
  std::uint64_t bytes_sent = 0;  // in this life
  std::uint64_t sending_ns = 0;  // of all transfers, each since its receiver began to take it
  std::uint64_t delivered = 0;
  std::uint64_t failed = 0;
};

class SnapshotSender {
 public:
  SnapshotSender(SnapshotSenderOptions options, env::Executor& executor, const env::Clock& clock,
                 SnapshotSenderHost& host);
  ~SnapshotSender();

  // This member leads with `ballot`. A transfer to `to` that is under way goes on.
  void Send(ReplicaId to, std::uint64_t ballot);
  void OnWanted(ReplicaId from, std::uint64_t ballot);
  void OnMessage(ReplicaId from, const SnapshotAccept& message);
  void OnMessage(ReplicaId from, const SnapshotRefused& message);
  void OnMessage(ReplicaId from, const SnapshotProgress& message);
  void OnLinkDown(ReplicaId peer);
  void StopAll();  // leadership has ended: sources are let go

  SnapshotSenderStatus status() const;
  // What is being sent, and what was sent whole less than install_ns ago to a member that may be installing it.
  std::optional<SnapshotsUnderWay> under_way() const;
  // Bytes that `to` is known to keep, and about how many there are; empty when nothing is being sent to it.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> progress(ReplicaId to) const;

 private:
  struct Source;
  struct Transfer;
  struct Installation {
    SnapshotsUnderWay what;
    std::uint64_t until_ns = 0;
  };

  std::shared_ptr<Source> FindSource();
  Result<std::shared_ptr<Source>> OpenSource();
  void Begin(ReplicaId to, std::uint64_t ballot, bool wanted);
  void Offer(ReplicaId to, std::uint64_t ballot);
  void Fill(ReplicaId to);
  void Pump(ReplicaId to);
  void SendEnd(ReplicaId to, Transfer* transfer);
  bool Throttled(const Transfer& transfer) const;
  std::uint64_t SendingNs(const Transfer& transfer) const;
  bool TakeTokens(std::uint64_t bytes);
  void End(ReplicaId to, bool delivered);
  void DropOldSources();
  void ScheduleTick();
  void OnTick();
  Transfer* Find(ReplicaId to, std::uint64_t id);
  template <class Task>
  auto Guarded(Task task);

  const SnapshotSenderOptions options_;
  env::Executor& executor_;
  const env::Clock& clock_;
  SnapshotSenderHost& host_;
  std::map<ReplicaId, std::unique_ptr<Transfer>> transfers_;
  std::map<std::uint64_t, std::shared_ptr<Source>> sources_;  // by snapshot id
  std::map<ReplicaId, std::uint64_t> last_source_;            // what each member has begun to receive
  std::map<ReplicaId, Installation> installations_;
  SnapshotSenderStatus status_;
  struct {
    std::uint64_t available = 0;
    std::uint64_t filled_at_ns = 0;
  } bucket_;
  std::uint64_t turn_ = 0;
  std::uint64_t numbers_ = 0;  // of transfers
  env::TimerId timer_ = 0;
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::replica
