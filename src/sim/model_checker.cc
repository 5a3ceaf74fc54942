#include "sim/model_checker.h"

#include <variant>

#include "base/check.h"
#include "sim/scheduler.h"

namespace quorate::sim {
namespace {

// Of a lease's time to live: what must have passed in true time at least, the leaders' clocks being up to a twentieth
// fast.
constexpr std::uint64_t kLifePermilleMin = 940;

std::string On(ReplicaId member) {
  return "member " + std::to_string(member.value);
}

}  // namespace

Verdict ModelChecker::OnExecuted(ReplicaId member, const consensus::Entry& entry, const coord::CommandOutcome& outcome,
                                 std::uint64_t now_ns) {
  if (entry.index.value > expected_.size() + 1) return std::nullopt;  // a gap: log-agreement has said so
  if (entry.index.value == expected_.size() + 1) {
    coord::CommandOutcome right;
    right.revision = model_.revision();
    Verdict leases;
    if (entry.kind == consensus::EntryKind::kCommand) {
      const Result<coord::Command> command = coord::DecodeCommand(entry.payload);
      CHECK(command.ok()) << command.status().message();
      const std::map<std::int64_t, Model::Lease> before = model_.leases();
      right = model_.Execute(*command);
      const auto stamped = stamped_at_.find(entry.payload.ToString());
      if (right.status.ok()) {
        leases = CheckLeases(*command, before, stamped == stamped_at_.end() ? now_ns : stamped->second);
      }
    }
    expected_.push_back(Digest(right));
    if (leases) return leases;
  }
  const std::string& right = expected_[entry.index.value - 1];
  const std::string given = Digest(outcome);
  if (given == right) return std::nullopt;
  return Violation{"model", On(member) + " executed entry " + std::to_string(entry.index.value) + " as: " + given +
                                "; right: " + right};
}

Verdict ModelChecker::CheckLeases(const coord::Command& command, const std::map<std::int64_t, Model::Lease>& before,
                                  std::uint64_t stamped_at_ns) {
  if (const auto* grant = std::get_if<coord::LeaseGrantRequest>(&command.body)) {
    lease_renewed_[grant->id] = stamped_at_ns;
  } else if (const auto* renew = std::get_if<coord::LeaseRenewRequest>(&command.body)) {
    if (before.contains(renew->id)) lease_renewed_[renew->id] = stamped_at_ns;
  } else if (const auto* open = std::get_if<coord::OpenSessionRequest>(&command.body)) {
    const auto id = static_cast<std::int64_t>(open->id.value);
    if (!before.contains(id)) lease_renewed_[id] = stamped_at_ns;
  } else if (const auto* renewed = std::get_if<coord::RenewSessionsRequest>(&command.body)) {
    for (const SessionId id : renewed->ids) lease_renewed_[static_cast<std::int64_t>(id.value)] = stamped_at_ns;
  }
  if (!std::holds_alternative<coord::ExpireRequest>(command.body)) return std::nullopt;
  for (const auto& [id, lease] : before) {
    if (model_.leases().contains(id)) continue;
    const std::uint64_t life = stamped_at_ns - lease_renewed_[id];
    const std::uint64_t ttl_ms = lease.ttl_ms != 0 ? lease.ttl_ms : static_cast<std::uint64_t>(lease.ttl) * 1000;
    if (life >= ttl_ms * kMillisecond / 1000 * kLifePermilleMin) continue;
    return Violation{"lease", "session " + std::to_string(id) + " of " + std::to_string(ttl_ms) + " ms ended " +
                                  std::to_string(life / kMillisecond) + " ms after its last renewal"};
  }
  return std::nullopt;
}

Verdict ModelChecker::CheckLeasesEnded() const {
  if (model_.leases().empty()) return std::nullopt;
  return Violation{"lease", "lease " + std::to_string(model_.leases().begin()->first) +
                                " is still there long after its time in a healed cluster"};
}

Verdict ModelChecker::OnRead(ReplicaId member, const coord::RangeRequest& request,
                             const Result<coord::RangeResponse>& response, Revision revision,
                             Revision compacted) const {
  coord::RangeRequest pinned = request;
  if (pinned.revision <= 0) pinned.revision = revision;  // the model may be ahead of this member
  const bool refused = pinned.revision > revision || pinned.revision < compacted;
  const std::string right = refused ? "refused" : Digest(model_.Range(pinned));
  const std::string given = response.ok() ? Digest(*response) : "refused";
  if (given == right) return std::nullopt;
  return Violation{"model", On(member) + " at revision " + std::to_string(revision) + ", compacted at " +
                                std::to_string(compacted) + ", read [" + request.key + ", " + request.end + ") at " +
                                std::to_string(request.revision) + " as: " + given + "; right: " + right};
}

Verdict ModelChecker::OnEvents(ReplicaId member, Revision next, Revision revision,
                               const std::vector<coord::WatchEvent>& events) const {
  const std::string where = On(member) + "'s watch from " + std::to_string(next) + " to " + std::to_string(revision);
  std::size_t at = 0;
  for (Revision r = next; r <= revision; ++r) {
    for (const store::Event& right : model_.EventsOf(r)) {
      if (at == events.size()) return Violation{"watch", where + " misses " + Digest(right.kv)};
      const coord::WatchEvent& given = events[at++];
      if (given.event.type != right.type || given.event.kv != right.kv) {
        return Violation{"watch", where + " gave " + Digest(given.event.kv) + "; right: " + Digest(right.kv)};
      }
      const std::optional<store::KeyValue> before = model_.At(right.kv.key.ToString(), r - 1);
      const bool may_be_gone = r - 1 < model_.compact_revision();
      if (given.prev_kv != before && !(may_be_gone && !given.prev_kv)) {
        return Violation{"watch", where + " gave a wrong previous value for " + Digest(right.kv)};
      }
    }
  }
  if (at == events.size()) return std::nullopt;
  return Violation{"watch", where + " gave one too many: " + Digest(events[at].event.kv)};
}

}  // namespace quorate::sim
