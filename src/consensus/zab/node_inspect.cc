// What admin pages, the log's release and the tests are told. The names that the host reads (replica/peers.cc) are
// those of the other protocols.
#include <string>

#include "consensus/inspection.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {
namespace {

std::string_view StageName(Stage stage) {
  switch (stage) {
    case Stage::kJoined:
      return "joined";
    case Stage::kPromising:
      return "promising";
    case Stage::kPromised:
      return "promised";
    case Stage::kSyncing:
      return "syncing";
    case Stage::kSynced:
      return "synced";
    case Stage::kAcked:
      return "acked";
    case Stage::kActive:
      return "active";
  }
  return "?";
}

}  // namespace

void Node::Inspect(Inspector& out) const {
  const auto* leading = std::get_if<Leading>(&role_);
  const auto* following = std::get_if<Following>(&role_);
  out.Text("role", leading != nullptr     ? "leading"
                   : following == nullptr ? "looking"
                   : IsSelfVoter()        ? "following"
                                          : "observing");
  out.Number("accepted_epoch", hard_.accepted.number);
  out.Number("accepted_from", hard_.accepted.owner.value);
  out.Number("current_epoch", hard_.current.value);
  out.Number("leader", CurrentLeadership().leader.value_or(ReplicaId()).value);
  out.Number("round", election_.round());
  out.Number("commit", hard_.commit.value);
  out.Number("applied", delivery_.applied.value);
  out.Number("last_index", log_.last().value);
  out.Number("last_epoch", log_.last_generation().value);
  out.Number("durable_index", writes_.durable().value);
  out.Number("first_cached_index", log_.first_cached().value);
  out.Number("cached_bytes", log_.cached_bytes());
  out.Number("malformed_messages", memory_.counters.malformed_messages);
  out.Number("stale_messages", memory_.counters.stale_messages);
  out.Number("elections_started", memory_.counters.elections_started);
  out.Number("early_elections", memory_.counters.early_elections);
  out.Number("broken_sessions", memory_.counters.broken_sessions);
  out.Number("snapshot_index", log_.snapshot_last().value);
  InspectMembers(members(), out);
  if (leading != nullptr) InspectSessions(out, *leading);
}

// Of every other member, in a session or not.
void Node::InspectSessions(Inspector& out, const Leading& leading) const {
  for (const ReplicaId id : AllReplicas(members())) {
    if (id == options_.self) continue;
    const std::string number = std::to_string(id.value);
    const auto found = leading.sessions.find(id);
    const bool there = found != leading.sessions.end();
    out.Number("match." + number, there ? found->second.match.value : 0);
    out.Number("next." + number, there ? found->second.next.value : 0);
    out.Text("state." + number, !there                   ? "absent"
                                : found->second.shipment ? "snapshot"
                                                         : StageName(found->second.stage));
    out.Number("caught_up." + number, IsCaughtUp(leading, id) ? 1 : 0);
  }
}

}  // namespace quorate::consensus::zab
