#include <optional>
#include <variant>

#include "consensus/paxos/messages.h"
#include "sim/describe_parts.h"

namespace quorate::sim {
namespace {

using namespace consensus::paxos;  // NOLINT(google-build-using-namespace): its names are the vocabulary here
using consensus::Ballot;

std::string Name(const Ballot& ballot) {
  return ballot.owner ? Text(ballot.number, ".", ballot.owner.value) : Text(ballot.number);
}

std::string_view Why(Campaign campaign) {
  switch (campaign) {
    case Campaign::kTimeout:
      return "timeout";
    case Campaign::kTransfer:
      return "transfer";
    case Campaign::kRefused:
      return "refused link";
  }
  return "?";
}

class PaxosDescriber {
 public:
  explicit PaxosDescriber(const Ballot& ballot) : ballot_(Name(ballot)) {}

  Described operator()(const Poll& m) const {
    return Make("Poll", Text("#", m.number),
                Text("would you answer me? poll ", m.number, ", first open slot ", m.first_open.value,
                     ", campaign: ", Why(m.campaign)));
  }
  Described operator()(const PollReply& m) const {
    const std::string_view answer = m.granted ? "granted" : "refused";
    return Make("PollReply", Text(answer), Text("poll ", m.number, " ", answer));
  }
  Described operator()(const Phase1a& m) const {
    return Make("Phase1a", Text("ballot ", ballot_),
                Text("all slots from ", m.from.value, ", campaign: ", Why(m.campaign)));
  }
  Described operator()(const Phase1b& m) const {
    return Make("Phase1b",
                Text("promise ", ballot_, m.accepted.empty() ? "" : ", accepted ",
                     m.accepted.empty() ? std::string() : Range(m.accepted)),
                Text("promised; slots from ", m.from.value, ", knows all up to ", m.chosen.value, " to be chosen",
                     m.next ? Text(", the next page begins at ", m.next.value) : std::string(), "; accepted ",
                     Listed(m.accepted)));
  }
  Described operator()(const Preempted&) const {
    return Make("Preempted", Text("by ", ballot_), "a higher ballot is promised");
  }
  Described operator()(const Phase2a& m) const {
    return Make("Phase2a", Text("slot ", Range(m.entries)),
                Text("all up to ", m.chosen.value, " are chosen; accept ", Listed(m.entries)));
  }
  Described operator()(const Phase2b& m) const {
    std::ostringstream slots;
    for (const SlotRange& range : m.accepted) {
      slots << (slots.tellp() > 0 ? ", " : "") << range.first.value;
      if (range.last != range.first) slots << ".." << range.last.value;
    }
    return Make("Phase2b", Text("accepted ", slots.str()),
                Text("accepted durably: ", slots.str(), "; every slot up to ", m.match.value));
  }
  Described operator()(const Chosen& m) const {
    return Make("Chosen", Text("up to ", m.upto.value), Text("all slots up to ", m.upto.value, " are chosen"));
  }
  Described operator()(const Decision& m) const {
    return Make("Decision", Text("slot ", Range(m.entries)),
                Text("all up to ", m.chosen.value, " are chosen; chosen values: ", Listed(m.entries)));
  }
  Described operator()(const Learned& m) const {
    return Make("Learned", Text("up to ", m.match.value), Text("has every slot up to ", m.match.value));
  }
  Described operator()(const Learn& m) const {
    return Make("Learn", Text("from ", m.from.value), Text("asks for what is chosen from slot ", m.from.value));
  }
  Described operator()(const Heartbeat& m) const {
    return Make("Heartbeat", Text("chosen ", m.chosen.value),
                Text("chosen up to ", m.chosen.value, ", read round ", m.round.value, ", sent up to ", m.sent.value,
                     ", acknowledged up to ", m.match.value));
  }
  Described operator()(const HeartbeatReply& m) const {
    return Make("HeartbeatReply", Text("match ", m.match.value),
                Text("read round ", m.round.value, ", held up to ", m.held.value, ", durable up to ", m.match.value,
                     ", known to be chosen up to ", m.known.value, m.lease ? ", lease" : ""));
  }
  Described operator()(const TakeOver&) const { return Make("TakeOver", "", "begin phase 1 at once"); }
  Described operator()(const consensus::paxos::ReadRequest& m) const {
    return Make("ReadRequest", Text("#", m.id.counter), Text("request ", m.id.counter, " of life ", m.id.life.value));
  }
  Described operator()(const consensus::paxos::ReadReply& m) const {
    const std::string index = m.index ? Text("at ", m.index->value) : "not confirmed";
    return Make("ReadReply", index, Text("request ", m.id.counter, ", ", index));
  }

 private:
  Described Make(std::string kind, std::string label, const std::string& detail) const {
    return {std::move(kind), std::move(label), Text("ballot ", ballot_, ", ", detail)};
  }

  std::string ballot_;
};

}  // namespace

Described DescribePaxos(const Bytes& payload) {
  const std::optional<Message> message = DecodeMessage(payload);
  return message ? std::visit(PaxosDescriber(message->ballot), message->body) : Unknown(payload);
}

}  // namespace quorate::sim
