// What can happen in a state of the whole system, and what it does.
#include <algorithm>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "sim/describe.h"
#include "sim/explore/explorer.h"

namespace quorate::sim::explore {

QueueNumber& Explorer::Queue(World* world, std::uint8_t from, std::uint8_t to) const {
  return world->queues[from * replicas_ + to];
}
QueueNumber Explorer::QueueOf(const World& world, std::uint8_t from, std::uint8_t to) const {
  return world.queues[from * replicas_ + to];
}
std::uint8_t& Explorer::Links(World* world, std::uint8_t a, std::uint8_t b) const {
  return world->links[std::min(a, b) * replicas_ + std::max(a, b)];
}
// A number that no other link of this or another pair has.
LinkId Explorer::CurrentLink(const World& world, std::uint8_t a, std::uint8_t b) const {
  const unsigned pair = std::min(a, b) * replicas_ + std::max(a, b);
  return LinkId(pair * 100u + world.links[pair]);
}

// ---- What can happen

void Explorer::Enabled(const World& world, std::vector<Event>* out) const {
  out->clear();
  for (std::uint8_t place = 0; place < replicas_; ++place) {
    const LocalState& state = locals_.at(world.replicas[place]);
    if (state.doomed && !state.has_pending) return EnabledNext(world, place, out);
  }
  for (std::uint8_t place = 0; place < replicas_; ++place) {
    EnabledAt(world, place, out);
    for (std::uint8_t from = 0; from < replicas_; ++from) {
      if (from != place) EnabledOnLink(world, from, place, out);
    }
  }
}

// A disk that stops working is noticed only in what is not written any more. So only the moment right before a write
// that is lost counts: the replica's next event comes at once, and is one that writes (Try drops the others).
void Explorer::EnabledNext(const World& world, std::uint8_t place, std::vector<Event>* out) const {
  EnabledAt(world, place, out);
  for (std::uint8_t from = 0; from < replicas_; ++from) {
    if (from != place) EnabledOnLink(world, from, place, out);
  }
  std::erase_if(*out, [](const Event& event) { return event.kind == EventKind::kCrash; });
}

void Explorer::EnabledAt(const World& world, std::uint8_t place, std::vector<Event>* out) const {
  const LocalState& state = locals_.at(world.replicas[place]);
  if (state.can_persist && !state.doomed) out->push_back({EventKind::kPersist, place, 0});
  if (state.has_deadline && world.left[state.leads ? kBeats : kElections] > 0 &&
      (state.leads || May(scope_.electors, place))) {
    out->push_back({EventKind::kTimeout, place, 0});
  }
  if (state.may_propose && world.left[kProposals] > 0) out->push_back({EventKind::kPropose, place, 0});
  if (world.left[kReads] > 0) out->push_back({EventKind::kRead, place, 0});
  const bool may_crash = world.left[kCrashes] > 0 && May(scope_.crashers, place);
  if (may_crash || state.doomed) out->push_back({EventKind::kCrash, place, 0});
  if (may_crash && !state.doomed && !scope_.slow_disks) out->push_back({EventKind::kDoom, place, 0});
}

bool Explorer::May(const std::set<std::uint64_t>& who, std::uint8_t place) {
  return who.empty() || who.contains(place + 1u);
}

void Explorer::EnabledOnLink(const World& world, std::uint8_t from, std::uint8_t to, std::vector<Event>* out) const {
  if (fifo_ && world.left[kLosses] > 0) out->push_back({EventKind::kReset, from, to});
  const QueueNumber queue = QueueOf(world, from, to);
  if (queues_.empty(queue)) return;
  out->push_back({EventKind::kDeliver, from, to});
  if (queues_.reset_is_behind(queue)) out->push_back({EventKind::kSkipToReset, from, to});
  if (locals_.message(queues_.Front(queue)).is_reset()) return;
  if (world.left[kWaits] > 0 && locals_.at(world.replicas[to]).can_be_late)
    out->push_back({EventKind::kDeliverLate, from, to});
  if (!fifo_ && world.left[kLosses] > 0) out->push_back({EventKind::kLose, from, to});
}

// ---- What it does

bool Explorer::Happen(Event event, World* world, Verdict* verdict) {
  LocalEvent local{event.kind, 0, 0};
  std::uint8_t place = event.a;
  switch (event.kind) {
    case EventKind::kDeliver:
    case EventKind::kDeliverLate:
      if (event.kind == EventKind::kDeliverLate && world->left[kWaits] != kUnlimited) --world->left[kWaits];
      local.peer = event.a;
      local.subject = queues_.Front(QueueOf(*world, event.a, event.b));
      Queue(world, event.a, event.b) = queues_.Pop(QueueOf(*world, event.a, event.b));
      place = event.b;
      break;
    case EventKind::kSkipToReset:
      Queue(world, event.a, event.b) = queues_.DropBeforeReset(QueueOf(*world, event.a, event.b));
      return true;
    case EventKind::kLose:
      --world->left[kLosses];
      Queue(world, event.a, event.b) = queues_.Pop(QueueOf(*world, event.a, event.b));
      return true;
    case EventKind::kReset:
      --world->left[kLosses];
      local = {EventKind::kDeliver, event.a,
               ReplaceLink(event.b, locals_.at(world->replicas[event.b]).replica->incarnation(), event.a, world)};
      place = event.b;
      break;
    case EventKind::kTimeout:
      --world->left[locals_.at(world->replicas[place]).leads ? kBeats : kElections];
      break;
    case EventKind::kPropose:
      --world->left[kProposals];
      break;
    case EventKind::kRead: {
      local.subject = static_cast<std::uint32_t>(scope_.reads - world->left[kReads]-- + 1);
      History history = histories_[world->history];
      history.OnReadAsked(ReadId(local.subject));
      world->history = InternHistory(std::move(history));
      break;
    }
    case EventKind::kDoom:
      --world->left[kCrashes];
      break;
    case EventKind::kCrash:
      if (!locals_.at(world->replicas[place]).doomed) --world->left[kCrashes];
      Crash(place, world, &local);
      break;
    case EventKind::kPersist:
      break;
  }
  return Apply(place, local, world, verdict);
}

// The new life is connected at once: one that is connected later is one to whom nothing happens meanwhile.
void Explorer::Crash(std::uint8_t place, World* world, LocalEvent* event) {
  const Incarnation next = locals_.at(world->replicas[place]).replica->incarnation().Next();
  Sessions sessions;
  for (std::uint8_t peer = 0; peer < replicas_; ++peer) {
    if (peer == place) continue;
    const Message& news = locals_.message(ReplaceLink(place, next, peer, world));
    sessions.links[ReplicaId(peer + 1u)] = news.new_link;
    sessions.peers[ReplicaId(peer + 1u)] = news.new_incarnation;
  }
  event->subject = locals_.InternSessions(sessions);
}

// A new link, of which `first` knows from now on and `second` learns when it comes to the reset in its queue, or to the
// end of what it gets of the old link. What was under way to `first` it never gets; had it got some of that on the old
// link, it would have learned of the new one later. Gives what `first` is told.
MessageNumber Explorer::ReplaceLink(std::uint8_t first, Incarnation firsts, std::uint8_t second, World* world) {
  ++Links(world, first, second);
  const LinkId link = CurrentLink(*world, first, second);
  Queue(world, second, first) = 0;
  const MessageNumber news = locals_.InternMessage({{}, link, firsts});
  Queue(world, first, second) = queues_.Reset(QueueOf(*world, first, second), news);
  return locals_.InternMessage({{}, link, locals_.at(world->replicas[second]).replica->incarnation()});
}

bool Explorer::Apply(std::uint8_t place, const LocalEvent& event, World* world, Verdict* verdict) {
  const bool doomed = locals_.at(world->replicas[place]).doomed;
  const LocalOutcome& outcome = locals_.Apply(world->replicas[place], event);
  const LocalState& next = locals_.at(outcome.next);
  redundant_ = outcome.redundant || (doomed && next.doomed && !next.has_pending);
  world->replicas[place] = outcome.next;
  for (const auto& [to, message] : outcome.sent) {
    // Who has not yet learned that the link was replaced still sends on the old one.
    if (queues_.has_reset(QueueOf(*world, to, place))) continue;
    Queue(world, place, to) = queues_.Push(QueueOf(*world, place, to), message);
  }
  if (outcome.effects == nullptr) return true;
  History history = histories_[world->history];
  *verdict = history.On(*locals_.at(outcome.next).replica, *outcome.effects);
  if (*verdict) return false;
  world->history = InternHistory(std::move(history));
  return true;
}

bool Explorer::CheckDurability(const World& world, Verdict* verdict) const {
  const History& history = histories_[world.history];
  if (history.decided() == 0) return true;
  std::array<const LocalState*, kReplicasMax> states{};
  for (std::uint8_t place = 0; place < replicas_; ++place) states[place] = &locals_.at(world.replicas[place]);
  return history.IsDurable({states.data(), replicas_}, verdict);
}

std::uint32_t Explorer::InternHistory(History history) {
  const auto [found, is_new] = history_of_.try_emplace(history.Hash(), static_cast<std::uint32_t>(histories_.size()));
  if (is_new) histories_.push_back(std::move(history));
  return found->second;
}

// ---- For people

namespace {

std::string Name(std::uint8_t place) {
  return "replica " + std::to_string(place + 1);
}

std::string Text(consensus::Protocol protocol, const Message& message) {
  if (message.is_reset()) return "the news of a new link";
  const Described described = DescribeMessage(protocol, message.payload);
  return described.kind + " (" + described.label + ")";
}

}  // namespace

std::string Explorer::What(const World& world, Event event) const {
  const auto head = [&] {
    return Text(scope_.protocol, locals_.message(queues_.Front(QueueOf(world, event.a, event.b))));
  };
  switch (event.kind) {
    case EventKind::kDeliver:
      return Name(event.b) + " receives from " + std::to_string(event.a + 1) + ": " + head();
    case EventKind::kDeliverLate:
      return Name(event.b) + " has heard nothing for long, then receives from " + std::to_string(event.a + 1) + ": " +
             head();
    case EventKind::kSkipToReset:
      return "what was under way from " + std::to_string(event.a + 1) + " to " + std::to_string(event.b + 1) +
             " on the old link is lost";
    case EventKind::kPersist:
      return Name(event.a) + "'s next batch is durable";
    case EventKind::kTimeout:
      return Name(event.a) + "'s time is up";
    case EventKind::kPropose:
      return Name(event.a) + " is given a command";
    case EventKind::kRead:
      return Name(event.a) + " is asked for a read";
    case EventKind::kCrash:
      return Name(event.a) + " crashes and starts again";
    case EventKind::kLose:
      return "lost on the way from " + std::to_string(event.a + 1) + " to " + std::to_string(event.b + 1) + ": " +
             head();
    case EventKind::kReset:
      return Name(event.b) + " finds its link to " + std::to_string(event.a + 1) + " replaced";
    case EventKind::kDoom:
      return Name(event.a) + "'s disk writes nothing any more (it will crash)";
  }
  return "?";
}

// What the replica at `place` did, told from the states before and after.
std::string Explorer::Reaction(const World& before, const World& after, std::uint8_t place) const {
  std::ostringstream out;
  const consensus::Leadership& was = locals_.at(before.replicas[place]).replica->leadership();
  const consensus::Leadership& is = locals_.at(after.replicas[place]).replica->leadership();
  if (was != is) out << "; it is " << RoleName(is.role) << " in ballot " << is.ballot.number;
  for (std::uint8_t to = 0; to < replicas_; ++to) {
    if (to == place) continue;
    const std::vector<MessageNumber>& now = queues_.messages(QueueOf(after, place, to));
    const std::size_t had = queues_.messages(QueueOf(before, place, to)).size();
    for (std::size_t i = had; i < now.size(); ++i) {
      if (locals_.message(now[i]).is_reset()) continue;
      out << "; sends " << to + 1 << " " << Text(scope_.protocol, locals_.message(now[i]));
    }
  }
  const std::uint64_t decided = histories_[after.history].decided();
  if (decided > histories_[before.history].decided()) out << "; entry " << decided << " is decided";
  return out.str();
}

}  // namespace quorate::sim::explore
