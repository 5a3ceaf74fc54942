// Random schedules: three to five nodes on FIFO links that are cut, stall and come back, with crashes at every batch
// and slow disks, while logs are released, snapshots travel, and voters and learners come and go. After every step the
// nodes' own invariants hold, no epoch has two leaders, and each says of every snapshot the members that the decided
// sequence gives. The properties of the paper's section 3 hold: total order and agreement (all decide one sequence),
// integrity (what is decided was proposed, and is decided once), local primary order (within an epoch, in the order of
// the proposals), global primary order (epochs never fall along the sequence), primary integrity (whoever may broadcast
// has all that anybody has delivered of earlier epochs).
#include <gtest/gtest.h>

#include <algorithm>
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
#include "consensus/testing/schedules.h"

namespace quorate::consensus::zab {
namespace {

struct Member {
  std::unique_ptr<Core> core;
  std::optional<Bytes> hard_state;                 // durable
  SnapshotMeta snapshot;                           // durable, the state machine has it
  std::vector<Entry> log;                          // durable, after the snapshot
  std::deque<WriteBatch> writes;                   // handed to the disk, not yet durable
  std::map<ReplicaId, std::deque<Outbound>> held;  // waiting for their batch, per peer, in order
  PersistSeq persisted;
  LogIndex decided;   // executed in this life, a snapshot that was loaded included
  LogIndex reported;  // of that, what the core was told
  Leadership leadership;
  std::uint64_t incarnation = 0;
};

struct Shipped {
  ReplicaId from, to;
  SnapshotMeta meta;
};

using Pair = std::pair<ReplicaId, ReplicaId>;

// Where a core's log starts, and how far it is committed.
class LogStart final : public Inspector {
 public:
  void Number(std::string_view name, std::uint64_t value) override {
    if (name == "snapshot_index") index = LogIndex(value);
    if (name == "commit") commit = LogIndex(value);
  }
  void Text(std::string_view, std::string_view) override {}
  LogIndex index, commit;
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
    for (std::uint64_t id = 1; id <= nodes; ++id) initial_.voters.push_back(ReplicaId(id));
    churn_ = joiners > 0;
    for (auto& [id, member] : members_) Start(id);
  }

  void Run(std::uint64_t steps) {
    for (std::uint64_t i = 0; i < steps; ++i) {
      if (!calm_ && i % 400 == 0) ChangeWeather();
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
  std::size_t leaders() const { return leader_of_.size(); }
  std::size_t reads_good() const { return reads_good_; }
  std::size_t changes() const { return changes_; }
  std::size_t installs() const { return installs_; }

 private:
  // What is wrong for a while. One in `crash_in`, and so on; 0 = never.
  struct Weather {
    std::set<ReplicaId> island;  // what passes its shore stalls
    ReplicaId slow_disk, slow_clock;
    ReplicaId deaf;  // what is sent to it arrives late
    std::uint64_t break_in = 0, crash_in = 0, transfer_in = 0;
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
    if (Chance(4)) weather_.deaf = AnyOrLeader();
    if (Chance(2)) weather_.break_in = 20 + generator_.UpTo(100);
    if (Chance(2)) weather_.crash_in = 20 + generator_.UpTo(100);
    if (Chance(4)) weather_.transfer_in = 40;
  }
  bool Now(std::uint64_t one_in) { return one_in != 0 && Chance(one_in); }
  bool IsCut(ReplicaId from, ReplicaId to) const {
    return weather_.island.contains(from) != weather_.island.contains(to);
  }
  bool Chance(std::uint64_t in) { return generator_.UpTo(in - 1) == 0; }
  ReplicaId Any() { return ReplicaId(1 + generator_.UpTo(members_.size() - 1)); }
  static Pair Ordered(ReplicaId a, ReplicaId b) { return a < b ? Pair{a, b} : Pair{b, a}; }

  // ---- links
  void Connect(ReplicaId a, ReplicaId b) {
    if (a == b || !members_[a].core || !members_[b].core || links_.contains(Ordered(a, b))) return;
    const LinkId link(++last_link_);
    links_[Ordered(a, b)] = link;
    Step(a, LinkUp{b, link, Incarnation(members_[b].incarnation)});
    Step(b, LinkUp{a, link, Incarnation(members_[a].incarnation)});
  }
  void Break(ReplicaId a, ReplicaId b) {
    const auto found = links_.find(Ordered(a, b));
    if (found == links_.end()) return;
    const LinkId link = found->second;
    links_.erase(found);
    wires_.erase({a, b});
    wires_.erase({b, a});
    if (members_[a].core) Step(a, LinkDown{b, link});
    if (members_[b].core) Step(b, LinkDown{a, link});
  }
  void Transmit(ReplicaId from, const Outbound& out) {
    const auto link = links_.find(Ordered(from, out.to));
    if (link == links_.end() || (out.link && out.link != link->second)) return;  // its session is over
    wires_[{from, out.to}].push_back(out.payload);
  }

  // ---- lives
  void Start(ReplicaId id) {
    Member& member = members_[id];
    Options options = options_;
    options.self = id;
    options.seed += ++member.incarnation * 1000;
    if (id.value <= initial_.voters.size()) options.initial = initial_;
    const LogIndex applied = member.snapshot.last;
    auto made = MakeCore(Protocol::kZab, options, {member.hard_state, member.snapshot, member.log, applied});
    ASSERT_TRUE(made.ok()) << made.status().message();
    member.core = std::move(made).value();
    member.persisted = PersistSeq();
    member.leadership = Leadership();
    member.decided = member.reported = applied;
    for (auto& [peer, other] : members_) {
      if (peer != id) Connect(id, peer);
    }
  }
  void Crash(ReplicaId id) {
    Member& member = members_[id];
    member.core.reset();
    member.writes.clear();
    member.held.clear();
    for (auto& [peer, other] : members_) {
      if (peer == id) continue;
      Break(id, peer);
      if (other.core && Chance(2)) Step(peer, LinkRefused{id});
    }
  }

  void Step(ReplicaId id, Event event) {
    Member& member = members_[id];
    member.core->Step(std::move(event));
    member.core->CheckInvariants();
    if (Chance(3)) return;  // several events before one Ready
    while (member.core && member.core->HasReady()) Take(id, member);
  }
  void Take(ReplicaId id, Member& member) {
    Ready ready = member.core->TakeReady();
    member.core->CheckInvariants();
    if (ready.write) member.writes.push_back(*std::move(ready.write));
    for (Outbound& out : ready.outbound) {
      std::deque<Outbound>& queue = member.held[out.to];
      if (out.after <= member.persisted && queue.empty()) {
        Transmit(id, out);
      } else {
        if (!queue.empty()) out.after = std::max(out.after, queue.back().after);
        queue.push_back(std::move(out));
      }
    }
    for (const SendSnapshot& send : ready.send_snapshot) Ship(id, member, send.to);
    for (Entry& entry : ready.decided) CheckDecided(member, std::move(entry));
    if (ready.leadership) {
      member.leadership = *ready.leadership;
      if (ready.leadership->role == Role::kLeader) {
        const auto [it, fresh] = leader_of_.emplace(ready.leadership->ballot.number, id);
        EXPECT_EQ(it->second, id) << "two leaders in epoch " << it->first;
        LogStart log;
        member.core->Inspect(log);
        if (ready.leadership->established) {
          EXPECT_GE(log.commit.value, DeliveredBefore(ready.leadership->ballot)) << "leads without what was delivered";
        }
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
    Membership members = initial_;
    for (std::size_t i = 0; i < index.value; ++i) {
      if (agreed_[i].kind == EntryKind::kMembership) members = DecodeChange(agreed_[i].payload)->members;
    }
    return members;
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
    EXPECT_EQ(meta.ballot, agreed_[meta.last.value - 1].ballot);
    // One that joined does not know who was there before the first change that it saw.
    if (!meta.members.voters.empty()) {
      EXPECT_EQ(meta.members, MembersAt(meta.last));
    }
    return meta;
  }
  void Ship(ReplicaId id, Member& member, ReplicaId to) {
    const bool loaded = !IsInstalling(member);
    const SnapshotMeta meta = loaded ? MetaOf(member) : SnapshotMeta();
    if (loaded && !Chance(10)) {
      shipped_.push_back({id, to, meta});
    } else {
      Step(id, SnapshotSent{to, meta, false});
    }
  }
  void Arrive() {
    if (shipped_.empty()) return;
    const Shipped parcel = shipped_.front();
    shipped_.pop_front();
    const bool lost = Chance(10) || IsCut(parcel.from, parcel.to) || !members_[parcel.to].core;
    if (!lost) Step(parcel.to, SnapshotReceived{parcel.from, parcel.meta});
    if (members_[parcel.from].core) Step(parcel.from, SnapshotSent{parcel.to, parcel.meta, !lost});
  }
  // The state machine has flushed what it executed, and the log up to there goes.
  void Release(ReplicaId id) {
    Member& member = members_[id];
    if (member.reported < member.decided || member.reported <= member.snapshot.last || IsInstalling(member)) return;
    member.snapshot = MetaOf(member);
    std::erase_if(member.log, [&member](const Entry& entry) { return entry.index <= member.snapshot.last; });
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
    for (const Entry& entry : member.log) {
      if (entry.index >= wanted.first && entry.index <= wanted.last) loaded.entries.push_back(entry);
    }
    Step(id, std::move(loaded));
  }
  void CheckDecided(Member& member, Entry entry) {
    ASSERT_EQ(entry.index, member.decided.Next());
    const std::uint64_t place = entry.index.value - member.snapshot.last.value - 1;
    ASSERT_LT(place, member.log.size()) << "decided, but not durable here";
    ASSERT_EQ(member.log[place], entry);
    if (entry.index.value <= agreed_.size()) {
      ASSERT_EQ(agreed_[entry.index.value - 1], entry) << "members decided differently";
    } else {
      ASSERT_EQ(entry.index.value, agreed_.size() + 1);
      CheckOrder(entry);
      changes_ += entry.kind == EntryKind::kMembership ? 1 : 0;
      agreed_.push_back(entry);
    }
    member.decided = entry.index;
  }

  // How many entries of epochs before this one anybody has delivered.
  std::size_t DeliveredBefore(const Ballot& epoch) const {
    const auto first = std::lower_bound(agreed_.begin(), agreed_.end(), epoch,
                                        [](const Entry& entry, const Ballot& b) { return entry.ballot < b; });
    return static_cast<std::size_t>(first - agreed_.begin());
  }

  // Integrity, and both primary orders, for what nobody has decided before. Proposals are numbered in real time.
  void CheckOrder(const Entry& entry) {
    const std::uint64_t epoch = entry.ballot.number;
    if (!agreed_.empty()) {
      ASSERT_GE(epoch, agreed_.back().ballot.number) << "entry " << entry.index.value << " is of an earlier epoch";
    }
    if (entry.kind != EntryKind::kCommand) return;
    const std::uint64_t proposal = entry.origin.proposal.value;
    ASSERT_EQ(entry.payload, Bytes(std::to_string(proposal))) << "decided, but never proposed";
    ASSERT_LE(proposal, proposals_);
    ASSERT_TRUE(delivered_.insert(proposal).second) << "proposal " << proposal << " is decided twice";
    if (epoch == last_command_.first) {
      ASSERT_GT(proposal, last_command_.second) << "before what was proposed earlier";
    }
    last_command_ = {epoch, proposal};
  }

  void Persist(ReplicaId id) {
    Member& member = members_[id];
    if (!member.core || member.writes.empty()) return;
    WriteBatch batch = std::move(member.writes.front());
    member.writes.pop_front();
    if (batch.hard_state) member.hard_state = batch.hard_state;
    bool installed = false;
    for (LogOp& op : batch.ops) {
      const std::uint64_t start = member.snapshot.last.value;
      if (auto* put = std::get_if<PutEntry>(&op)) {
        // What was written before a snapshot at or above it was taken.
        if (put->entry.index.value <= start) continue;
        ASSERT_EQ(put->entry.index.value, start + member.log.size() + 1);
        member.log.push_back(put->entry);
      } else if (auto* install = std::get_if<InstallSnapshot>(&op)) {
        member.snapshot = install->meta;
        member.log.clear();
        installed = true;
      } else {
        member.log.resize(std::get<TruncateAfter>(op).last_kept.value - start);
      }
    }
    member.persisted = batch.seq;
    for (auto& [peer, queue] : member.held) {
      while (!queue.empty() && queue.front().after <= member.persisted) {
        Transmit(id, queue.front());
        queue.pop_front();
      }
    }
    if (installed) {
      ++installs_;
      ASSERT_LE(member.snapshot.last.value, agreed_.size());
      member.decided = member.snapshot.last;
      Report(id, member);
    }
    Step(id, Persisted{batch.seq});
    // Right after an epoch became durable and was sent is a good moment to crash.
    if (batch.hard_state && batch.sync && weather_.crash_in != 0 && Chance(4)) Crash(id);
  }
  void Deliver() {
    std::vector<Pair> ready;
    for (const auto& [way, queue] : wires_) {
      if (!queue.empty() && !IsCut(way.first, way.second) && way.second != weather_.deaf) ready.push_back(way);
    }
    if (ready.empty()) return;
    const Pair way = ready[generator_.UpTo(ready.size() - 1)];
    Bytes payload = std::move(wires_[way].front());
    wires_[way].pop_front();
    Step(way.second, Receive{way.first, links_.at(Ordered(way.first, way.second)), std::move(payload)});
  }

  void OneStep() {
    const ReplicaId id = Any();
    Member& member = members_[id];
    if (!member.core) {
      if (Chance(5)) Start(id);
      return;
    }
    if (Now(weather_.crash_in) && Chance(4)) return Crash(id);
    if (id == weather_.slow_disk && !member.writes.empty() && Now(weather_.crash_in)) return Crash(id);
    if (Now(weather_.break_in)) return Break(id, Any());
    if (Chance(4)) Connect(id, Any());
    if (!member.core) return;
    if (Now(weather_.transfer_in)) return Step(id, TransferLeadership{Any()});
    if (Chance(60)) return Release(id);
    if (churn_ && !calm_ && member.leadership.role == Role::kLeader && Chance(15)) return ChangeAt(id);
    const std::uint64_t dice = generator_.UpTo(99);
    if (dice < 8) {
      if (id != weather_.slow_clock || Chance(4)) Step(id, Tick{});
    } else if (dice < 65) {
      Deliver();
    } else if (dice < 68) {
      Arrive();
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
  std::map<Pair, LinkId> links_;             // keyed by (smaller, larger)
  std::map<Pair, std::deque<Bytes>> wires_;  // keyed by (from, to)
  std::deque<Shipped> shipped_;
  Weather weather_;
  bool calm_ = false;
  std::vector<Entry> agreed_;
  std::set<std::uint64_t> delivered_;                       // proposals
  std::pair<std::uint64_t, std::uint64_t> last_command_{};  // its epoch and proposal
  std::map<std::uint64_t, ReplicaId> leader_of_;
  std::map<ReadId, LogIndex> read_floor_;
  std::uint64_t proposals_ = 0, reads_ = 0, last_link_ = 0;
  std::size_t reads_good_ = 0, changes_ = 0, installs_ = 0;
};

TEST(ZabRandom, MembersAgreeUnderChaosAndRecoverAfterIt) {
  ExpectAgreement<Chaos>(5000, 8000, kRandomSeeds / 2);
}

#ifdef QUORATE_BUGS
// Each seeded bug of this folder is found by the same schedules, by an expectation or by an invariant.
class ZabBug : public testing::TestWithParam<std::string> {};

TEST_P(ZabBug, IsFoundByRandomSchedules) {
  ExpectFound<Chaos>(GetParam(), 5000);
}

INSTANTIATE_TEST_SUITE_P(All, ZabBug,
                         testing::Values("zab_newleader_acked_before_durable", "zab_epoch_before_history",
                                         "zab_uncommitted_tail_kept", "zab_trunc_across_epochs",
                                         "zab_propose_skips_syncing", "zab_hole_propagated",
                                         "zab_commit_by_new_quorum_only", "zab_forgets_promise_on_restart",
                                         "zab_promise_before_durable", "zab_read_without_quorum"),
                         [](const auto& bug) { return bug.param; });
#endif

}  // namespace
}  // namespace quorate::consensus::zab
