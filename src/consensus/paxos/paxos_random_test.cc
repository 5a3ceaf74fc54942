// Random schedules: three to five replicas under loss, delay, reordering, cut links, crashes and slow disks, while logs
// are released, snapshots travel, and voters and learners come and go; with small windows, and with flexible quorums.
// After every step the replicas' own invariants hold, nobody leads another's ballot, all decide the same sequence, what
// is decided is durable, reads miss nothing, and each says of every snapshot the members that the sequence gives.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "consensus/change.h"
#include "consensus/core.h"
#include "consensus/hash.h"
#include "consensus/paxos/configurations.h"
#include "consensus/testing/schedules.h"

namespace quorate::consensus::paxos {
namespace {

struct Member {
  std::unique_ptr<Core> core;
  std::optional<Bytes> hard_state;  // durable
  SnapshotMeta snapshot;            // durable, the state machine has it
  std::map<LogIndex, Entry> log;    // durable, after the snapshot; with holes
  std::deque<WriteBatch> writes;    // handed to the disk, not yet durable
  std::deque<Outbound> held;        // waiting for their batch
  PersistSeq persisted;
  LogIndex decided;   // executed in this life, a snapshot that was loaded included
  LogIndex reported;  // of that, what the core was told
  Leadership leadership;
  std::uint64_t incarnation = 0;
};
struct Packet {
  ReplicaId from, to;
  std::optional<SnapshotMeta> snapshot;  // instead of a message
  Bytes payload;
};

bool IsSameValue(const Entry& a, const Entry& b) {
  return a.index == b.index && a.kind == b.kind && a.origin == b.origin && a.payload == b.payload;
}

// Where a core's log starts.
class LogStart final : public Inspector {
 public:
  void Number(std::string_view name, std::uint64_t value) override {
    if (name == "snapshot_index") index = LogIndex(value);
  }
  void Text(std::string_view, std::string_view) override {}
  LogIndex index;
};

class Chaos {
 public:
  // `joiners` more begin knowing nobody; the voters change among all of them.
  Chaos(std::uint64_t seed, std::uint64_t nodes, std::uint64_t joiners) : generator_(seed) {
    for (std::uint64_t id = 1; id <= nodes + joiners; ++id) members_[ReplicaId(id)];
    options_.election_ticks = 10;
    options_.heartbeat_ticks = 2;
    options_.inflight_messages_max = 1 + generator_.UpTo(7);
    options_.message_bytes_max = 1 + generator_.UpTo(40);
    options_.log_cache_bytes = generator_.UpTo(50);
    options_.seed = seed;
    options_.alpha = 1 + generator_.UpTo(11);
    if (joiners == 0 && Chance(2)) {
      options_.phase2_quorum = 1 + generator_.UpTo(nodes - 1);
      options_.phase1_quorum = nodes + 1 - options_.phase2_quorum;
    }
    for (std::uint64_t id = 1; id <= nodes; ++id) initial_.voters.push_back(ReplicaId(id));
    churn_ = joiners > 0;
    for (auto& [id, member] : members_) Start(id);
  }

  void Run(std::uint64_t steps) {
    for (std::uint64_t i = 0; i < steps; ++i) {
      if (!calm_ && i % 250 == 0) ChangeWeather();
      OneStep();
    }
  }
  void Heal() {
    calm_ = true;
    weather_ = Weather();
    for (auto& [id, member] : members_) {
      if (!member.core) Start(id);
    }
  }
  std::size_t agreed() const { return agreed_.size(); }
  std::size_t leaders() const { return leaders_.size(); }
  std::size_t reads_good() const { return reads_good_; }
  std::size_t changes() const { return changes_; }
  std::size_t installs() const { return installs_; }

 private:
  // What is wrong for a while. One in `crash_in`, and so on; 0 = never.
  struct Weather {
    std::set<ReplicaId> island;  // cut off from the others
    ReplicaId slow_disk, slow_clock;
    ReplicaId deaf;  // what is sent to it arrives late
    std::uint64_t loss_in = 0, duplicate_in = 0, crash_in = 0, transfer_in = 0;
    bool reorder = false;
  };
  // A leader is the most interesting one to disturb.
  ReplicaId AnyOrLeader() {
    ReplicaId chosen = Any();
    for (const auto& [id, member] : members_) {
      if (member.core && member.leadership.role == Role::kLeader && Chance(2)) chosen = id;
    }
    return chosen;
  }
  void ChangeWeather() {
    weather_ = Weather();
    if (Chance(2)) {
      weather_.island.insert(AnyOrLeader());
      if (Chance(3)) weather_.island.insert(Any());
    }
    if (Chance(3)) weather_.slow_disk = Any();
    if (Chance(3)) weather_.slow_clock = Any();
    if (Chance(3)) weather_.deaf = AnyOrLeader();
    if (weather_.deaf && Chance(2)) weather_.slow_clock = weather_.deaf;
    if (Chance(2)) weather_.loss_in = 5 + generator_.UpTo(30);
    if (Chance(2)) weather_.duplicate_in = 10;
    if (Chance(2)) weather_.crash_in = 10 + generator_.UpTo(60);
    if (Chance(3)) weather_.transfer_in = 20;
    weather_.reorder = Chance(2);
  }
  bool Now(std::uint64_t one_in) { return one_in != 0 && Chance(one_in); }
  bool IsCut(const Packet& packet) const {
    return weather_.island.contains(packet.from) != weather_.island.contains(packet.to);
  }
  bool Chance(std::uint64_t in) { return generator_.UpTo(in - 1) == 0; }
  ReplicaId Any() { return ReplicaId(1 + generator_.UpTo(members_.size() - 1)); }

  void Start(ReplicaId id) {
    Member& member = members_[id];
    Options options = options_;
    options.self = id;
    options.seed += ++member.incarnation * 1000;
    if (id.value <= initial_.voters.size()) options.initial = initial_;
    const LogIndex applied = member.snapshot.last;
    std::vector<Entry> log;
    for (const auto& [index, entry] : member.log) log.push_back(entry);
    auto made = MakeCore(Protocol::kPaxos, options, {member.hard_state, member.snapshot, std::move(log), applied});
    ASSERT_TRUE(made.ok()) << made.status().message();
    member.core = std::move(made).value();
    member.persisted = PersistSeq();
    member.decided = member.reported = applied;
    for (auto& [peer, other] : members_) {
      if (peer == id || !other.core) continue;
      ++link_;
      Step(peer, LinkUp{id, LinkId(link_), Incarnation(member.incarnation)});
      Step(id, LinkUp{peer, LinkId(link_), Incarnation(other.incarnation)});
    }
  }
  void Crash(ReplicaId id) {
    Member& member = members_[id];
    member.core.reset();
    member.writes.clear();
    member.held.clear();
    std::erase_if(network_, [id](const Packet& packet) { return packet.from == id || packet.to == id; });
    for (auto& [peer, other] : members_) {
      if (!other.core) continue;
      Step(peer, LinkDown{id, LinkId(1)});
      if (Chance(2)) Step(peer, LinkRefused{id});
    }
  }

  void Step(ReplicaId id, Event event) {
    Member& member = members_[id];
    member.core->Step(std::move(event));
    member.core->CheckInvariants();
    if (Chance(3)) return;  // several events before one Ready
    while (member.core->HasReady()) Take(id, member);
  }
  void Take(ReplicaId id, Member& member) {
    Ready ready = member.core->TakeReady();
    member.core->CheckInvariants();
    if (ready.write) member.writes.push_back(*std::move(ready.write));
    for (Outbound& out : ready.outbound) {
      if (out.after > member.persisted) {
        member.held.push_back(std::move(out));
      } else {
        network_.push_back({id, out.to, {}, std::move(out.payload)});
      }
    }
    for (const SendSnapshot& send : ready.send_snapshot) Ship(id, member, send.to);
    for (Entry& entry : ready.decided) CheckDecided(member, std::move(entry));
    if (ready.leadership) {
      member.leadership = *ready.leadership;
      if (ready.leadership->role == Role::kLeader) {
        EXPECT_EQ(ready.leadership->ballot.owner, id) << "leads another's ballot";
        leaders_.insert(ready.leadership->ballot);
      }
    }
    for (const auto& [read, index] : ready.reads) {
      EXPECT_GE(index, read_floor_.at(read)) << "a read that misses an acknowledged write";
      ++reads_good_;
    }
    if (ready.load_log) Load(id, member, *ready.load_log);
    if (!ready.decided.empty() && Chance(2)) Report(id, member);
  }
  void Report(ReplicaId id, Member& member) {
    member.reported = member.decided;
    Step(id, Applied{member.decided});
  }
  Membership MembersAt(LogIndex index) const {
    Configurations configurations(LogIndex(), initial_, options_.alpha);
    for (std::size_t i = 0; i < index.value; ++i) {
      if (agreed_[i].kind != EntryKind::kMembership) continue;
      configurations.Append(agreed_[i].index, *DecodeChange(agreed_[i].payload));
    }
    return configurations.latest();
  }
  // The core has taken over a snapshot that the state machine has not loaded yet.
  static bool IsInstalling(const Member& member) {
    LogStart start;
    member.core->Inspect(start);
    return member.reported < start.index;
  }
  SnapshotMeta MetaOf(Member& member) {
    const SnapshotMeta meta = member.core->MetaAt(member.reported);
    EXPECT_EQ(meta.last, member.reported);
    if (!meta.last) return meta;
    // One that joined does not know who was there before the first change that it saw.
    if (!meta.members.voters.empty()) {
      EXPECT_EQ(meta.members, MembersAt(meta.last));
    }
    return meta;
  }
  void Ship(ReplicaId id, Member& member, ReplicaId to) {
    const bool loaded = !IsInstalling(member);
    const SnapshotMeta meta = loaded ? MetaOf(member) : SnapshotMeta();
    if (loaded && !Now(weather_.loss_in)) {
      network_.push_back({id, to, meta, {}});
    } else {
      Step(id, SnapshotSent{to, meta, false});
    }
  }
  void Arrive(const Packet& packet) {
    const bool lost = Now(weather_.loss_in) || IsCut(packet) || !members_[packet.to].core;
    if (!lost) Step(packet.to, SnapshotReceived{packet.from, *packet.snapshot});
    if (members_[packet.from].core) Step(packet.from, SnapshotSent{packet.to, *packet.snapshot, !lost});
  }
  // The state machine has flushed what it executed, and the log up to there goes.
  void Release(ReplicaId id) {
    Member& member = members_[id];
    if (member.reported < member.decided || member.reported <= member.snapshot.last || IsInstalling(member)) return;
    member.snapshot = MetaOf(member);
    member.log.erase(member.log.begin(), member.log.upper_bound(member.snapshot.last));
    Step(id, SnapshotTaken{member.snapshot});
  }
  // A step towards other members, as whoever leads sees it: a new learner, or other voters out of those that are there.
  void ChangeAt(ReplicaId id) {
    Membership target = MembersAt(members_[id].decided);
    target.outgoing.clear();
    std::set<ReplicaId> voters(target.voters.begin(), target.voters.end());
    std::set<ReplicaId> learners(target.learners.begin(), target.learners.end());
    for (std::uint64_t steps = 1 + generator_.UpTo(1); steps > 0; --steps) {
      const ReplicaId one = Any();
      if (voters.erase(one) > 0) {
        if (Chance(3)) learners.insert(one);
      } else if (learners.erase(one) > 0) {
        voters.insert(one);
      } else {
        learners.insert(one);
      }
    }
    target.voters.assign(voters.begin(), voters.end());
    target.learners.assign(learners.begin(), learners.end());
    Step(id, ChangeMembers{{id, Incarnation(1), ProposalId(++proposals_)}, target});
  }
  void Load(ReplicaId id, Member& member, const LoadLog& wanted) {
    LogLoaded loaded{wanted.first, {}};
    if (member.log.contains(wanted.first)) {
      const auto end = member.log.upper_bound(wanted.last);
      for (auto it = member.log.find(wanted.first); it != end; ++it) loaded.entries.push_back(it->second);
    }
    Step(id, std::move(loaded));
  }
  void CheckDecided(Member& member, Entry entry) {
    ASSERT_EQ(entry.index, member.decided.Next());
    ASSERT_TRUE(member.log.contains(entry.index)) << "decided, but not durable here";
    ASSERT_TRUE(IsSameValue(member.log[entry.index], entry)) << "another value is durable";
    if (entry.index.value <= agreed_.size()) {
      ASSERT_EQ(agreed_[entry.index.value - 1], entry) << "members decided differently at " << entry.index.value;
    } else {
      ASSERT_EQ(entry.index.value, agreed_.size() + 1);
      changes_ += entry.kind == EntryKind::kMembership ? 1 : 0;
      agreed_.push_back(entry);
    }
    member.decided = entry.index;
  }

  void Persist(ReplicaId id) {
    Member& member = members_[id];
    if (!member.core || member.writes.empty()) return;
    WriteBatch batch = std::move(member.writes.front());
    member.writes.pop_front();
    if (batch.hard_state) member.hard_state = batch.hard_state;
    bool installed = false;
    for (LogOp& op : batch.ops) {
      if (auto* put = std::get_if<PutEntry>(&op)) {
        // What was written before a snapshot at or above it was taken.
        if (put->entry.index <= member.snapshot.last) continue;
        member.log[put->entry.index] = put->entry;
      } else if (auto* install = std::get_if<InstallSnapshot>(&op)) {
        member.snapshot = install->meta;
        member.log.clear();
        installed = true;
      }
    }
    member.persisted = batch.seq;
    while (!member.held.empty() && member.held.front().after <= member.persisted) {
      network_.push_back({id, member.held.front().to, {}, std::move(member.held.front().payload)});
      member.held.pop_front();
    }
    // Right after a term or a vote became durable and was sent is a good moment to crash.
    const bool promised = batch.sync && (batch.ops.empty() || installed);
    if (installed) {
      ++installs_;
      ASSERT_LE(member.snapshot.last.value, agreed_.size());
      member.decided = member.snapshot.last;
      Report(id, member);
    }
    Step(id, Persisted{batch.seq});
    if (promised && weather_.crash_in != 0 && Chance(3)) Crash(id);
  }
  void Deliver() {
    if (network_.empty()) return;
    std::size_t at = weather_.reorder ? generator_.UpTo(std::min<std::size_t>(network_.size(), 30) - 1) : 0;
    while (at < network_.size() && network_[at].to == weather_.deaf) ++at;
    if (at == network_.size()) return;
    Packet packet = network_[at];
    if (!Now(weather_.duplicate_in)) network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(at));
    if (packet.snapshot) return Arrive(packet);
    if (Now(weather_.loss_in) || IsCut(packet) || !members_[packet.to].core) return;
    Step(packet.to, Receive{packet.from, LinkId(1), std::move(packet.payload)});
  }

  void OneStep() {
    const ReplicaId id = Any();
    Member& member = members_[id];
    if (!member.core) {
      if (Chance(5)) Start(id);
      return;
    }
    if (Now(weather_.crash_in) && Chance(5)) return Crash(id);
    if (id == weather_.slow_disk && !member.writes.empty() && Now(weather_.crash_in)) return Crash(id);
    if (Now(weather_.transfer_in)) {
      Step(id, TransferLeadership{Any()});
      return Step(id, TransferLeadership{Any()});
    }
    if (Chance(60)) return Release(id);
    if (churn_ && !calm_ && member.leadership.role == Role::kLeader && Chance(15)) return ChangeAt(id);
    const std::uint64_t dice = generator_.UpTo(99);
    if (dice < 12) {
      if (id != weather_.slow_clock || Chance(4)) Step(id, Tick{});
    } else if (dice < 65) {
      Deliver();
    } else if (dice < 90) {
      if (id != weather_.slow_disk || Chance(8)) Persist(id);
    } else if (dice < 95) {
      ++proposals_;
      Step(id, Propose{{id, Incarnation(1), ProposalId(proposals_)}, Bytes(std::to_string(proposals_))});
    } else {
      read_floor_[ReadId(++reads_)] = LogIndex(agreed_.size());
      Step(id, ReadBarrier{ReadId(reads_)});
    }
  }

  Generator generator_;
  Options options_;
  Membership initial_;
  bool churn_ = false;
  std::map<ReplicaId, Member> members_;
  std::deque<Packet> network_;
  Weather weather_;
  bool calm_ = false;
  std::vector<Entry> agreed_;
  std::set<Ballot> leaders_;
  std::map<ReadId, LogIndex> read_floor_;
  std::uint64_t proposals_ = 0, reads_ = 0, link_ = 1;
  std::size_t reads_good_ = 0, changes_ = 0, installs_ = 0;
};

TEST(PaxosRandom, MembersAgreeUnderChaosAndRecoverAfterIt) {
  ExpectAgreement<Chaos>(4000, 6000, kRandomSeeds);
}

#ifdef QUORATE_BUGS
// Each seeded bug of this folder is found by the same schedules, by an expectation or by an invariant.
class PaxosBug : public testing::TestWithParam<std::string> {};

TEST_P(PaxosBug, IsFoundByRandomSchedules) {
  ExpectFound<Chaos>(GetParam(), 4000);
}

INSTANTIATE_TEST_SUITE_P(All, PaxosBug,
                         testing::Values("paxos_promise_forgotten_on_restart", "paxos_accepted_before_durable",
                                         "paxos_adopts_lowest_ballot", "paxos_fills_reported_hole",
                                         "paxos_quorums_do_not_intersect", "paxos_read_without_confirmation",
                                         "paxos_read_before_phase1_slots", "paxos_reconfiguration_without_alpha",
                                         "paxos_phase1_over_old_configuration", "paxos_notice_ignores_ballot",
                                         "paxos_proposer_counts_unsynced_self"),
                         [](const auto& bug) { return bug.param; });
#endif

}  // namespace
}  // namespace quorate::consensus::paxos
