#include "sim/workload.h"

#include <memory>
#include <utility>

#include "base/check.h"

namespace quorate::sim {
namespace {

// By which every request must have been answered: the members' own bound is 7 s by their clocks, pauses apart.
constexpr std::uint64_t kAnsweredWithinNs = 25 * kSecond;
constexpr std::uint64_t kAwayFromHomePermille = 250;
constexpr std::uint64_t kBackOffMaxNs = 1'500 * kMillisecond;  // after a refusal

std::optional<SeenValue> SeenIn(const std::vector<store::KeyValue>& kvs) {
  if (kvs.empty()) return std::nullopt;
  return SeenValue{kvs[0].value.ToString(), kvs[0].mod_revision};
}

coord::RangeRequest RangeOf(const std::string& key) {
  coord::RangeRequest range;
  range.key = key;
  return range;
}

coord::CommandBody PutBody(const Operation& operation) {
  coord::PutRequest put;
  put.key = operation.key;
  put.value = Bytes::Copy(operation.value);
  put.prev_kv = operation.looked;
  return put;
}

coord::CommandBody DeleteBody(const Operation& operation) {
  coord::DeleteRangeRequest erase;
  erase.key = operation.key;
  erase.prev_kv = true;
  return erase;
}

// Whatever the compare says, the answer tells what the key held before.
coord::TxnRequest SwapRequest(const Operation& operation, bool by_revision, Revision revision) {
  coord::Compare compare;
  compare.key = operation.key;
  if (!operation.expected) {
    compare.target = coord::Compare::Target::kVersion;
  } else if (by_revision) {
    compare.target = coord::Compare::Target::kMod;
    compare.number = revision;
  } else {
    compare.target = coord::Compare::Target::kValue;
    compare.value = *operation.expected;
  }
  coord::PutRequest put;
  put.key = operation.key;
  put.value = Bytes::Copy(operation.value);
  coord::TxnRequest txn;
  txn.compares.push_back(compare);
  txn.success = {RangeOf(operation.key), put};
  txn.failure = {RangeOf(operation.key)};
  return txn;
}

// False: it is the answer to another kind of request.
bool ReadAnswer(const coord::CommandOutcome& outcome, Operation& operation) {
  operation.revision = outcome.revision;
  if (const auto* put = std::get_if<coord::PutResponse>(&outcome.body)) {
    if (put->prev_kv) operation.seen = SeenIn({*put->prev_kv});
    return operation.kind == OperationKind::kPut;
  } else if (const auto* erased = std::get_if<coord::DeleteRangeResponse>(&outcome.body)) {
    operation.seen = SeenIn(erased->prev_kvs);
    return operation.kind == OperationKind::kDelete;
  } else if (const auto* txn = std::get_if<coord::TxnResponse>(&outcome.body)) {
    const auto* before = txn->responses.empty() ? nullptr : std::get_if<coord::RangeResponse>(&txn->responses.front());
    if (before == nullptr) return false;
    operation.swapped = txn->succeeded;
    operation.seen = SeenIn(before->kvs);
    return operation.kind == OperationKind::kCompareAndSwap;
  }
  return false;
}

}  // namespace

Workload::Workload(WorkloadOptions options, Cluster& cluster) : options_(options), cluster_(cluster) {
  for (std::uint64_t i = 1; i <= options_.clients; ++i) {
    const ReplicaId home(1 + i % cluster_.members().size());
    clients_.push_back({i, home, SeededRandom::ForPurpose(options_.seed, "client", i)});
  }
  cluster_.AddCrashHook([this](ReplicaId member) { OnCrash(member); });
}

std::vector<std::string> Workload::keys() const {
  std::vector<std::string> all;
  for (std::uint64_t i = 1; i <= options_.keys; ++i) all.push_back(Numbered("key", i));
  return all;
}

void Workload::Start() {
  for (Client& client : clients_) {
    cluster_.scheduler().After(client.random.Below(options_.think_max_ns), kSimulator,
                               [this, &client] { Next(client); });
  }
}

Workload::Compare Workload::ChooseExpectation(SeededRandom& random, Operation& operation) {
  const auto known = last_seen_.find(operation.key);
  if (known == last_seen_.end() || !known->second) return {};
  operation.expected = known->second->value;
  const bool by_revision = known->second->mod_revision != 0 && random.Chance(500);
  return {by_revision, known->second->mod_revision};
}

void Workload::Next(Client& client) {
  if (stopped_) return;
  SeededRandom& random = client.random;
  Operation operation;
  operation.client = client.number;
  operation.key = random.Pick(keys());
  const std::vector<Member*> members = cluster_.WithStanding(Standing::kMember);
  const Member& home = cluster_.member(client.home);
  if (home.standing() == Standing::kGone) client.home = random.Pick(members)->id();
  operation.member = client.home;
  if (random.Chance(kAwayFromHomePermille) || !home.running()) operation.member = random.Pick(members)->id();
  Compare compare;
  const std::uint64_t draw = random.Below(1000);
  if (draw < options_.get_permille) {
    operation.kind = OperationKind::kGet;
  } else if (draw < options_.get_permille + options_.swap_permille) {
    operation.kind = OperationKind::kCompareAndSwap;
    compare = ChooseExpectation(random, operation);
  } else if (draw < options_.get_permille + options_.swap_permille + options_.delete_permille) {
    operation.kind = OperationKind::kDelete;
  } else {
    operation.kind = OperationKind::kPut;
    operation.looked = random.Chance(500);
  }
  const std::uint64_t think = random.Below(options_.think_max_ns);
  const std::uint64_t timeout = random.Between(options_.timeout_min_ns, options_.timeout_max_ns);
  const std::uint64_t back_off = think + random.Below(kBackOffMaxNs);
  const auto again = [this, &client, think, back_off](const Operation& done) {
    const std::uint64_t wait = done.fate == OperationFate::kFailed ? back_off : think;
    cluster_.scheduler().After(wait, kSimulator, [this, &client] { Next(client); });
  };
  if (!cluster_.member(operation.member).running()) return again(operation);  // connection refused: nothing was asked
  Begin(std::move(operation), compare, timeout, again);
}

void Workload::Ask(ReplicaId member, OperationKind kind, const std::string& key, Done done) {
  Operation operation;
  operation.member = member;
  operation.kind = kind;
  operation.key = key;
  operation.looked = kind != OperationKind::kPut;
  if (!cluster_.member(member).running()) return done(operation);
  Begin(std::move(operation), {}, options_.timeout_max_ns, std::move(done));
}

void Workload::Begin(Operation operation, Compare compare, std::uint64_t timeout_ns, Done done) {
  const std::size_t position = history_.size();
  operation.id = position + 1;
  if (operation.kind == OperationKind::kPut || operation.kind == OperationKind::kCompareAndSwap) {
    operation.value = Numbered("v", operation.id);
  }
  operation.invoked_ns = cluster_.scheduler().now();
  history_.push_back(std::move(operation));
  open_[position] = std::move(done);
  const ProcessId process = cluster_.member(history_[position].member).process();
  cluster_.scheduler().After(0, process,
                             [this, position, compare, timeout_ns] { Send(position, compare, timeout_ns); });
  cluster_.scheduler().After(kAnsweredWithinNs, process, [this, position] {
    if (open_.contains(position)) cluster_.monitor().Report("answered", "never: " + Describe(history_[position]));
  });
}

void Workload::Send(std::size_t position, const Compare& compare, std::uint64_t timeout_ns) {
  Member& member = cluster_.member(history_[position].member);
  const std::uint64_t deadline = member.clock().MonotonicNs() + timeout_ns;
  if (history_[position].kind == OperationKind::kGet) {
    SendGet(member, position, deadline);
  } else {
    SendWrite(member, position, compare, deadline);
  }
}

void Workload::SendGet(Member& member, std::size_t position, std::uint64_t deadline_ns) {
  member.group().ReadBarrier(deadline_ns, [this, position, &member](replica::Fate fate) {
    if (fate != replica::Fate::kApplied) return Answer(position, OperationFate::kFailed);
    member.machine().ReadRange(
        RangeOf(history_[position].key),
        [this, position, &member](const Result<coord::RangeResponse>& found) { AnswerGet(member, position, found); });
  });
}

void Workload::AnswerGet(Member& member, std::size_t position, const Result<coord::RangeResponse>& found) {
  if (found.ok()) {
    history_[position].seen = SeenIn(found->kvs);
    history_[position].revision = member.machine().revision();
    Answer(position, OperationFate::kGood);
  } else if (found.status().code() == StatusCode::kUnavailable) {  // the disk failed
    Answer(position, OperationFate::kFailed);
  } else {
    cluster_.monitor().Report("answered", "a plain read was refused: " + found.status().message());
  }
}

void Workload::SendWrite(Member& member, std::size_t position, const Compare& compare, std::uint64_t deadline_ns) {
  const Operation& operation = history_[position];
  coord::Command command;
  if (operation.kind == OperationKind::kPut) {
    command.body = PutBody(operation);
  } else if (operation.kind == OperationKind::kDelete) {
    command.body = DeleteBody(operation);
  } else {
    command.body = SwapRequest(operation, compare.by_revision, compare.revision);
  }
  member.group().Propose(coord::EncodeCommand(command), deadline_ns,
                         [this, position](const replica::ProposeResult& result) { AnswerWrite(position, result); });
}

void Workload::AnswerWrite(std::size_t position, const replica::ProposeResult& result) {
  switch (result.fate) {
    case replica::Fate::kApplied:
      break;
    case replica::Fate::kTimedOut:
    case replica::Fate::kLeaderLost:
      return Answer(position, OperationFate::kUnknown);
    case replica::Fate::kNoLeader:
    case replica::Fate::kOverloaded:
    case replica::Fate::kNotReady:
    case replica::Fate::kNoSpace:
    case replica::Fate::kRefused:
      return Answer(position, OperationFate::kFailed);
  }
  const auto* outcome = dynamic_cast<const coord::CommandOutcome*>(result.outcome.get());
  CHECK(outcome != nullptr) << "an executed command without an outcome";
  if (!outcome->status.ok()) {
    cluster_.monitor().Report("answered", "a plain write was refused: " + outcome->status.message());
    return;
  }
  if (!ReadAnswer(*outcome, history_[position])) {
    cluster_.monitor().Report("answered", "with another request's outcome: " + Describe(history_[position]));
    return;
  }
  history_[position].index = result.index;
  Answer(position, OperationFate::kGood);
}

void Workload::Answer(std::size_t position, OperationFate fate) {
  const auto open = open_.find(position);
  if (open == open_.end()) {
    cluster_.monitor().Report("answered", "twice: " + Describe(history_[position]));
    return;
  }
  Operation& operation = history_[position];
  operation.fate = fate;
  if (fate != OperationFate::kUnknown) operation.returned_ns = cluster_.scheduler().now();
  if (fate == OperationFate::kGood) Remember(operation);
  TraceHash& trace = cluster_.trace();
  trace.Mix(operation.id);
  trace.Mix(static_cast<std::uint64_t>(fate));
  trace.Mix(static_cast<std::uint64_t>(operation.revision));
  if (operation.seen) trace.MixBytes(operation.seen->value);
  const Done done = std::move(open->second);
  open_.erase(open);
  done(operation);
}

void Workload::Remember(const Operation& operation) {
  std::optional<SeenValue>& last = last_seen_[operation.key];
  if (!operation.Writes()) {
    last = operation.seen;
  } else if (operation.kind == OperationKind::kDelete) {
    last.reset();
  } else {
    last = SeenValue{operation.value, operation.revision};
  }
}

void Workload::OnCrash(ReplicaId member) {
  std::vector<std::size_t> lost;
  for (const auto& [position, done] : open_) {
    if (history_[position].member == member) lost.push_back(position);
  }
  for (const std::size_t position : lost) {
    Answer(position, history_[position].kind == OperationKind::kGet ? OperationFate::kFailed : OperationFate::kUnknown);
  }
}

}  // namespace quorate::sim
