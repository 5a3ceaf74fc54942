#include "sim/explore/explorer.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::sim::explore {
namespace {

constexpr std::uint32_t kNoParent = UINT32_MAX;

consensus::Options CoreOptions(const Scope& scope, std::uint8_t place) {
  consensus::Options options;
  options.self = ReplicaId(place + 1u);
  for (std::uint64_t i = 1; i <= scope.replicas; ++i) options.initial.voters.push_back(ReplicaId(i));
  options.heartbeat_ticks = 1;
  options.election_ticks = 2;
  options.jitter = false;
  if (scope.single_appends) options.message_bytes_max = 1;
  return options;
}

std::uint64_t Milliseconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

std::uint64_t MemoryBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

Explorer::Explorer(const Scope& scope)
    : scope_(scope), replicas_(static_cast<std::uint8_t>(scope.replicas)), locals_(scope.audit_every) {
  CHECK(scope.replicas >= 1 && scope.replicas <= kReplicasMax);
}

// All have started, are connected, and have made durable what they write at their first start.
Explorer::World Explorer::Begin() {
  World world;
  world.history = InternHistory({});
  world.left = {static_cast<std::uint8_t>(scope_.elections), static_cast<std::uint8_t>(scope_.beats),
                static_cast<std::uint8_t>(scope_.proposals), static_cast<std::uint8_t>(scope_.reads),
                static_cast<std::uint8_t>(scope_.crashes),   static_cast<std::uint8_t>(scope_.losses),
                static_cast<std::uint8_t>(scope_.waits)};
  for (std::uint8_t place = 0; place < replicas_; ++place) {
    Sessions sessions;
    for (std::uint8_t peer = 0; peer < replicas_; ++peer) {
      if (peer == place) continue;
      sessions.links[ReplicaId(peer + 1u)] = CurrentLink(world, place, peer);
      sessions.peers[ReplicaId(peer + 1u)] = Incarnation(1);
    }
    auto replica = std::make_unique<Replica>(scope_.protocol, CoreOptions(scope_, place), !scope_.slow_disks);
    std::vector<Outputs> outputs{replica->Start(sessions.links, sessions.peers)};
    while (replica->can_persist()) outputs.push_back(replica->Persist());
    for (Outputs& output : outputs) {
      for (auto& [to, payload] : output.sent) {
        QueueNumber& queue = Queue(&world, place, static_cast<std::uint8_t>(to.value - 1));
        queue = queues_.Push(queue, locals_.InternMessage({std::move(payload), {}, {}}));
      }
    }
    fifo_ = replica->core().traits().needs_fifo_links;
    world.replicas[place] = locals_.Intern(std::move(replica));
  }
  if (scope_.settled) Settle(&world);
  return world;
}

void Explorer::Settle(World* world) {
  for (bool arrived = true; arrived;) {
    arrived = false;
    for (std::uint8_t link = 0; link < replicas_ * replicas_; ++link) {
      if (queues_.empty(world->queues[link])) continue;
      Verdict verdict;
      const Event event{EventKind::kDeliver, static_cast<std::uint8_t>(link / replicas_),
                        static_cast<std::uint8_t>(link % replicas_)};
      CHECK(Happen(event, world, &verdict)) << verdict->checker << ": " << verdict->message;
      arrived = true;
    }
  }
}

Exploration Explorer::Run() {
  began_ms_ = Milliseconds();
  const World first = Begin();
  table_.Add(HashOf(first), kNoParent, 0);
  Packed level;
  Pack(first, &level);
  std::uint32_t parent = 0;
  bool going = true;
  for (; going && !level.empty(); ++result_.depth) {
    if (scope_.depth_max != 0 && result_.depth == scope_.depth_max) break;
    next_.clear();
    for (std::size_t at = 0; going && at < level.size(); at += packed_size())
      going = Expand(Unpack(&level[at]), parent++);
    level.swap(next_);
  }
  if (going && level.empty()) {
    result_.complete = true;
    --result_.depth;  // the last round found nothing
  }
  return Report();
}

bool Explorer::Expand(const World& world, std::uint32_t parent) {
  std::vector<Event> events;
  Enabled(world, &events);
  for (const Event event : events) {
    if (!Try(world, event, parent)) return false;
  }
  return scope_.states_max == 0 || table_.size() < scope_.states_max;
}

bool Explorer::Try(const World& world, Event event, std::uint32_t parent) {
  current_ = {parent, event};
  ++result_.transitions;
  World after = world;
  Verdict verdict;
  redundant_ = false;
  if (!Happen(event, &after, &verdict)) return Violated(*verdict);
  if (!locals_.audit_failure().empty()) return Violated({"fingerprint", locals_.audit_failure()});
  if (redundant_) return true;
  if (!table_.Add(HashOf(after), parent, event.Pack())) return true;
  if (!CheckDurability(after, &verdict)) return Violated(*verdict);
  Pack(after, &next_);
  return true;
}

bool Explorer::Violated(Violation violation) {
  result_.violation = std::move(violation);
  const auto [parent, event] = current_;
  result_.trace = Trace(parent, event);
  return false;
}

Exploration Explorer::Aborted(std::string message) {
  result_.violation = Violation{"invariant", std::move(message)};
  const auto [parent, event] = current_;
  result_.trace = Trace(parent, event);
  return Report();
}

std::vector<std::string> Explorer::Trace(std::uint32_t parent, Event last) {
  if (table_.size() == 0) return {};  // a CHECK at the very start
  std::vector<Event> events{last};
  for (std::uint32_t at = parent; table_.parent(at) != kNoParent; at = table_.parent(at)) {
    events.push_back(Event::Unpack(table_.event(at)));
  }
  std::reverse(events.begin(), events.end());
  std::vector<std::string> trace;
  World world = Begin();
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Event event = events[i];
    std::string line = What(world, event);
    const World before = world;
    Verdict verdict;
    // The last one may end in a CHECK, so it is not done again.
    if (i + 1 < events.size() && Happen(event, &world, &verdict)) {
      const bool receives = event.kind == EventKind::kDeliver || event.kind == EventKind::kDeliverLate;
      line += Reaction(before, world, receives ? event.b : event.a);
    }
    trace.push_back(std::move(line));
  }
  return trace;
}

Exploration Explorer::Report() const {
  Exploration report = result_;
  report.states = table_.size();
  report.local_states = locals_.states();
  report.core_steps = locals_.steps();
  report.messages = locals_.messages();
  report.audited = locals_.audited();
  report.memory_bytes = MemoryBytes();
  report.milliseconds = Milliseconds() - began_ms_;
  return report;
}

// ---- Worlds as numbers

std::size_t Explorer::packed_size() const {
  return replicas_ + std::size_t{replicas_} * replicas_ + 1 + 2 + (std::size_t{replicas_} * replicas_ + 3) / 4;
}

void Explorer::Pack(const World& world, Packed* out) const {
  const std::size_t pairs = std::size_t{replicas_} * replicas_;
  out->insert(out->end(), world.replicas.begin(), world.replicas.begin() + replicas_);
  out->insert(out->end(), world.queues.begin(), world.queues.begin() + static_cast<std::ptrdiff_t>(pairs));
  out->push_back(world.history);
  for (std::size_t i = 0; i < 8; i += 4) {
    std::uint32_t word = 0;
    for (std::size_t j = i; j < i + 4 && j < kBudgets; ++j) word |= std::uint32_t{world.left[j]} << 8 * (j - i);
    out->push_back(word);
  }
  for (std::size_t i = 0; i < pairs; i += 4) {
    std::uint32_t word = 0;
    for (std::size_t j = i; j < i + 4 && j < pairs; ++j) word |= std::uint32_t{world.links[j]} << 8 * (j - i);
    out->push_back(word);
  }
}

Explorer::World Explorer::Unpack(const std::uint32_t* packed) const {
  const std::size_t pairs = std::size_t{replicas_} * replicas_;
  World world;
  std::copy_n(packed, replicas_, world.replicas.begin());
  packed += replicas_;
  std::copy_n(packed, pairs, world.queues.begin());
  packed += pairs;
  world.history = *packed++;
  for (std::size_t i = 0; i < kBudgets; ++i) world.left[i] = static_cast<std::uint8_t>(packed[i / 4] >> 8 * (i % 4));
  packed += 2;
  for (std::size_t i = 0; i < pairs; ++i) world.links[i] = static_cast<std::uint8_t>(packed[i / 4] >> 8 * (i % 4));
  return world;
}

std::uint64_t Explorer::HashOf(const World& world) const {
  thread_local Packed packed;
  packed.clear();
  Pack(world, &packed);
  consensus::Hasher h;
  for (std::size_t i = 0; i < packed.size(); i += 2) {
    const std::uint64_t high = i + 1 < packed.size() ? packed[i + 1] : 0;
    h.Add(high << 32 | packed[i]);
  }
  return h.value();
}

}  // namespace quorate::sim::explore
