// Backend: what a frontend sees of the cluster. server/ implements it over replica::Group; tests may fake it.
//
// Every call is asynchronous and answered exactly once, on the caller's reactor thread, never from inside the call.
// Errors are Status values whose texts are etcd's (the native ones); a frontend of another protocol maps the code.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "coord/command.h"
#include "coord/machine.h"

namespace quorate::coord {

// What a request brings along besides its body.
struct RequestContext {
  std::uint64_t deadline_ns = 0;  // of the monotonic clock; 0 = the server's default (7 s)
  std::string principal;          // empty until auth exists
  std::uint64_t trace_id = 0;
};

struct ClusterView {
  ClusterId cluster;
  ReplicaId self;
  ReplicaId leader;        // 0 = none known
  std::uint64_t term = 0;  // the ballot's number
  LogIndex commit;
  LogIndex applied;
  bool self_is_learner = false;
};

// The whole state of this member as the bytes of a snapshot file (docs/disk-format.md), as of when it was opened.
class SnapshotDownload {
 public:
  struct Piece {
    Bytes bytes;
    bool last = false;
  };
  virtual ~SnapshotDownload() = default;
  virtual std::uint64_t size_estimate_bytes() const = 0;
  // The bytes that follow, a few hundred KiB. One call at a time, none after the last; `done` is never called from
  // inside, and not at all once this is destroyed.
  virtual void Next(std::function<void(Result<Piece>)> done) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  // Proposes; the Outcome is what Machine::Apply gave for it. Status when it was refused, timed out, or its leader was
  // lost.
  virtual void Propose(const RequestContext& context, Command command,
                       std::function<void(Result<CommandOutcome>)> done) = 0;
  // Ok once machine() covers every write that was acknowledged before this call.
  virtual void ReadBarrier(const RequestContext& context, std::function<void(Status)> done) = 0;
  virtual Machine& machine() = 0;  // reads and watches of this member; on the reactor's thread
  virtual ClusterView cluster() const = 0;
  virtual std::vector<MemberInfo> members() const = 0;
  // Ok once `to` leads. Only on the leader ("not leader" elsewhere), and only to a voter.
  virtual void MoveLeader(const RequestContext& context, ReplicaId to, std::function<void(Status)> done) = 0;
  // What is pinned is let go when the download is destroyed.
  virtual Result<std::unique_ptr<SnapshotDownload>> OpenSnapshot() = 0;
};

}  // namespace quorate::coord
