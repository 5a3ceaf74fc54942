#include "sim/explore/local_states.h"

#include <algorithm>

#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::sim::explore {
namespace {

ReplicaId IdAt(std::uint8_t place) {
  return ReplicaId(place + 1u);
}
std::uint8_t PlaceOf(ReplicaId id) {
  return static_cast<std::uint8_t>(id.value - 1);
}

LocalState Describe(std::unique_ptr<const Replica> replica) {
  LocalState state;
  state.can_persist = replica->can_persist();
  state.has_deadline = replica->has_deadline();
  state.doomed = replica->doomed();
  state.has_pending = replica->has_pending();
  state.can_be_late = replica->can_be_late();
  state.leads = replica->leads();
  state.may_propose = replica->may_propose();
  for (const auto& [index, entry] : replica->disk().log) {
    if (state.durable.size() < index.value) state.durable.resize(index.value);
    state.durable[index.value - 1] = DecisionHash(entry);
  }
  state.replica = std::move(replica);
  return state;
}

std::string KeyOf(const Message& message) {
  return std::to_string(message.new_link.value) + "/" + std::to_string(message.new_incarnation.value) + "/" +
         message.payload.ToString();
}

}  // namespace

std::size_t LocalStates::KeyHash::operator()(const std::pair<StateNumber, std::uint64_t>& key) const noexcept {
  return consensus::Mix64(key.second + consensus::kGolden * (key.first + 1u));
}

LocalStates::LocalStates(std::uint64_t audit_every) : audit_every_(audit_every) {}

StateNumber LocalStates::Intern(std::unique_ptr<const Replica> replica) {
  const auto [found, is_new] = state_of_.try_emplace(replica->Fingerprint(), static_cast<StateNumber>(states_.size()));
  if (!is_new) {
    if (audit_every_ != 0 && ++merged_ % audit_every_ == 0) Audit(found->second, *replica);
    return found->second;
  }
  states_.push_back(Describe(std::move(replica)));
  known_.emplace_back();
  return found->second;
}

MessageNumber LocalStates::InternMessage(Message message) {
  const auto [found, is_new] = message_of_.try_emplace(KeyOf(message), static_cast<MessageNumber>(messages_.size()));
  if (is_new) messages_.push_back(std::move(message));
  return found->second;
}

std::uint32_t LocalStates::InternSessions(const Sessions& sessions) {
  std::string key;
  for (const auto& [peer, link] : sessions.links) key += std::to_string(link.value) + ",";
  for (const auto& [peer, incarnation] : sessions.peers) key += std::to_string(incarnation.value) + ";";
  const auto [found, is_new] = sessions_of_.try_emplace(key, static_cast<std::uint32_t>(sessions_.size()));
  if (is_new) sessions_.push_back(sessions);
  return found->second;
}

LocalOutcome LocalStates::OutcomeOf(std::unique_ptr<const Replica> replica, Outputs outputs) {
  LocalOutcome outcome;
  outcome.next = Intern(std::move(replica));
  for (auto& [to, payload] : outputs.sent) {
    outcome.sent.emplace_back(PlaceOf(to), InternMessage({std::move(payload), {}, {}}));
  }
  if (!outputs.decided.empty() || !outputs.leaderships.empty() || !outputs.reads.empty() || !outputs.broken.empty()) {
    outcome.effects = std::make_unique<Effects>(Effects{std::move(outputs.decided), std::move(outputs.leaderships),
                                                        std::move(outputs.reads), std::move(outputs.broken)});
  }
  return outcome;
}

const LocalOutcome& LocalStates::Apply(StateNumber state, const LocalEvent& event) {
  const std::pair<StateNumber, std::uint64_t> key{state, event.Key()};
  const auto found = outcome_of_.find(key);
  if (found != outcome_of_.end()) return outcomes_[found->second];
  auto replica = std::make_unique<Replica>(*states_[state].replica);
  Outputs outputs = Run(*replica, event);
  LocalOutcome outcome = OutcomeOf(std::move(replica), std::move(outputs));
  if (event.kind == EventKind::kDeliverLate) outcome.redundant = IsRedundant(state, event, outcome);
  const auto number = static_cast<OutcomeNumber>(outcomes_.size());
  outcomes_.push_back(std::move(outcome));
  outcome_of_.emplace(key, number);
  known_[state].emplace_back(event, number);
  return outcomes_[number];
}

bool LocalStates::IsRedundant(StateNumber state, const LocalEvent& event, const LocalOutcome& late) {
  const LocalOutcome& prompt = Apply(state, {EventKind::kDeliver, event.peer, event.subject});
  if (prompt.sent != late.sent || prompt.effects != nullptr || late.effects != nullptr) return false;
  if (prompt.next == late.next) return true;
  Replica twin(*states_[prompt.next].replica);
  const Outputs waiting = twin.BecomeLate();
  return waiting.sent.empty() && waiting.decided.empty() && waiting.leaderships.empty() &&
         twin.Fingerprint() == states_[late.next].replica->Fingerprint();
}

Outputs LocalStates::Run(Replica& replica, const LocalEvent& event) const {
  switch (event.kind) {
    case EventKind::kDeliver: {
      const Message& message = messages_[event.subject];
      if (!message.is_reset()) return replica.Deliver(IdAt(event.peer), message.payload);
      return replica.ReplaceLink(IdAt(event.peer), message.new_link, message.new_incarnation);
    }
    case EventKind::kDeliverLate:
      return replica.DeliverLate(IdAt(event.peer), messages_[event.subject].payload);
    case EventKind::kPersist:
      return replica.Persist();
    case EventKind::kTimeout:
      return replica.TickToDeadline();
    case EventKind::kPropose:
      return replica.Propose();
    case EventKind::kRead:
      return replica.Read(ReadId(event.subject));
    case EventKind::kDoom:
      replica.Doom();
      return {};
    case EventKind::kCrash:
      return replica.Start(sessions_[event.subject].links, sessions_[event.subject].peers);
    case EventKind::kSkipToReset:
    case EventKind::kLose:
    case EventKind::kReset:
      break;
  }
  CHECK(false) << "not an event of one replica";
  return {};
}

// REQUIRES that `twin` has the fingerprint of `state`.
void LocalStates::Audit(StateNumber state, const Replica& twin) {
  if (!audit_failure_.empty()) return;
  ++audited_;
  for (const auto& [event, number] : known_[state]) {
    Replica again(twin);
    const Outputs outputs = Run(again, event);
    const LocalOutcome& known = outcomes_[number];
    bool same =
        again.Fingerprint() == states_[known.next].replica->Fingerprint() && outputs.sent.size() == known.sent.size();
    for (std::size_t i = 0; same && i < outputs.sent.size(); ++i) {
      same = PlaceOf(outputs.sent[i].first) == known.sent[i].first &&
             outputs.sent[i].second == messages_[known.sent[i].second].payload;
    }
    if (same) continue;
    audit_failure_ = "two states of replica " + std::to_string(twin.id().value) +
                     " with one fingerprint do not do the same on an event of kind " +
                     std::to_string(static_cast<int>(event.kind)) +
                     (outputs.sent.size() == known.sent.size() ? "" : ": they send different messages");
    return;
  }
}

}  // namespace quorate::sim::explore
