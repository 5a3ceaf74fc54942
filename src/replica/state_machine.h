// StateMachine: what a group executes its decided entries on, and the source and sink of its snapshots. coord::Machine
// is the real one.
//
// Called by replica::Group only, on its executor's thread; callbacks come on that thread, never from inside the call
// that registered them. Apply is pure and synchronous: the same entries give the same state, hash and outcomes on every
// member. What it may have to read from the disk is brought into memory before it, by Prepare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"

namespace quorate::replica {

// What a command's execution gave; the proposer knows the concrete type.
class Outcome {
 public:
  virtual ~Outcome() = default;
};

// One record of one replicated table (store::Table).
struct SnapshotRow {
  std::uint8_t table = 0;
  std::string key;
  Bytes value;
};

// A consistent image of all tables at one applied index, pinned until it is destroyed. Rows come in the order of
// (table, key); the same source gives the same rows however often it is asked.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  virtual LogIndex applied() const = 0;
  virtual Revision revision() const = 0;
  virtual std::uint64_t state_hash() const = 0;
  virtual std::uint64_t size_estimate_bytes() const = 0;
  // The rows after (table, key), about bytes_max of them but at least one; none: that was the end. Zero and empty start
  // from the beginning. One call at a time.
  virtual void Read(std::uint8_t table, std::string key, std::size_t bytes_max,
                    std::function<void(Result<std::vector<SnapshotRow>>)> done) = 0;
};

// Takes the rows of a source in their order. Destroyed before Finish was done, it leaves the old state.
class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;
  virtual void Add(std::vector<SnapshotRow> rows, std::function<void(Status)> done) = 0;  // one call at a time
  // Checks that the rows have this hash, makes them durable, and puts them in the place of the old state.
  virtual void Finish(std::uint64_t state_hash, std::function<void(Status)> done) = 0;
};

class StateMachine {
 public:
  virtual ~StateMachine() = default;
  // Whether everything that Apply(entry) may read is in memory. If not, it is being loaded (or the machine waits for
  // its engine to catch up), and `ready` is called once, later: then ask again. REQUIRES `entry` to be the one after
  // applied(); once prepared, it stays so until it is applied.
  virtual bool Prepare(const consensus::Entry& entry, std::function<void()> ready) = 0;
  // Executes the entry after applied(). No-op and membership entries come as well: they only move applied().
  virtual std::unique_ptr<Outcome> Apply(const consensus::Entry& entry) = 0;
  virtual LogIndex applied() const = 0;
  // What a crash would leave of it; at or below applied(). The log up to here may go.
  virtual LogIndex flushed() const = 0;
  // As of now. Does not stop Apply.
  virtual std::shared_ptr<SnapshotSource> OpenSnapshot() = 0;
  // Replaces the whole state by one that covers the log up to `last`. Until Finish is done, nothing is applied and
  // readers are to be turned away; after a crash the state is the old one or the new one. One at a time.
  virtual std::unique_ptr<SnapshotSink> BeginInstall(LogIndex last) = 0;
  // On the leader, just before a command enters the log: writes cluster time (the last one applied or stamped, advanced
  // by this member's monotonic clock since then, never going back) and wall time into the envelope.
  virtual void Stamp(std::string& command, std::uint64_t monotonic_ns, std::int64_t wall_ns) = 0;
  virtual void OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns) = 0;
  // Equal at equal applied(), on every member.
  virtual std::uint64_t StateHash() const = 0;
};

}  // namespace quorate::replica
