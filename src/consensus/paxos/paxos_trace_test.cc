// Paxos's traces: consensus/testing/traces.h says what a script is.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "consensus/paxos/messages.h"
#include "consensus/testing/traces.h"

namespace quorate::consensus::paxos {
namespace {

using trace::Overloaded;
using trace::Show;
using trace::ShowCampaign;

std::string Show(const Ballot& ballot) {
  return std::to_string(ballot.number) + "." + Show(ballot.owner);
}

std::string Show(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) out += ", " + Show(entry);
  return out;
}

std::string Show(const Body& body) {
  return std::visit(
      Overloaded{
          [](const Poll& m) { return "poll" + ShowCampaign(m.campaign) + " open from " + Show(m.first_open); },
          [](const PollReply& m) { return std::string("poll ") + (m.granted ? "granted" : "refused"); },
          [](const Phase1a& m) { return "1a" + ShowCampaign(m.campaign) + " from " + Show(m.from); },
          [](const Phase1b& m) {
            return "1b from " + Show(m.from) + " chosen " + Show(m.chosen) +
                   (m.next ? " next " + Show(m.next) : std::string()) + Show(m.accepted);
          },
          [](const Preempted&) { return std::string("preempted"); },
          [](const Phase2a& m) { return "2a chosen " + Show(m.chosen) + Show(m.entries); },
          [](const Phase2b& m) {
            std::string out = "2b match " + Show(m.match);
            for (const SlotRange& range : m.accepted) out += ", " + Show(range.first) + " to " + Show(range.last);
            return out;
          },
          [](const Chosen& m) { return "chosen " + Show(m.upto); },
          [](const Decision& m) { return "decision chosen " + Show(m.chosen) + Show(m.entries); },
          [](const Learned& m) { return "learned " + Show(m.match); },
          [](const Learn& m) { return "learn? from " + Show(m.from); },
          [](const Heartbeat& m) {
            return "heartbeat chosen " + Show(m.chosen) + " round " + Show(m.round) + " sent " + Show(m.sent);
          },
          [](const HeartbeatReply& m) {
            return "heartbeat-reply round " + Show(m.round) + " sent " + Show(m.sent) + " held " + Show(m.held) +
                   " match " + Show(m.match) + " known " + Show(m.known);
          },
          [](const TakeOver&) { return std::string("take over"); },
          [](const ReadRequest& m) { return "read? " + Show(m.id); },
          [](const ReadReply& m) {
            return "read " + Show(m.id) + (m.index ? " at " + Show(*m.index) : std::string(" refused"));
          },
      },
      body);
}

std::string ShowMessage(const Bytes& payload) {
  const std::optional<Message> message = DecodeMessage(payload);
  return message ? Show(message->ballot) + " " + Show(message->body) : "garbage";
}

std::string ShowHardState(const Bytes& encoded) {
  const HardState hard = DecodeHardState(encoded).value();
  return " promised " + Show(hard.promised) + " chosen " + Show(hard.chosen) + " life " + Show(hard.life);
}

class PaxosTrace : public testing::TestWithParam<std::string> {};

TEST_P(PaxosTrace, GivesTheTraceItHolds) {
  trace::Check({Protocol::kPaxos, ShowMessage, ShowHardState}, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Scripts, PaxosTrace, testing::ValuesIn(trace::TraceNames(Protocol::kPaxos)),
                         [](const auto& script) { return script.param; });

}  // namespace
}  // namespace quorate::consensus::paxos
