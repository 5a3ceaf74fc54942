#include "sim/raft_promises.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <string_view>
#include <variant>

#include "consensus/raft/messages.h"
#include "replica/peer_message.h"

namespace quorate::sim {
namespace {

using consensus::raft::AppendReply;
using consensus::raft::VoteReply;
using consensus::raft::VoteRequest;

constexpr GroupId kGroup{1};  // GroupOptions' default

class RecoveredState final : public consensus::Inspector {
 public:
  void Number(std::string_view name, std::uint64_t value) override {
    if (name == "term") term = value;
    if (name == "vote") vote = value;
    if (name == "last_index") last_index = value;
  }
  void Text(std::string_view, std::string_view) override {}

  std::uint64_t term = 0;
  std::uint64_t vote = 0;
  std::uint64_t last_index = 0;
};

}  // namespace

Verdict RaftPromises::OnSent(ReplicaId from, ReplicaId to, const Bytes& frame) {
  const std::optional<replica::PeerMessage> peer = replica::DecodePeerMessage(kGroup, frame);
  const auto* payload = peer ? std::get_if<replica::CoreMessage>(&*peer) : nullptr;
  if (payload == nullptr) return std::nullopt;
  const std::optional<consensus::raft::Message> message = consensus::raft::DecodeMessage(payload->payload);
  if (!message) return std::nullopt;
  const std::uint64_t term = message->term.value;
  if (const auto* vote = std::get_if<VoteReply>(&message->body)) {
    if (!vote->pre && vote->granted) return OnVote(from, term, to);
  } else if (const auto* request = std::get_if<VoteRequest>(&message->body)) {
    if (!request->pre) return OnVote(from, term, from);
  } else if (const auto* reply = std::get_if<AppendReply>(&message->body)) {
    Promised& promised = promised_[from];
    if (term > promised.acknowledged_term) promised.acknowledged_index = 0;
    promised.acknowledged_term = std::max(promised.acknowledged_term, term);
    if (term == promised.acknowledged_term) {
      promised.acknowledged_index = std::max(promised.acknowledged_index, reply->match.value);
    }
  }
  return std::nullopt;
}

Verdict RaftPromises::OnVote(ReplicaId voter, std::uint64_t term, ReplicaId candidate) {
  const auto [vote, is_new] = promised_[voter].votes.try_emplace(term, candidate);
  if (vote->second == candidate) return std::nullopt;
  std::ostringstream out;
  out << "member " << voter.value << " voted in term " << term << " for " << vote->second.value << " and for "
      << candidate.value;
  return Violation{"promise", out.str()};
}

bool RaftPromises::Voted(ReplicaId voter, std::uint64_t term, ReplicaId candidate) const {
  const auto found = promised_.find(voter);
  if (found == promised_.end()) return false;
  const auto vote = found->second.votes.find(term);
  return vote != found->second.votes.end() && vote->second == candidate;
}

Verdict RaftPromises::OnStart(ReplicaId member, const consensus::Core& core) const {
  const auto found = promised_.find(member);
  if (found == promised_.end()) return std::nullopt;
  const Promised& promised = found->second;
  RecoveredState now;
  core.Inspect(now);
  const std::uint64_t voted_term = promised.votes.empty() ? 0 : promised.votes.rbegin()->first;
  std::ostringstream out;
  out << "member " << member.value << " came back in term " << now.term << " with vote " << now.vote << " and log to "
      << now.last_index << "; ";
  if (now.term < std::max(voted_term, promised.acknowledged_term)) {
    out << "it had promised in term " << std::max(voted_term, promised.acknowledged_term);
  } else if (now.term == voted_term && now.vote != promised.votes.rbegin()->second.value) {
    out << "it had voted for " << promised.votes.rbegin()->second.value;
  } else if (now.term == promised.acknowledged_term && now.last_index < promised.acknowledged_index) {
    out << "it had acknowledged up to " << promised.acknowledged_index;
  } else {
    return std::nullopt;
  }
  return Violation{"promise", out.str()};
}

}  // namespace quorate::sim
