// Machine: the replicated state machine of one group. Executes decided commands against the store, and answers this
// member's reads.
//
// Called by replica::Group (StateMachine), by frontends for reads and watches, and by server/ and sim/ for the leader's
// timers. Thread rule: the group's executor thread only.
//
// Invariants:
//  1. Deterministic: the same entries give the same tables, hash and outcomes on every member and in every life.
//  2. Every operation passes Admission (coord/admission.h) first.
//  3. A command is executed whole or refused whole; a refused one changes no table but time.
//  4. A revision is taken exactly when a command makes at least one record.
#pragma once

#include <cstdint>
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

namespace quorate::coord {

struct MachineOptions {
  std::int64_t min_lease_ttl = 2;                      // seconds; etcd: ceil(1.5 election timeouts of 1 s)
  std::uint64_t time_interval_ns = 1'000'000'000;      // with leases alive, cluster time is logged at least this often
  std::uint32_t feature_level_max = kFeatureLevelMax;  // what this build knows; less only in tests
};

struct HashKv {
  std::uint32_t hash = 0;
  Revision compact_revision = 0;
  Revision hash_revision = 0;
};

class Machine : public replica::StateMachine {
 public:
  // The engine holds the replicated tables; empty at this stage at every start, so everything is replayed from the log.
  static std::unique_ptr<Machine> Make(MachineOptions options, store::Engine& engine);

  // ---- reads of this member's state (linearizable after a ReadBarrier, serializable without) ----
  virtual Revision revision() const = 0;
  virtual Revision compact_revision() const = 0;
  virtual Result<RangeResponse> Range(const RangeRequest& request) const = 0;
  virtual Result<TxnResponse> ReadTxn(const TxnRequest& request) const = 0;  // REQUIRES IsReadOnly(request)
  virtual std::optional<LeaseInfo> Lease(std::int64_t id, bool with_keys) const = 0;
  virtual std::vector<std::int64_t> Leases() const = 0;
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

  // On the leader, about every 100 ms: what its clocks now ask for (expiries in bounded batches, AdvanceTime). Empty
  // elsewhere.
  virtual std::vector<Command> Due(std::uint64_t monotonic_ns) = 0;
};

// Whether every operation is a plain Range (etcd's rule: a nested transaction, even a read-only one, goes through the
// log).
bool IsReadOnly(const TxnRequest& request);

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
