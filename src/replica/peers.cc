#include "replica/peers.h"

#include <charconv>
#include <string_view>

namespace quorate::replica {
namespace {

// "match.3" and the like: what a leader's core tells of its peers.
class ProgressReader final : public consensus::Inspector {
 public:
  explicit ProgressReader(std::map<ReplicaId, PeerProgress>& out) : out_(out) {}
  void Number(std::string_view name, std::uint64_t value) override {
    if (const std::optional<ReplicaId> id = IdAfter(name, "match.")) out_[*id].match = LogIndex(value);
    if (const std::optional<ReplicaId> id = IdAfter(name, "caught_up.")) out_[*id].caught_up = value != 0;
  }
  void Text(std::string_view name, std::string_view value) override {
    if (const std::optional<ReplicaId> id = IdAfter(name, "state.")) out_[*id].snapshot = value == "snapshot";
  }

 private:
  static std::optional<ReplicaId> IdAfter(std::string_view name, std::string_view prefix) {
    if (name.substr(0, prefix.size()) != prefix) return std::nullopt;
    name.remove_prefix(prefix.size());
    ReplicaId id;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id.value);
    if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
    return id;
  }

  std::map<ReplicaId, PeerProgress>& out_;
};

}  // namespace

void Peers::LinkDown(ReplicaId peer, std::uint64_t now_ns) {
  Peer& known = peers_[peer];
  known.linked = false;
  known.lost_ns = now_ns;
}

bool Peers::IsLive(ReplicaId peer, std::uint64_t now_ns) const {
  const auto it = peers_.find(peer);
  if (it == peers_.end()) return false;
  return it->second.linked || (it->second.lost_ns && now_ns - *it->second.lost_ns < liveness_ns_);
}

bool Peers::IsRepeat(const consensus::Origin& origin) {
  std::pair<Incarnation, ProposalId>& last = peers_[origin.replica].last_forwarded;
  const std::pair<Incarnation, ProposalId> now{origin.incarnation, origin.proposal};
  if (now <= last) return true;
  last = now;
  return false;
}

std::map<ReplicaId, PeerProgress> Peers::Progress(const consensus::Core& core, ReplicaId self,
                                                  std::uint64_t now_ns) const {
  std::map<ReplicaId, PeerProgress> out;
  ProgressReader reader(out);
  core.Inspect(reader);
  out.erase(self);
  for (auto& [id, progress] : out) progress.live = IsLive(id, now_ns);
  return out;
}

}  // namespace quorate::replica
