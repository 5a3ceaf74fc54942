// Zab's traces: consensus/testing/traces.h says what a script is.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "consensus/testing/traces.h"
#include "consensus/zab/messages.h"

namespace quorate::consensus::zab {
namespace {

using trace::Overloaded;
using trace::Show;

std::string Show(const Zxid& zxid) {
  return Show(zxid.index) + "/" + Show(zxid.epoch);
}

std::string Show(const Ballot& accepted) {
  return std::to_string(accepted.number) + (accepted.owner ? " to " + Show(accepted.owner) : std::string());
}

std::string Show(const Vote& vote) {
  if (!vote.leader) return "nobody";
  return Show(vote.leader) + (vote.nominated ? ", nominated," : "") + " epoch " + Show(vote.epoch) + " log " +
         Show(vote.last);
}

std::string Show(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) out += ", " + Show(entry);
  return out;
}

std::string Show(const AckEpoch& m) {
  std::string out = "ACK-E current " + Show(m.current) + " log from " + Show(m.start);
  for (const Run& run : m.runs) out += ", " + Show(run.last) + "/" + Show(run.generation);
  return out + (m.staged.index ? ", staged up to " + Show(m.staged) : std::string());
}

std::string Show(const Body& body) {
  return std::visit(Overloaded{
                        [](const Notification& m) {
                          return "round " + std::to_string(m.round) + " " + std::string(StateName(m.state)) +
                                 (m.established ? ", established" : "") + ": " + Show(m.vote) +
                                 (m.config.index ? " members of " + Show(m.config) : std::string());
                        },
                        [](const CEpoch& m) { return "CEPOCH " + Show(m.accepted); },
                        [](const NewEpoch& m) { return std::string("NEWEPOCH") + (m.secured ? ", secured" : ""); },
                        [](const AckEpoch& m) { return Show(m); },
                        [](const Trunc& m) { return "TRUNC after " + Show(m.last_kept); },
                        [](const Snap& m) { return "SNAP " + Show(m.last); },
                        [](const Diff& m) { return "DIFF after " + Show(m.after) + Show(m.entries); },
                        [](const Received& m) { return "received " + Show(m.upto); },
                        [](const NewLeader& m) { return "NEWLEADER " + Show(m.last); },
                        [](const AckLeader&) { return std::string("ACK-LD"); },
                        [](const UpToDate& m) { return "UPTODATE commit " + Show(m.commit); },
                        [](const Propose& m) {
                          return "PROPOSE after " + Show(m.after) + " commit " + Show(m.commit) + Show(m.entries);
                        },
                        [](const Ack& m) { return "ACK " + Show(m.upto); },
                        [](const Commit& m) { return "COMMIT " + Show(m.upto); },
                        [](const Inform& m) { return "INFORM after " + Show(m.after) + Show(m.entries); },
                        [](const Ping& m) { return "PING round " + Show(m.round); },
                        [](const Pong& m) { return "PONG round " + Show(m.round); },
                        [](const Restart&) { return std::string("restart"); },
                        [](const Handover& m) { return "vote for " + Show(m.vote); },
                        [](const ReadRequest& m) { return "read? " + Show(m.id); },
                        [](const ReadReply& m) {
                          return "read " + Show(m.id) + (m.index ? " at " + Show(*m.index) : std::string(" refused"));
                        },
                    },
                    body);
}

// Epoch and session first, where there are any.
std::string ShowMessage(const Bytes& payload) {
  const std::optional<Message> message = DecodeMessage(payload);
  if (!message) return "garbage";
  const std::string epoch = message->epoch ? "e" + Show(message->epoch) + " " : std::string();
  const std::string session = message->session ? "s" + Show(message->session) + " " : std::string();
  return epoch + session + Show(message->body);
}

std::string ShowHardState(const Bytes& encoded) {
  const HardState hard = DecodeHardState(encoded).value();
  return " accepted " + Show(hard.accepted) + " current " + Show(hard.current) + " commit " + Show(hard.commit);
}

class ZabTrace : public testing::TestWithParam<std::string> {};

TEST_P(ZabTrace, GivesTheTraceItHolds) {
  trace::Check({Protocol::kZab, ShowMessage, ShowHardState}, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Scripts, ZabTrace, testing::ValuesIn(trace::TraceNames(Protocol::kZab)),
                         [](const auto& script) { return script.param; });

}  // namespace
}  // namespace quorate::consensus::zab
