// Interprets tests/traces/PROTOCOL/*.txt, for all protocols; tests only. Each script drives a small cluster by hand and
// holds the whole trace that must come out. With the argument --rewrite the scripts are rewritten with what came out
// instead.
//
// A script is a list of stanzas: a line with a command, a line "----", the expected output, an empty line. Lines that
// begin with # are kept. Every command ends with all nodes' Ready values taken and printed; what they write waits for
// `persist`, what they send waits for `deliver`, and what they decide is applied at once. The commands:
//
//   nodes N [key=value...]                 new cluster, all links up; the options cache, message, window,
//                                          uncommitted, and how many of the nodes are learners or join later
//   tick N COUNT | tick N until ROLE       ROLE as in the trace: follower, candidate, leader
//   propose N TEXT...                      one proposal per word, all before one Ready
//   read N NAME...                         read barriers, all before one Ready
//   transfer N TO                          leadership transfer
//   members N V,V.. [L,L..]                a change to these voters and learners
//   snapshot N                             the log of N up to its applied index is released
//   ship A->B, lose A->B                   the snapshot that A was to send to B arrives there, or does not
//   quiesce N                              the host asks whether it may stop the ticks
//   persist N [BATCHES]                    the disk finishes all batches of N, or the first BATCHES
//   deliver [A->B] [COUNT]                 what is on the wire now (not what that causes); * is any node
//   drop A->B                              what is on the wire is lost
//   repeat A->B                            what is on the wire is doubled
//   settle                                 deliver and persist until nothing moves
//   cut A B, join A B                      the link goes down, and comes back (both sides are told)
//   refused A B                            nobody listens at B, as A finds out
//   crash N, restart N                     unsynced writes and messages not sent are lost
//   wire, disk                             what waits there
//   state [N]                              what the nodes tell about themselves
// A command after "quiet" prints only the leadership changes, decided entries and reads.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/testing/text_files.h"
#include "consensus/change.h"
#include "consensus/core.h"
#include "consensus/reads.h"

namespace quorate::consensus::trace {

// What differs between the protocols.
struct Dialect {
  Protocol protocol = Protocol::kRaft;
  std::string (*message)(const Bytes& payload) = nullptr;        // a message, readable
  std::string (*hard_state)(const Bytes& hard_state) = nullptr;  // the same, after a space
};

// Whether scripts are rewritten with what came out (--rewrite).
inline bool rewrite = false;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

template <class Tag>
inline std::string Show(Id<Tag> id) {
  return std::to_string(id.value);
}

inline std::string Show(const ReadRequestId& id) {
  return Show(id.life) + "." + std::to_string(id.counter);
}

// Each protocol has a Campaign of its own, in its messages.
template <class Campaign>
std::string ShowCampaign(Campaign campaign) {
  switch (campaign) {
    case Campaign::kTimeout:
      return "";
    case Campaign::kTransfer:
      return " by transfer";
    case Campaign::kRefused:
      return " by refusal";
  }
  return "?";
}

inline std::string Show(const Membership& members) {
  const auto list = [](std::string_view before, const std::vector<ReplicaId>& replicas) {
    std::string text;
    for (const ReplicaId replica : replicas) text.append(text.empty() ? before : ",").append(Show(replica));
    return text;
  };
  return list("", members.voters) + list(" outgoing ", members.outgoing) + list(" learners ", members.learners);
}

inline std::string Show(const Entry& entry) {
  const std::string where = Show(entry.index) + "/" + std::to_string(entry.ballot.number) +
                            (entry.ballot.owner ? "." + Show(entry.ballot.owner) : std::string());
  if (entry.kind == EntryKind::kNoop) return where + " noop";
  if (entry.kind == EntryKind::kMembership) return where + " members " + Show(DecodeChange(entry.payload)->members);
  return where + " \"" +
         (entry.payload.size() > 20 ? Show(LogIndex(entry.payload.size())) + " bytes" : entry.payload.ToString()) +
         "\"";
}

inline std::string Show(const WriteBatch& batch, const Dialect& dialect) {
  std::string out = Show(batch.seq) + (batch.sync ? ":" : " (no sync):");
  if (batch.hard_state) {
    out += dialect.hard_state(*batch.hard_state);
  }
  for (const LogOp& op : batch.ops) {
    if (const auto* put = std::get_if<PutEntry>(&op)) {
      out += " put " + Show(put->entry);
    } else if (const auto* install = std::get_if<InstallSnapshot>(&op)) {
      out += " install " + Show(install->meta.last) + "/" + std::to_string(install->meta.ballot.number) + " members " +
             Show(install->meta.members);
    } else {
      out += " truncate after " + Show(std::get<TruncateAfter>(op).last_kept);
    }
  }
  return out;
}

inline std::string_view Show(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
    case Role::kLearner:
      return "learner";
  }
  return "?";
}

struct Machine {
  std::unique_ptr<Core> core;
  std::optional<Bytes> hard_state;  // durable
  SnapshotMeta snapshot;            // durable
  std::map<LogIndex, Entry> log;    // durable, after the snapshot
  std::deque<WriteBatch> writes;    // handed over, not yet durable
  std::vector<Outbound> held;       // waiting for their batch
  PersistSeq persisted;
  LogIndex applied;
  Incarnation incarnation;
  Leadership leadership;
};

struct Packet {
  ReplicaId from;
  ReplicaId to;
  Bytes payload;
  LinkId link;
};

class Table final : public Inspector {
 public:
  explicit Table(std::string* out) : out_(out) {}
  void Number(std::string_view name, std::uint64_t value) override {
    *out_ += " " + std::string(name) + "=" + std::to_string(value);
  }
  void Text(std::string_view name, std::string_view value) override {
    *out_ += " " + std::string(name) + "=" + std::string(value);
  }

 private:
  std::string* out_;
};

class Script {
 public:
  explicit Script(const Dialect& dialect) : dialect_(dialect), fifo_(dialect.protocol == Protocol::kZab) {}

  // Executes one command line and gives its output.
  std::string Run(const std::string& line) {
    out_.clear();
    std::istringstream words(line);
    std::string command;
    words >> command;
    quiet_ = command == "quiet";
    if (quiet_) words >> command;
    const auto found = commands_.find(command);
    if (found == commands_.end()) return "unknown command: " + command + "\n";
    found->second(words);
    if (!out_.empty()) return out_;
    return quiet_ ? "ok\n" : "nothing\n";
  }

 private:
  using Words = std::istringstream;

  void Print(const std::string& line) { out_ += line + "\n"; }
  void PrintDetail(const std::string& line) {
    if (!quiet_) Print(line);
  }
  static ReplicaId TakeReplica(Words& words) {
    std::uint64_t number = 0;
    words >> number;
    return ReplicaId(number);
  }
  Machine& At(ReplicaId id) {
    EXPECT_TRUE(machines_.contains(id)) << "no node " << id.value;
    return machines_[id];
  }

  // Each pair has one link at a time; one that comes back is another.
  LinkId LinkOf(ReplicaId a, ReplicaId b) {
    return LinkId(links_.try_emplace({std::min(a, b), std::max(a, b)}, 1).first->second);
  }
  void LinkUpBetween(ReplicaId a, ReplicaId b) {
    StepAt(a, LinkUp{b, LinkOf(a, b), At(b).incarnation});
    StepAt(b, LinkUp{a, LinkOf(a, b), At(a).incarnation});
  }

  void Nodes(Words& words) {
    std::uint64_t count = 0;
    words >> count;
    machines_.clear();
    links_.clear();
    wire_.clear();
    reads_.clear();
    options_ = Options();
    options_.election_ticks = 10;
    options_.heartbeat_ticks = 2;
    std::string word;
    std::uint64_t learners = 0;
    joiners_ = 0;
    shipments_.clear();
    cut_.clear();
    while (words >> word) {
      const std::size_t equals = word.find('=');
      const std::string key = word.substr(0, equals);
      const std::uint64_t value = std::stoull(word.substr(equals + 1));
      if (key == "cache") options_.log_cache_bytes = value;
      if (key == "message") options_.message_bytes_max = value;
      if (key == "window") options_.inflight_messages_max = value;
      if (key == "uncommitted") options_.uncommitted_bytes_max = value;
      if (key == "alpha") options_.alpha = value;
      if (key == "learners") learners = value;
      if (key == "join") joiners_ = value;
    }
    for (std::uint64_t id = 1; id <= count; ++id) machines_[ReplicaId(id)];
    count -= joiners_;
    for (std::uint64_t id = 1; id <= count; ++id) {
      (id + learners <= count ? options_.initial.voters : options_.initial.learners).push_back(ReplicaId(id));
    }
    for (auto& [id, machine] : machines_) Boot(id, machine);
    for (auto& [id, machine] : machines_) {
      for (auto& [peer, other] : machines_) {
        if (peer != id) machine.core->Step(LinkUp{peer, LinkOf(id, peer), other.incarnation});
      }
    }
    TakeAll();
  }
  void Boot(ReplicaId id, Machine& machine) {
    Options options = options_;
    options.self = id;
    machine.incarnation = machine.incarnation.Next();
    options.seed = machine.incarnation.value;
    if (id.value + joiners_ > machines_.size()) options.initial = Membership();
    machine.applied = machine.snapshot.last;
    std::vector<Entry> log;
    for (const auto& [index, entry] : machine.log) log.push_back(entry);
    Result<std::unique_ptr<Core>> made =
        MakeCore(dialect_.protocol, options, {machine.hard_state, machine.snapshot, std::move(log), machine.applied});
    ASSERT_TRUE(made.ok()) << made.status().message();
    machine.core = std::move(made).value();
    machine.persisted = PersistSeq();
    machine.leadership = Leadership();
  }

  void Tick(Words& words) {
    const ReplicaId id = TakeReplica(words);
    std::string word;
    words >> word;
    if (word != "until") {
      for (int left = std::stoi(word); left > 0; --left) StepAt(id, consensus::Tick{});
      return;
    }
    words >> word;
    for (int limit = 100; limit > 0 && Show(At(id).leadership.role) != word; --limit) StepAt(id, consensus::Tick{});
  }
  void ProposeAt(Words& words) {
    const ReplicaId id = TakeReplica(words);
    Machine& machine = At(id);
    std::string text;
    while (words >> text) {
      if (text.starts_with("x*")) text = std::string(std::stoul(text.substr(2)), 'x');
      const Origin origin{id, machine.incarnation, ProposalId(++proposals_)};
      machine.core->Step(Propose{origin, Bytes(text)});
      machine.core->CheckInvariants();
    }
    TakeAll();
  }
  void ReadAt(Words& words) {
    const ReplicaId id = TakeReplica(words);
    std::string name;
    while (words >> name) {
      const ReadId read(reads_.size() + 1);
      reads_[read] = name;
      At(id).core->Step(ReadBarrier{read});
    }
    TakeAll();
  }
  void Transfer(Words& words) {
    const ReplicaId id = TakeReplica(words);
    StepAt(id, TransferLeadership{TakeReplica(words)});
  }
  void Members(Words& words) {
    const ReplicaId id = TakeReplica(words);
    Membership target;
    for (std::vector<ReplicaId>* half : {&target.voters, &target.learners}) {
      std::string list;
      words >> list;
      std::istringstream numbers(list);
      for (std::string number; std::getline(numbers, number, ',');) half->push_back(ReplicaId(std::stoull(number)));
    }
    StepAt(id, ChangeMembers{{id, At(id).incarnation, ProposalId(++proposals_)}, target});
  }
  void TakeSnapshot(Words& words) {
    const ReplicaId id = TakeReplica(words);
    Machine& machine = At(id);
    machine.snapshot = machine.core->MetaAt(machine.applied);
    machine.log.erase(machine.log.begin(), machine.log.upper_bound(machine.snapshot.last));
    Print(Show(id) + " releases up to " + Show(machine.snapshot.last) + " members " + Show(machine.snapshot.members));
    StepAt(id, SnapshotTaken{machine.snapshot});
  }
  void Ship(Words& words, bool arrives) {
    const Route route = TakeRoute(words);
    if (shipments_.erase({route.from, route.to}) == 0) return Print("no snapshot is to be sent");
    const SnapshotMeta meta = At(route.from).core->MetaAt(At(route.from).applied);
    if (arrives) StepAt(route.to, SnapshotReceived{route.from, meta});
    StepAt(route.from, SnapshotSent{route.to, meta, arrives});
  }
  void AskQuiesce(Words& words) {
    const ReplicaId id = TakeReplica(words);
    StepAt(id, Quiesce{});
  }
  void Persist(Words& words) {
    const ReplicaId id = TakeReplica(words);
    std::size_t batches = At(id).writes.size();
    std::size_t wanted = 0;
    if (words >> wanted) batches = std::min(batches, wanted);
    PersistAt(id, batches);
  }
  void PersistAt(ReplicaId id, std::size_t batches) {
    Machine& machine = At(id);
    for (; batches > 0; --batches) {
      const WriteBatch batch = machine.writes.front();
      machine.writes.pop_front();
      if (batch.hard_state) machine.hard_state = batch.hard_state;
      for (const LogOp& op : batch.ops) {
        if (const auto* put = std::get_if<PutEntry>(&op)) {
          machine.log[put->entry.index] = put->entry;
        } else if (const auto* install = std::get_if<InstallSnapshot>(&op)) {
          machine.snapshot = install->meta;
          machine.applied = install->meta.last;
          machine.log.clear();
        } else {
          machine.log.erase(machine.log.upper_bound(std::get<TruncateAfter>(op).last_kept), machine.log.end());
        }
      }
      machine.persisted = batch.seq;
      PrintDetail(Show(id) + " durable " + Show(batch.seq));
      std::erase_if(machine.held, [&](Outbound& out) {
        if (out.after > machine.persisted) return false;
        PutOnWire(id, out);
        return true;
      });
      StepAt(id, Persisted{batch.seq});
      // The host has loaded an installed snapshot.
      if (machine.applied == machine.snapshot.last) StepAt(id, Applied{machine.applied});
    }
  }

  struct Route {
    ReplicaId from, to;  // 0 = any
    bool Covers(const Packet& packet) const { return (!from || from == packet.from) && (!to || to == packet.to); }
  };
  static Route TakeRoute(Words& words) {
    std::string word;
    Route route;
    if (!(words >> word)) return route;
    const std::size_t arrow = word.find("->");
    EXPECT_NE(arrow, std::string::npos) << word;
    if (word[0] != '*') route.from = ReplicaId(std::stoull(word));
    if (word[arrow + 2] != '*') route.to = ReplicaId(std::stoull(word.substr(arrow + 2)));
    return route;
  }
  void Deliver(Words& words) {
    const Route route = TakeRoute(words);
    std::size_t count = wire_.size();
    std::size_t wanted = 0;
    if (words >> wanted) count = wanted;
    DeliverAlong(route, count);
  }
  // Delivers up to `count` of the packets that are on the wire now.
  bool DeliverAlong(const Route& route, std::size_t count) {
    std::vector<Packet> moving;
    std::erase_if(wire_, [&](const Packet& packet) {
      if (!route.Covers(packet) || moving.size() >= count) return false;
      moving.push_back(packet);
      return true;
    });
    for (const Packet& packet : moving) {
      if (!At(packet.to).core) continue;
      PrintDetail(Show(packet.to) + " hears " + Show(packet.from) + ": " + dialect_.message(packet.payload));
      StepAt(packet.to, Receive{packet.from, packet.link, packet.payload});
    }
    return !moving.empty();
  }
  void Drop(Words& words) {
    const Route route = TakeRoute(words);
    std::erase_if(wire_, [&](const Packet& packet) {
      if (!route.Covers(packet)) return false;
      Print("lost " + Show(packet.from) + "->" + Show(packet.to) + ": " + dialect_.message(packet.payload));
      return true;
    });
  }
  void Repeat(Words& words) {
    const Route route = TakeRoute(words);
    const std::deque<Packet> before = wire_;
    for (const Packet& packet : before) {
      if (!route.Covers(packet)) continue;
      Print("doubled " + Show(packet.from) + "->" + Show(packet.to) + ": " + dialect_.message(packet.payload));
      wire_.push_back(packet);
    }
  }
  void Settle(Words&) {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto& [id, machine] : machines_) {
        if (!machine.core || machine.writes.empty()) continue;
        PersistAt(id, machine.writes.size());
        moved = true;
      }
      moved = DeliverAlong(Route(), wire_.size()) || moved;
    }
  }

  void Cut(Words& words) {
    const ReplicaId a = TakeReplica(words);
    const ReplicaId b = TakeReplica(words);
    std::erase_if(wire_, [&](const Packet& p) { return (p.from == a && p.to == b) || (p.from == b && p.to == a); });
    cut_.insert({a, b});
    cut_.insert({b, a});
    StepAt(a, LinkDown{b, LinkOf(a, b)});
    StepAt(b, LinkDown{a, LinkOf(a, b)});
  }
  void Join(Words& words) {
    const ReplicaId a = TakeReplica(words);
    const ReplicaId b = TakeReplica(words);
    cut_.erase({a, b});
    cut_.erase({b, a});
    NewLink(a, b);
    LinkUpBetween(a, b);
  }
  void NewLink(ReplicaId a, ReplicaId b) {
    LinkOf(a, b);
    ++links_[{std::min(a, b), std::max(a, b)}];
  }
  void Refused(Words& words) {
    const ReplicaId id = TakeReplica(words);
    StepAt(id, LinkRefused{TakeReplica(words)});
  }
  void Crash(Words& words) {
    const ReplicaId id = TakeReplica(words);
    Machine& machine = At(id);
    for (const WriteBatch& batch : machine.writes) Print(Show(id) + " loses batch " + Show(batch.seq));
    for (const Outbound& out : machine.held) {
      Print(Show(id) + " never sends to " + Show(out.to) + ": " + dialect_.message(out.payload));
    }
    machine.core.reset();
    machine.writes.clear();
    machine.held.clear();
    std::erase_if(wire_, [&](const Packet& packet) { return packet.to == id || (fifo_ && packet.from == id); });
    for (auto& [peer, other] : machines_) {
      if (other.core) StepAt(peer, LinkDown{id, LinkOf(id, peer)});
    }
  }
  void Restart(Words& words) {
    const ReplicaId id = TakeReplica(words);
    Boot(id, At(id));
    for (auto& [peer, other] : machines_) {
      if (peer == id || !other.core || cut_.contains({id, peer})) continue;
      NewLink(id, peer);
      LinkUpBetween(peer, id);
    }
    TakeAll();
  }
  void Wire(Words&) {
    for (const Packet& packet : wire_) {
      Print(Show(packet.from) + "->" + Show(packet.to) + ": " + dialect_.message(packet.payload));
    }
  }
  void Disk(Words&) {
    for (const auto& [id, machine] : machines_) {
      for (const WriteBatch& batch : machine.writes) Print(Show(id) + " not yet durable " + Show(batch, dialect_));
      for (const Outbound& out : machine.held) {
        Print(Show(id) + " holds for " + Show(out.after) + " to " + Show(out.to) + ": " +
              dialect_.message(out.payload));
      }
    }
  }
  void State(Words& words) {
    const ReplicaId only = TakeReplica(words);
    for (const auto& [id, machine] : machines_) {
      if (only && id != only) continue;
      std::string line = Show(id) + ":";
      Table table(&line);
      if (machine.core) {
        machine.core->Inspect(table);
      } else {
        line += " down";
      }
      Print(line);
    }
  }

  void StepAt(ReplicaId id, Event event) {
    Machine& machine = At(id);
    if (!machine.core) return;
    machine.core->Step(std::move(event));
    machine.core->CheckInvariants();
    TakeAll();
  }
  void TakeAll() {
    for (auto& [id, machine] : machines_) {
      while (machine.core && machine.core->HasReady()) Take(id, machine);
    }
  }
  void PutOnWire(ReplicaId from, const Outbound& out) {
    const LinkId link = LinkOf(from, out.to);
    if (out.link && out.link != link) {  // what was held for a former one
      return PrintDetail(Show(from) + " drops for " + Show(out.to) + ": " + dialect_.message(out.payload));
    }
    if (!cut_.contains({from, out.to})) wire_.push_back({from, out.to, out.payload, link});
  }
  // The batch that it waits for: where links keep the order, also for what those before it wait for.
  PersistSeq WaitsFor(const Machine& machine, const Outbound& out) const {
    PersistSeq after = out.after;
    for (const Outbound& before : machine.held) {
      if (fifo_ && before.to == out.to) after = std::max(after, before.after);
    }
    return after;
  }
  void Take(ReplicaId id, Machine& machine) {
    const Ready ready = machine.core->TakeReady();
    machine.core->CheckInvariants();
    const std::string who = Show(id) + " ";
    if (ready.leadership) {
      const Leadership& now = machine.leadership = *ready.leadership;
      Print(who + "is " + std::string(Show(now.role)) + " in term " + std::to_string(now.ballot.number) +
            (now.leader ? " of " + Show(*now.leader) : std::string()) + (now.established ? ", established" : ""));
    }
    if (ready.write) {
      PrintDetail(who + "writes " + Show(*ready.write, dialect_));
      machine.writes.push_back(*ready.write);
    }
    for (Outbound out : ready.outbound) {
      out.after = WaitsFor(machine, out);
      const bool held = out.after > machine.persisted;
      PrintDetail(who + "to " + Show(out.to) + ": " + dialect_.message(out.payload) +
                  (held ? " (after " + Show(out.after) + ")" : std::string()));
      if (held) {
        machine.held.push_back(out);
      } else {
        PutOnWire(id, out);
      }
    }
    for (const SendSnapshot& send : ready.send_snapshot) {
      Print(who + "is to send a snapshot to " + Show(send.to));
      shipments_.insert({id, send.to});
    }
    if (ready.may_quiesce) Print(who + "may quiesce");
    for (const Entry& entry : ready.decided) Print(who + "decides " + Show(entry));
    for (const auto& [read, index] : ready.reads) Print(who + "reads " + reads_[read] + " at " + Show(index));
    for (const ReadId read : ready.failed_reads) Print(who + "cannot confirm " + reads_[read]);
    for (const Failed& failed : ready.failed) {
      Print(who + "refuses proposal " + Show(failed.origin.proposal) +
            (failed.reason == FailureReason::kNotLeader ? ": not the leader" : ": dropped"));
    }
    if (ready.load_log) Load(id, machine, *ready.load_log);
    if (ready.decided.empty()) return;
    machine.applied = ready.decided.back().index;
    machine.core->Step(Applied{machine.applied});
  }
  void Load(ReplicaId id, Machine& machine, const LoadLog& wanted) {
    PrintDetail(Show(id) + " loads [" + Show(wanted.first) + ", " + Show(wanted.last) + "]");
    LogLoaded loaded{wanted.first, {}};
    std::uint64_t bytes = 0;
    for (const auto& [index, entry] : machine.log) {
      if (entry.index < wanted.first || entry.index > wanted.last) continue;
      bytes += entry.payload.size();
      if (!loaded.entries.empty() && bytes > wanted.bytes_max) break;
      loaded.entries.push_back(entry);
    }
    machine.core->Step(std::move(loaded));
  }

  const std::map<std::string, std::function<void(Words&)>> commands_{
      {"nodes", [this](Words& w) { Nodes(w); }},
      {"tick", [this](Words& w) { Tick(w); }},
      {"propose", [this](Words& w) { ProposeAt(w); }},
      {"read", [this](Words& w) { ReadAt(w); }},
      {"transfer", [this](Words& w) { Transfer(w); }},
      {"persist", [this](Words& w) { Persist(w); }},
      {"deliver", [this](Words& w) { Deliver(w); }},
      {"drop", [this](Words& w) { Drop(w); }},
      {"repeat", [this](Words& w) { Repeat(w); }},
      {"settle", [this](Words& w) { Settle(w); }},
      {"cut", [this](Words& w) { Cut(w); }},
      {"join", [this](Words& w) { Join(w); }},
      {"refused", [this](Words& w) { Refused(w); }},
      {"crash", [this](Words& w) { Crash(w); }},
      {"restart", [this](Words& w) { Restart(w); }},
      {"wire", [this](Words& w) { Wire(w); }},
      {"disk", [this](Words& w) { Disk(w); }},
      {"state", [this](Words& w) { State(w); }},
      {"members", [this](Words& w) { Members(w); }},
      {"snapshot", [this](Words& w) { TakeSnapshot(w); }},
      {"ship", [this](Words& w) { Ship(w, true); }},
      {"lose", [this](Words& w) { Ship(w, false); }},
      {"quiesce", [this](Words& w) { AskQuiesce(w); }},
  };
  const Dialect dialect_;
  const bool fifo_;  // Traits::needs_fifo_links
  std::string out_;
  bool quiet_ = false;
  Options options_;
  std::map<ReplicaId, Machine> machines_;
  std::deque<Packet> wire_;
  std::map<std::pair<ReplicaId, ReplicaId>, std::uint64_t> links_;  // the number of each pair's present one
  std::set<std::pair<ReplicaId, ReplicaId>> cut_;
  std::set<std::pair<ReplicaId, ReplicaId>> shipments_;  // asked for, from and to
  std::uint64_t joiners_ = 0;
  std::map<ReadId, std::string> reads_;
  std::uint64_t proposals_ = 0;
};

// The file as it would be if the expectations were right.
inline std::string Replay(const Dialect& dialect, const std::string& text) {
  Script script(dialect);
  std::istringstream lines(text);
  std::string line;
  std::string out;
  while (std::getline(lines, line)) {
    out += line + "\n";
    if (line.empty() || line[0] == '#') continue;
    while (std::getline(lines, line) && !line.empty()) {
    }
    out += "----\n" + script.Run(out.substr(out.rfind('\n', out.size() - 2) + 1)) + "\n";
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

inline std::string TraceFolder(Protocol protocol) {
  return std::string(QUORATE_SOURCE_DIR) + "/tests/traces/" + std::string(ProtocolName(protocol));
}

inline std::vector<std::string> TraceNames(Protocol protocol) {
  return TextFileNames(TraceFolder(protocol));
}

// The body of the tests: the script must give the trace that it holds.
inline void Check(const Dialect& dialect, const std::string& name) {
  const std::string path = TraceFolder(dialect.protocol) + "/" + name + ".txt";
  const std::string expected = ReadTextFile(path);
  const std::string actual = Replay(dialect, expected);
  if (rewrite) return WriteTextFile(path, actual);
  EXPECT_EQ(actual, expected) << path << "; --rewrite rewrites it";
}

}  // namespace quorate::consensus::trace
