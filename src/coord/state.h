// State: the replicated state of one group over one engine: the write buffer, the keyspace, and the views of the small
// tables. Replaced as a whole when a snapshot is installed.
//
// Owned by Machine. Thread rule: the owner's thread.
#pragma once

#include <memory>

#include "base/result.h"
#include "coord/admission.h"
#include "coord/cluster/alarms.h"
#include "coord/cluster/feature_level.h"
#include "coord/cluster/members.h"
#include "coord/kv/kv_executor.h"
#include "coord/machine.h"
#include "coord/session/sessions.h"
#include "coord/tables.h"
#include "coord/time/cluster_time.h"
#include "store/mvcc.h"
#include "store/write_buffer.h"

namespace quorate::coord {

struct State {
  // Reads what the engine holds; blocks, on any thread. The owner calls mvcc->Start().
  static Result<std::unique_ptr<State>> Open(const MachineOptions& options, store::Engine& engine);
  // Divides memory_bytes anew: what the index and the buffer leave is the cache's.
  void Balance(std::uint64_t memory_bytes);

  std::unique_ptr<store::WriteBuffer> buffer;
  std::unique_ptr<store::Mvcc> mvcc;
  Tables tables;
  ClusterTime cluster_time;
  Sessions sessions;
  Members members;
  Alarms alarms;
  FeatureLevel level;
  Admission admission;
  KvExecutor kv;
  std::uint64_t cache_capacity = 0;

 private:
  State(const MachineOptions& options, std::unique_ptr<store::WriteBuffer> opened_buffer,
        std::unique_ptr<store::Mvcc> opened_mvcc);
};

}  // namespace quorate::coord
