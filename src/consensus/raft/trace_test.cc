// Raft's traces: consensus/testing/traces.h says what a script is.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "consensus/raft/messages.h"
#include "consensus/testing/traces.h"

namespace quorate::consensus::raft {
namespace {

using trace::Overloaded;
using trace::Show;
using trace::ShowCampaign;

std::string Show(const Body& body) {
  return std::visit(
      Overloaded{
          [](const VoteRequest& m) {
            return (m.pre ? std::string("pre-vote?") : std::string("vote?")) + ShowCampaign(m.campaign) + " log " +
                   Show(m.last_index) + "/" + Show(m.last_term);
          },
          [](const VoteReply& m) {
            return (m.pre ? std::string("pre-vote ") : std::string("vote ")) + (m.granted ? "granted" : "refused");
          },
          [](const AppendRequest& m) {
            std::string out =
                "append after " + Show(m.prev_index) + "/" + Show(m.prev_term) + " commit " + Show(m.commit);
            for (const Entry& entry : m.entries) out += ", " + Show(entry);
            return out;
          },
          [](const AppendReply& m) { return "match " + Show(m.match); },
          [](const AppendReject& m) {
            return "reject " + Show(m.prev_index) + " hint " + Show(m.hint_index) + "/" + Show(m.hint_term);
          },
          [](const Heartbeat& m) {
            return "heartbeat commit " + Show(m.commit) + " round " + Show(m.round) + " sent " + Show(m.sent_upto);
          },
          [](const HeartbeatReply& m) {
            return "heartbeat-reply round " + Show(m.round) + " sent " + Show(m.sent_upto) + " verified " +
                   Show(m.verified) + " match " + Show(m.match);
          },
          [](const CommitNotice& m) { return "commit " + Show(m.commit); },
          [](const TimeoutNow&) { return std::string("timeout-now"); },
          [](const ReadRequest& m) { return "read? " + Show(m.id); },
          [](const ReadReply& m) {
            return "read " + Show(m.id) + (m.index ? " at " + Show(*m.index) : std::string(" refused"));
          },
      },
      body);
}

std::string ShowMessage(const Bytes& payload) {
  const std::optional<Message> message = DecodeMessage(payload);
  return message ? "term " + Show(message->term) + " " + Show(message->body) : "garbage";
}

std::string ShowHardState(const Bytes& encoded) {
  const HardState hard = DecodeHardState(encoded).value();
  return " term " + Show(hard.term) + " vote " + Show(hard.vote) + " commit " + Show(hard.commit) + " life " +
         Show(hard.life);
}

class RaftTrace : public testing::TestWithParam<std::string> {};

TEST_P(RaftTrace, GivesTheTraceItHolds) {
  trace::Check({Protocol::kRaft, ShowMessage, ShowHardState}, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Scripts, RaftTrace, testing::ValuesIn(trace::TraceNames(Protocol::kRaft)),
                         [](const auto& script) { return script.param; });

}  // namespace
}  // namespace quorate::consensus::raft

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--rewrite") quorate::consensus::trace::rewrite = true;
  }
  return RUN_ALL_TESTS();
}
