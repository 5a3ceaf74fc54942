// What a node knows only in its present role: the sum type behind zab::Node (ZooKeeper's LOOKING, FOLLOWING or
// OBSERVING, LEADING).
//
// Used by zab::Node alone. Whoever changes its role takes along nothing but what is in the log, the hard state and the
// write queue (ZOOKEEPER-2845: memory that was retained across an election held entries that the log had lost).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "consensus/reads.h"
#include "consensus/zab/messages.h"
#include "consensus/zab/session.h"

namespace quorate::consensus::zab {

struct Looking {
  std::uint64_t agreed_ticks = 0;     // since a quorum agrees
  std::uint64_t silent_ticks = 0;     // since the last notification to all
  std::uint64_t notify_interval = 0;  // doubles up to a bound
};

enum class Phase : std::uint8_t {
  kJoining,   // CEPOCH was sent, or waits for the link
  kPromised,  // ACK-E was sent; the synchronization comes in
  kAccepted,  // NEWLEADER is accepted
  kActive,    // UPTODATE has come
};

// The synchronization as it comes in. It becomes the history with NEWLEADER, all at once (paper 4.2, step f.2.1). When
// the link is lost in the middle of it, the next session of the same epoch goes on where it stands: it is a prefix of
// the history that this epoch's leader has, whatever session brought it.
struct Staging {
  bool begun = false;
  std::optional<SnapshotMeta> snapshot;  // replaces the log
  std::optional<LogIndex> cut;           // the log goes above it
  std::vector<Entry> entries;
  Zxid end;  // of the history that it makes
};

struct Following {
  ReplicaId leader;
  SessionNumber session;  // 0: there is no link
  Phase phase = Phase::kJoining;
  Epoch epoch;  // of the leader, promised
  Staging staging;
  std::uint64_t elapsed = 0;  // since the leader was heard
  std::uint64_t timeout = 0;
  std::optional<std::uint64_t> early;  // ticks until the leader is given up because nobody listens at its address
  Vote vote;                           // by which it was elected
  bool epoch_first = false;            // of the seeded bug zab_epoch_before_history alone
};

enum class Progress : std::uint8_t {
  kGathering,    // CEPOCH of a quorum is awaited
  kPromising,    // the epoch is chosen, its promises are awaited
  kSecured,      // a quorum has promised: the epoch is this leader's alone
  kEstablished,  // a quorum has acknowledged NEWLEADER
};

struct Transfer {
  ReplicaId to;
  std::uint64_t elapsed_ticks = 0;
};

struct Leading {
  Progress progress = Progress::kGathering;
  Epoch epoch;
  PersistSeq own_promise;  // the batch that makes the own promise of the epoch durable
  PersistSeq own_ack;      // the one that makes the epoch and the history durable
  LogIndex history_end;    // of the initial history
  std::map<ReplicaId, Session> sessions;
  Vote vote;  // by which it was elected
  std::uint64_t heartbeat_elapsed = 0;
  std::uint64_t quorum_elapsed = 0;
  std::uint64_t uncommitted_bytes = 0;  // payload above the commit index
  std::optional<Transfer> transfer;
  LogIndex settled;         // the latest configuration known to be committed, and what follows from that was done
  LogIndex caught_up_from;  // the commit index at the last check of the quorum: who has less is behind
  bool removed = false;     // a configuration without this voter is committed
  LeaderReads reads;

  bool secured() const { return progress >= Progress::kSecured; }
  bool established() const { return progress == Progress::kEstablished; }
};

using RoleState = std::variant<Looking, Following, Leading>;

}  // namespace quorate::consensus::zab
