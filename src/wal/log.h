// The durable log of one node, shared by all its consensus groups: group-committed batches, hard state, identity,
// recovery.
//
// Called by replica::Driver (Submit, Load) and by server/ and sim/ (Open). Thread rule: the owner executor's thread;
// callbacks run on it, never from inside the call. Format and damage rules: wal/format.h and docs/disk-format.md.
//
// Invariants:
//  1. Batches of one group become durable in seq order, each as a whole; one append and one sync carry whatever all
//     groups had queued when the previous sync returned. Over all groups they become durable in the order of Submit.
//  2. A batch's `done` runs only after the sync that began after its last byte was written.
//  3. Write N+1 begins after the sync of N returned, and carries a durable mark for N; a lone mark follows within
//     100 ms and at Close. So a bad batch whose mark exists is damage, and one without a mark is torn and may be cut:
//     it was never acknowledged.
//  4. After a failed write or sync the log accepts nothing more and calls `on_failure` once (a sync that failed may
//     have dropped the dirty pages: trying again would lie).
//  5. What a group released, and only that, is missing after a start: recovered.snapshot is the last release's meta,
//  and
//     the log after it is whole. Files go once no group needs anything in them and a durable write says so.
//
// Memory: 16 bytes for each entry that Load can still give (where it stands), each group's hard state, and the batches
// on their way to disk; payloads are read back from the files. How much may be on its way is bounded by the cores
// (consensus::Options); 1 GiB is a CHECK.
//
// A full disk: segments are allocated before they are needed, and the file `reserve` is one more. When the next
// segment cannot be allocated, `on_space(true)` asks the server to refuse new client writes; what still comes is
// written to the present segment and then to the reserve. When that is full too, batches wait, as on a slow disk. Once
// a second the log tries again, and `on_space(false)` says that there is room for both. No write is begun that may find
// no room half way.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/executor.h"

namespace quorate::wal {

// Who this directory belongs to. A directory of another cluster, member or protocol is refused with a message that
// names both.
struct Identity {
  ClusterId cluster;
  ReplicaId self;
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  friend bool operator==(const Identity&, const Identity&) = default;
};

struct LogOptions {
  Identity identity;
  std::string directory = "wal";              // below the disk's root
  std::uint64_t segment_bytes = 16 << 20;     // allocated at once; a larger batch makes its segment larger
  std::uint64_t mark_delay_ns = 100'000'000;  // when a lone durable mark follows a batch
  bool alone = false;                         // the cluster's only member: the advice on damage differs
  // Released segments are kept in `directory`/archive for this long, for point-in-time restore; 0 = not at all.
  std::uint64_t retention_ns = 0;
  const env::Clock* clock = nullptr;       // names them by their time; needed with retention_ns only
  std::function<void(Status)> on_failure;  // the disk failed: the node must stop
  std::function<void(bool low)> on_space;  // the disk is full, or no longer; may be empty
};

struct LogStats {
  std::uint64_t batches = 0;     // WriteBatches made durable
  std::uint64_t syncs = 0;       // syncs they took
  std::uint64_t bytes = 0;       // written
  std::uint64_t segments = 0;    // on disk now, the archive not counted
  std::uint64_t released = 0;    // segments removed or archived in this life
  std::uint64_t rewritten = 0;   // entries rewritten forward
  std::uint64_t disk_bytes = 0;  // as bytes()
  bool low_on_space = false;
};

class Log {
 public:
  // Opens or creates. Recovery reads everything once, cuts a torn tail (says so in the log), and refuses damage with
  // file, offset and what to do (DATA_LOSS). Raises the incarnation durably.
  static Result<std::unique_ptr<Log>> Open(env::Disk& disk, env::Executor& executor, LogOptions options);
  virtual ~Log() = default;

  virtual Incarnation incarnation() const = 0;
  virtual bool fresh() const = 0;  // the directory was created by this Open
  // What recovery found for a group (empty for a new one); moves it out.
  virtual consensus::Recovered TakeRecovered(GroupId group) = 0;

  // Makes a batch durable, then calls `done` (batch.sync = false: may wait for the next batch that syncs).
  virtual void Submit(GroupId group, consensus::WriteBatch batch, std::function<void()> done) = 0;
  // Reads entries of [first, last] back, at most bytes_max of payload but at least one; gives none when `first` is not
  // there any more, or was released and its file is damaged (the log says so). Sees every batch submitted before it.
  // Reads files on the executor's thread, so keep bytes_max low enough for a reactor (a message's worth).
  virtual void Load(GroupId group, consensus::LoadLog wanted,
                    std::function<void(std::vector<consensus::Entry>)> done) = 0;
  // The state machine needs nothing up to meta.last again: after a start, recovered.snapshot is `meta` and the log
  // begins after it. Entries from `keep_from` on (at most meta.last + 1) can still be loaded in this life, for
  // followers; those below are gone at once. `meta` must say ballot and membership as of meta.last
  // (consensus::Core::MetaAt). Durable with the next write, or within twice mark_delay_ns; until then a start finds the
  // former state, which is as good. Call it often (each 16 MiB or so): what is not released is read at a start and held
  // in memory. A `meta` that is not newer than the last only moves keep_from. One beyond the end of the log is ignored:
  // it must be told again.
  virtual void Release(GroupId group, const consensus::SnapshotMeta& meta, LogIndex keep_from) = 0;
  void Release(GroupId group, const consensus::SnapshotMeta& meta) { Release(group, meta, meta.last.Next()); }
  // The lowest index that Load gives, if the log holds any from there on.
  virtual LogIndex first(GroupId group) const = 0;
  virtual std::uint64_t bytes() const = 0;  // of segments on disk, the archive not counted
  virtual bool low_on_space() const = 0;    // what on_space said last

  // Writes the last durable mark and syncs; blocking, for SIGTERM. Nothing may be submitted afterwards. A write under
  // way is left to end by itself: it carries the mark for the one before it, and nobody was told of its own batches.
  virtual Status Close() = 0;
  virtual LogStats stats() const = 0;
};

}  // namespace quorate::wal
