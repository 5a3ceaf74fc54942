#include <optional>
#include <variant>

#include "consensus/raft/messages.h"
#include "sim/describe_parts.h"

namespace quorate::sim {
namespace {

class RaftDescriber {
 public:
  explicit RaftDescriber(consensus::raft::Term term) : term_(term.value) {}

  Described operator()(const consensus::raft::VoteRequest& m) const {
    using consensus::raft::Campaign;
    const std::string_view why = m.campaign == Campaign::kTimeout    ? "timeout"
                                 : m.campaign == Campaign::kTransfer ? "transfer"
                                                                     : "refused link";
    return Make(m.pre ? "PreVote" : "RequestVote", Text("term ", term_),
                Text("log ends at ", m.last_index.value, " (term ", m.last_term.value, "), campaign: ", why));
  }
  Described operator()(const consensus::raft::VoteReply& m) const {
    const std::string_view answer = m.granted ? "granted" : "refused";
    return Make(m.pre ? "PreVoteReply" : "Vote", Text(answer, ", term ", term_), Text(answer));
  }
  Described operator()(const consensus::raft::AppendRequest& m) const {
    return Make("AppendEntries", m.entries.empty() ? Text("probe after ", m.prev_index.value) : Range(m.entries),
                Text("previous ", m.prev_index.value, " (term ", m.prev_term.value, "), commit ", m.commit.value, ", ",
                     Listed(m.entries)));
  }
  Described operator()(const consensus::raft::AppendReply& m) const {
    return Make("AppendReply", Text("match ", m.match.value), Text("match ", m.match.value));
  }
  Described operator()(const consensus::raft::AppendReject& m) const {
    return Make("AppendReject", Text("no match at ", m.prev_index.value),
                Text("no entry that matches ", m.prev_index.value, ", try ", m.hint_index.value, " (term ",
                     m.hint_term.value, ")"));
  }
  Described operator()(const consensus::raft::Heartbeat& m) const {
    return Make("Heartbeat", Text("commit ", m.commit.value),
                Text("commit ", m.commit.value, ", read round ", m.round.value, ", sent up to ", m.sent_upto.value));
  }
  Described operator()(const consensus::raft::HeartbeatReply& m) const {
    return Make("HeartbeatReply", Text("match ", m.match.value),
                Text("read round ", m.round.value, ", sent up to ", m.sent_upto.value, ", verified ", m.verified.value,
                     ", match ", m.match.value));
  }
  Described operator()(const consensus::raft::CommitNotice& m) const {
    return Make("Commit", Text("up to ", m.commit.value), Text("commit ", m.commit.value));
  }
  Described operator()(const consensus::raft::TimeoutNow&) const { return Make("TimeoutNow", "", "campaign at once"); }
  Described operator()(const consensus::raft::ReadRequest& m) const {
    return Make("ReadIndex", Text("#", m.id.counter), Request(m.id));
  }
  Described operator()(const consensus::raft::ReadReply& m) const {
    const std::string index = m.index ? Text("at ", m.index->value) : "not confirmed";
    return Make("ReadIndexReply", index, Text(Request(m.id), ", ", index));
  }

 private:
  static std::string Request(const consensus::ReadRequestId& id) {
    return Text("request ", id.counter, " of life ", id.life.value);
  }
  Described Make(std::string kind, std::string label, const std::string& detail) const {
    return {std::move(kind), std::move(label), Text("term ", term_, ", ", detail)};
  }

  std::uint64_t term_;
};

}  // namespace

Described DescribeRaft(const Bytes& payload) {
  const std::optional<consensus::raft::Message> message = consensus::raft::DecodeMessage(payload);
  return message ? std::visit(RaftDescriber(message->term), message->body) : Unknown(payload);
}

}  // namespace quorate::sim
