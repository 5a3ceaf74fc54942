// Machine: the replicated state machine of one group. Executes decided commands against the store, and answers this
// member's reads.
//
// Called by replica::Group (StateMachine), by frontends for reads and watches, and by server/ and sim/ for the leader's
// timers. Thread rule: the group's executor thread only.
//
// Invariants:
//  1. Deterministic: the same entries give the same tables, hash and outcomes on every member and in every life.
//  2. Every operation passes Admission (coord/admission.h) first.
//  3. A command is executed whole or refused whole; a refused one changes no table but time, and its session's turn.
//  4. A revision is taken exactly when a command makes at least one record.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "coord/command.h"
#include "coord/watch.h"
#include "replica/state_machine.h"
#include "store/engine.h"
#include "store/mvcc.h"

namespace quorate::coord {

struct MachineOptions {
  std::int64_t min_lease_ttl = 2;                      // seconds; etcd: ceil(1.5 election timeouts of 1 s)
  std::uint64_t time_interval_ns = 1'000'000'000;      // with leases alive, cluster time is logged at least this often
  std::uint32_t feature_level_max = kFeatureLevelMax;  // what this build knows; less only in tests
  // What the keyspace may take in memory: index, cache, what is not yet durable, the recent past. 0 = no bound. The
  // index has no bound of its own: the cache gives way to it, down to an eighth.
  std::uint64_t memory_bytes = 0;
  std::uint64_t answer_bytes_max = 0;  // values in the answer of one read outside the log; 0 = no bound
  store::WriteBufferOptions buffer;    // its own bounds are taken out of memory_bytes when that is given
  // Called now and then while opening: records read, of how many (0 = not known).
  std::function<void(std::uint64_t records, std::uint64_t of)> open_progress;
};

struct HashKv {
  std::uint32_t hash = 0;
  Revision compact_revision = 0;
  Revision hash_revision = 0;
};

// In bytes and counts, for metrics.
struct MachineStats {
  store::MvccStats keyspace;
  store::EngineStats engine;
  std::uint64_t backlog = 0;         // applied and not yet durable
  std::uint64_t buffered = 0;        // with the recent past
  std::uint64_t cache_capacity = 0;  // what the index leaves of memory_bytes
};

class Machine : public replica::StateMachine {
 public:
  // Over what the engine holds: applied() is then its flushed index, and the log is replayed from there. Blocks while
  // it reads the records (not the values). DataLoss: the keyspace is damaged.
  static Result<std::unique_ptr<Machine>> Open(MachineOptions options, store::Engine& engine);
  // The same in the engine's pool; `done` on its executor.
  static void OpenApart(MachineOptions options, store::Engine& engine,
                        std::function<void(Result<std::unique_ptr<Machine>>)> done);
  // REQUIRES a good engine.
  static std::unique_ptr<Machine> Make(MachineOptions options, store::Engine& engine);

  // ---- reads of this member's state (linearizable after a ReadBarrier, serializable without) ----
  // The first three answer from inside the call when everything they read is in memory, and otherwise later, on the
  // executor, once it was read from the disk; revision() is then that of the answer.
  virtual void ReadRange(const RangeRequest& request, std::function<void(Result<RangeResponse>)> done) = 0;
  // REQUIRES IsReadOnly(request)
  virtual void ReadTxn(const TxnRequest& request, std::function<void(Result<TxnResponse>)> done) = 0;
  virtual void ReadHash(Revision at, std::function<void(Result<HashKv>)> done) = 0;  // 0 = latest
  // Whether a command, proposed now, would read more than one command may (coord/kv/kv_executor.h). Apply checks again.
  virtual Status CheckReadBytes(const CommandBody& body) const = 0;
  // What it would read, and mostly answers with; of a range without its keys.
  virtual std::uint64_t ReadBytes(const CommandBody& body) const = 0;
  virtual std::uint64_t ReadBytes(const RangeRequest& request) const = 0;
  virtual Revision revision() const = 0;
  virtual Revision compact_revision() const = 0;
  // These block on the disk when they must: for tests, tools and the simulator.
  virtual Result<RangeResponse> Range(const RangeRequest& request) const = 0;
  virtual Result<TxnResponse> ReadTxn(const TxnRequest& request) const = 0;  // REQUIRES IsReadOnly(request)
  virtual std::optional<LeaseInfo> Lease(std::int64_t id, bool with_keys) const = 0;
  virtual std::vector<std::int64_t> Leases() const = 0;
  // The last command of a native session that had its turn; empty: no such session.
  virtual std::optional<std::uint64_t> LastSequence(SessionId session) const = 0;
  virtual Result<HashKv> Hash(Revision at) const = 0;  // 0 = latest
  // The desired members (coord/cluster/members.h); up to feature level 1 those that have published themselves.
  virtual std::vector<MemberInfo> members() const = 0;
  virtual std::vector<ReplicaId> removed_members() const = 0;
  virtual std::uint64_t member_changes() const = 0;  // rises when one of the two may have changed
  virtual std::vector<Alarm> alarms() const = 0;
  virtual std::uint32_t feature_level() const = 0;
  virtual std::uint64_t size_bytes() const = 0;         // of the keyspace, retained history included
  virtual std::uint64_t size_in_use_bytes() const = 0;  // of the live keys
  virtual WatchHub& watches() = 0;
  // Above the bound of what may wait for the disk, proposals are to be slowed.
  virtual bool backlogged() const = 0;
  virtual std::uint64_t backlog_bytes() const = 0;
  // Makes everything that was applied durable: for a clean shutdown.
  virtual void FlushAll(std::function<void(Status)> done) = 0;
  virtual MachineStats stats() const = 0;

  // On the leader, about every 100 ms: what its clocks now ask for (expiries in bounded batches, AdvanceTime). Empty
  // elsewhere.
  virtual std::vector<Command> Due(std::uint64_t monotonic_ns) = 0;
};

// Whether every operation is a plain Range (etcd's rule: a nested transaction, even a read-only one, goes through the
// log).
bool IsReadOnly(const TxnRequest& request);

// Whether the command is of the member table or the alarms, which exist from feature level 2 on.
bool NeedsMembers(const CommandBody& body);

// Whether the command adds to the keyspace: what an exceeded quota refuses.
bool NeedsSpace(const CommandBody& body);
// What the command may add to it, as etcd estimates; 0 unless NeedsSpace.
std::uint64_t SpaceCost(const CommandBody& body);

// The checks that etcd makes before a request enters the log; the frontend calls them, and apply again. Texts are
// etcd's.
Status CheckRange(const RangeRequest& request);
Status CheckPut(const PutRequest& request);
Status CheckDeleteRange(const DeleteRangeRequest& request);
Status CheckTxn(const TxnRequest& request, std::size_t max_ops = 128);

}  // namespace quorate::coord
