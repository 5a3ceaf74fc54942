// The one interface of the three consensus protocols (Raft, Multi-Paxos, Zab): Event in, Ready out.
//
// Unifies what the host must do (make durable, send, apply, answer reads), not how a protocol thinks. Messages and hard
// state are opaque bytes to the host and fully typed inside each protocol. Called by replica::Driver and by nobody
// else; thread rule: one caller at a time, no call blocks or calls out. No clock, thread, lock, file, socket or
// unseeded randomness in this folder.
//
// The contract:
//  1. A WriteBatch becomes durable as a whole and in `seq` order. The host may have several in flight and reports
//     Persisted; the core counts its own vote or ack only when told that it is durable. Installing a snapshot is an
//     operation of a batch, atomic with hard state and log reset.
//  2. An Outbound names the batch that must be durable before it is sent (`after`; 0 = send now). So a leader's appends
//     overlap its own sync while votes, promises and acks wait. Per peer the host keeps the order in which the core
//     emitted the messages when Traits::needs_fifo_links: a later message never overtakes an earlier one that is still
//     held. One that names a link never crosses to the next: held while the link is replaced, it is dropped.
//  3. `decided` is emitted once per life, in index order, without gaps, from the entry after the recovered applied
//     index, and only what is durable here. The origin of an entry answers its client when it meets the entry in its
//     own decided stream, whatever leader or ballot carried it.
//  4. An outcome that is unknown is never retried by the core or its host.
//  5. The host never looks into a payload it was handed.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace quorate::consensus {

// A leadership generation: Raft's term (no owner), Paxos's ballot (round, proposer), Zab's epoch.
struct Ballot {
  std::uint64_t number = 0;
  ReplicaId owner;
  auto operator<=>(const Ballot&) const = default;
};

enum class EntryKind : std::uint8_t { kCommand = 1, kNoop = 2, kMembership = 3 };

// Who proposed an entry. All zero for entries that a protocol makes itself.
struct Origin {
  ReplicaId replica;
  Incarnation incarnation;
  ProposalId proposal;
  auto operator<=>(const Origin&) const = default;
};

struct Entry {
  LogIndex index;
  Ballot ballot;
  EntryKind kind = EntryKind::kNoop;
  Origin origin;
  Bytes payload;
  friend bool operator==(const Entry&, const Entry&) = default;
};

// Who takes part. During a joint change `outgoing` holds the voters of the configuration that is being left (Raft
// thesis 4.3; Zab reconfiguration needs both quorums as well); otherwise it is empty. All vectors are sorted and hold
// no replica twice.
struct Membership {
  std::vector<ReplicaId> voters;
  std::vector<ReplicaId> outgoing;
  std::vector<ReplicaId> learners;
  friend bool operator==(const Membership&, const Membership&) = default;
};

struct SnapshotMeta {
  std::uint64_t id = 0;  // names the snapshot at its sender
  LogIndex last;         // the last entry it contains
  Ballot ballot;         // that entry's
  Membership members;    // as of `last`
  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

// ---- Everything that can happen to a core

struct Receive {  // a peer's message; `link` tells one connection from the next
  ReplicaId from;
  LinkId link;
  Bytes payload;
};
struct Tick {};  // the only source of time
struct LinkUp {  // incarnation differs from the last one seen: the peer has restarted and forgotten what was not
                 // durable
  ReplicaId peer;
  LinkId link;
  Incarnation incarnation;
};
struct LinkDown {  // messages sent on `link` may be lost; none of it arrives any more
  ReplicaId peer;
  LinkId link;
};
struct LinkRefused {  // nobody listens at the peer's address: the process is gone (not merely silent)
  ReplicaId peer;
};
struct Persisted {  // every batch up to and including `upto` is durable
  PersistSeq upto;
};
struct Applied {  // the state machine has executed everything up to and including `upto`
  LogIndex upto;
};
// A command from a client of this cluster. Only sent to a core that leads (the host forwards to the leader by itself);
// a core that does not lead answers with Failed{kNotLeader}, certain that nothing was appended.
struct Propose {
  Origin origin;
  Bytes command;
};
struct ReadBarrier {  // on any member; answered by Ready::reads or Ready::failed_reads
  ReadId id;
};
struct ChangeMembers {  // the target set; the core finds the steps
  Origin origin;
  Membership target;  // `outgoing` empty
};
struct TransferLeadership {
  ReplicaId to;
};
struct SnapshotTaken {  // the log up to meta.last is covered by a durable snapshot and may be released
  SnapshotMeta meta;
};
struct SnapshotReceived {  // a whole, verified snapshot has arrived from `from` and is durable aside, not yet installed
  ReplicaId from;
  SnapshotMeta meta;
};
struct SnapshotSent {  // the answer to Ready::send_snapshot
  ReplicaId to;
  SnapshotMeta meta;
  bool delivered = false;
};
struct LogLoaded {  // the answer to Ready::load_log; empty entries = not there any more
  LogIndex first;
  std::vector<Entry> entries;
};
struct Quiesce {};  // the host sees no work for this group and would stop ticking it
struct Wake {};     // ticks go on

using Event =
    std::variant<Receive, Tick, LinkUp, LinkDown, LinkRefused, Persisted, Applied, Propose, ReadBarrier, ChangeMembers,
                 TransferLeadership, SnapshotTaken, SnapshotReceived, SnapshotSent, LogLoaded, Quiesce, Wake>;

// ---- Everything a core may ask for

struct PutEntry {  // at any index: appends, or overwrites what a lower ballot had left there and leaves every other
                   // index alone (holes are legal under log_may_have_holes)
  Entry entry;
};
struct TruncateAfter {  // forget everything above `last_kept`
  LogIndex last_kept;
};
struct InstallSnapshot {  // the keyspace becomes this snapshot's and the log is empty above meta.last; entries that
                          // must survive above it (a Paxos acceptor's acceptances) follow as PutEntry of the same batch
  SnapshotMeta meta;
};
using LogOp = std::variant<PutEntry, TruncateAfter, InstallSnapshot>;

struct WriteBatch {
  PersistSeq seq;
  std::optional<Bytes> hard_state;  // replaces the former one
  std::vector<LogOp> ops;           // in order
  bool sync = true;                 // false: may wait for the next batch that syncs (a commit index, say)
};

struct Outbound {
  ReplicaId to;
  Bytes payload;
  PersistSeq after;
  // The session it belongs to: dropped when that is not the peer's current link at the time it may be sent. 0 = any.
  LinkId link = LinkId{};
};

enum class FailureReason : std::uint8_t {
  kNotLeader = 1,  // certainly not appended: may be sent to the leader
  kDropped = 2,    // certainly not appended: over a bound, or a change that is not legal now
  kUnknown = 3,    // appended, and now the core cannot tell whether it will be decided
};
struct Failed {
  Origin origin;  // of the Propose or ChangeMembers: it may be another member's, forwarded
  FailureReason reason = FailureReason::kNotLeader;
};

enum class Role : std::uint8_t { kFollower = 1, kCandidate = 2, kLeader = 3, kLearner = 4 };

struct Leadership {
  Role role = Role::kFollower;
  Ballot ballot;
  std::optional<ReplicaId> leader;
  bool established = false;  // a leader that may take proposals and answer reads; a follower that follows such a one
  // What this leader proposes may be decided behind the proposals of a later one: Paxos chooses slot by slot. Whatever
  // must not jump back to a former leader's view says in the command whose it is.
  bool may_come_late = false;
  friend bool operator==(const Leadership&, const Leadership&) = default;
};

struct LoadLog {  // cold entries wanted: [first, last], and at most `bytes_max` of them
  LogIndex first;
  LogIndex last;
  std::uint64_t bytes_max = 0;
};

struct SendSnapshot {
  ReplicaId to;
};

struct Ready {
  std::optional<WriteBatch> write;
  std::vector<Outbound> outbound;
  std::vector<Entry> decided;                      // ascending, no gaps
  std::vector<std::pair<ReadId, LogIndex>> reads;  // serve once the applied index reaches it
  std::vector<ReadId> failed_reads;                // leadership is uncertain: nothing was confirmed; ask again
  std::vector<Failed> failed;
  std::vector<SendSnapshot> send_snapshot;
  std::optional<LoadLog> load_log;
  std::optional<Leadership> leadership;  // present when it changed
  std::optional<Membership> membership;  // present when it changed; in force from when it is in the log
  bool may_quiesce = false;              // the answer to Quiesce
};

struct Traits {
  std::string_view name;  // "raft", "paxos", "zab": the flag's value
  bool log_may_have_holes = false;
  bool needs_fifo_links = false;
  bool flexible_quorums = false;
};

// What a start finds on disk. `log` is ascending; without log_may_have_holes it is also gapless and begins right after
// snapshot.last (or at 1).
struct Recovered {
  std::optional<Bytes> hard_state;
  SnapshotMeta snapshot;  // last = 0: none
  std::vector<Entry> log;
  LogIndex applied;  // the state machine's; >= snapshot.last
};

struct Options {
  ReplicaId self;
  Membership initial;                 // used only when nothing was recovered
  std::uint64_t election_ticks = 30;  // a follower waits this to twice this; range [2 * heartbeat_ticks, 10'000]
  std::uint64_t heartbeat_ticks = 5;  // range [1, 1'000]
  std::uint64_t inflight_bytes_max = 4 << 20;      // appended, sent to one peer and not yet acknowledged
  std::uint64_t inflight_messages_max = 256;       // the same, in messages
  std::uint64_t message_bytes_max = 512 << 10;     // entries of one message (one entry always fits)
  std::uint64_t uncommitted_bytes_max = 64 << 20;  // proposals over it are dropped
  std::uint64_t log_cache_bytes = 16 << 20;        // applied and acknowledged entries kept in memory for slow followers
  bool lease_reads = false;                        // design section 2: turns early election off
  std::uint64_t seed = 0;                          // of the core's own generator: election jitter
  bool jitter = true;  // false: every drawn wait is the longest it may be. For exploration, where no clock decides who
                       // is first, and a generator's state would only make equal states differ
  // Paxos alone; the same on every member for ever. Acceptors that each phase takes, 0 = a majority: every phase 1
  // quorum must meet every phase 2 quorum. `alpha`: how many slots may be open, and after how many a change of the
  // members is in force; range [1, 65'536].
  std::uint64_t phase1_quorum = 0, phase2_quorum = 0;
  std::uint64_t alpha = 1'024;
};

// Name and value pairs for admin, metrics and trace tests.
class Inspector {
 public:
  virtual ~Inspector() = default;
  virtual void Number(std::string_view name, std::uint64_t value) = 0;
  virtual void Text(std::string_view name, std::string_view value) = 0;
};

class Core {
 public:
  virtual ~Core() = default;
  virtual const Traits& traits() const = 0;
  virtual void Step(Event event) = 0;
  virtual bool HasReady() const = 0;
  virtual Ready TakeReady() = 0;
  // Ticks until the core would do something by itself; empty = only an event can wake it. Lets a host sleep and a
  // simulator jump.
  virtual std::optional<Ticks> NextDeadline() const = 0;
  // What a snapshot of the state machine as of `index` must say: that entry's ballot, and the members as of it (in the
  // middle of a joint change, both halves). `id` is left for the host to choose. REQUIRES the log's start <= index <=
  // applied, where the log starts at the last SnapshotTaken, installed or recovered snapshot, or at 0.
  virtual SnapshotMeta MetaAt(LogIndex index) const = 0;
  virtual void Inspect(Inspector& out) const = 0;
  virtual void CheckInvariants() const = 0;  // aborts on a broken one; called after every step in tests and simulations
  virtual std::unique_ptr<Core> Clone() const = 0;  // for exhaustive exploration
  virtual std::uint64_t Fingerprint()
      const = 0;  // equal states give equal values; time enters as ticks left, never as counts since start
};

enum class Protocol : std::uint8_t { kRaft = 1, kPaxos = 2, kZab = 3 };
inline constexpr Protocol kProtocols[] = {Protocol::kRaft, Protocol::kPaxos, Protocol::kZab};

std::string_view ProtocolName(Protocol protocol);
Result<Protocol> ParseProtocol(std::string_view name);

// The only place that knows all protocols. INVALID_ARGUMENT names the option that is out of its range; DATA_LOSS when
// `recovered` does not decode, or contradicts itself.
Result<std::unique_ptr<Core>> MakeCore(Protocol protocol, const Options& options, Recovered recovered);

// Encodes an entry without its index for log records and messages (format version 1); the decoder's payload shares
// `input`'s memory.
void EncodeEntry(const Entry& entry, std::string* out);
std::optional<Entry> DecodeEntry(const Bytes& input);

}  // namespace quorate::consensus
