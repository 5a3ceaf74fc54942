#include <optional>
#include <variant>

#include "consensus/zab/messages.h"
#include "sim/describe_parts.h"

namespace quorate::sim {
namespace {

using namespace consensus::zab;  // NOLINT(google-build-using-namespace): its names are the vocabulary here

std::string Name(const Zxid& zxid) {
  return Text(zxid.epoch.value, ".", zxid.index.value);
}

std::string Name(const Vote& vote) {
  return Text("for ", vote.leader.value, " with history to ", Name(vote.last), ", epoch ", vote.epoch.value,
              vote.nominated ? ", nominated" : "");
}

class ZabDescriber {
 public:
  explicit ZabDescriber(const Message& message) : epoch_(message.epoch.value), session_(message.session.value) {}

  Described operator()(const Notification& m) const {
    return {
        "Notification", Text(StateName(m.state), ", vote for ", m.vote.leader.value),
        Text(StateName(m.state), m.established ? " (established)" : "", ", round ", m.round, ", vote ", Name(m.vote))};
  }
  Described operator()(const CEpoch& m) const {
    return Make("CEPOCH", Text("accepted ", m.accepted.number), Text("accepted epoch ", m.accepted.number));
  }
  Described operator()(const NewEpoch& m) const {
    return Make("NEWEPOCH", Text("epoch ", epoch_), m.secured ? "a quorum has promised it" : "promise it");
  }
  Described operator()(const AckEpoch& m) const {
    return Make("ACK-E", Text("epoch ", m.current.value, " now"),
                Text("promised; current epoch ", m.current.value, ", log from ", m.start.value, ", ", m.runs.size(),
                     " runs of epochs"));
  }
  Described operator()(const Trunc& m) const {
    return Make("TRUNC", Text("after ", Name(m.last_kept)), Text("forget everything after ", Name(m.last_kept)));
  }
  Described operator()(const Snap& m) const {
    return Make("SNAP", Text("to ", Name(m.last)), Text("the snapshot up to ", Name(m.last), " has arrived"));
  }
  Described operator()(const Diff& m) const {
    return Make("DIFF", Range(m.entries), Text("after ", Name(m.after), ": ", Listed(m.entries)));
  }
  Described operator()(const Received& m) const {
    return Make("Received", Text("to ", m.upto.value), Text("received up to ", m.upto.value));
  }
  Described operator()(const NewLeader& m) const {
    return Make("NEWLEADER", Text("history to ", Name(m.last)), Text("accept the history up to ", Name(m.last)));
  }
  Described operator()(const AckLeader&) const {
    return Make("ACK-LD", Text("epoch ", epoch_), "epoch and history are durable");
  }
  Described operator()(const UpToDate& m) const {
    return Make("UPTODATE", Text("commit ", m.commit.value), Text("NEWLEADER is committed; commit ", m.commit.value));
  }
  Described operator()(const Propose& m) const {
    return Make("PROPOSE", Range(m.entries),
                Text("after ", Name(m.after), ", commit ", m.commit.value, ", ", Listed(m.entries)));
  }
  Described operator()(const Ack& m) const {
    return Make("ACK", Text("to ", m.upto.value), Text("durable up to ", m.upto.value));
  }
  Described operator()(const Commit& m) const {
    return Make("COMMIT", Text("to ", m.upto.value), Text("committed up to ", m.upto.value));
  }
  Described operator()(const Inform& m) const {
    return Make("INFORM", Range(m.entries), Text("committed, after ", Name(m.after), ": ", Listed(m.entries)));
  }
  Described operator()(const Ping& m) const { return Make("Ping", "", Text("read round ", m.round.value)); }
  Described operator()(const Pong& m) const { return Make("Pong", "", Text("read round ", m.round.value)); }
  Described operator()(const Restart&) const { return Make("Restart", "", "the session is over: begin again"); }
  Described operator()(const Handover& m) const {
    return Make("Handover", Text("to ", m.vote.leader.value), Text("the leader leaves office; vote ", Name(m.vote)));
  }
  Described operator()(const consensus::zab::ReadRequest& m) const {
    return Make("ReadRequest", Text("#", m.id.counter), Text("request ", m.id.counter, " of life ", m.id.life.value));
  }
  Described operator()(const consensus::zab::ReadReply& m) const {
    const std::string index = m.index ? Text("at ", m.index->value) : "not confirmed";
    return Make("ReadReply", index, Text("request ", m.id.counter, ", ", index));
  }

 private:
  Described Make(std::string kind, std::string label, const std::string& detail) const {
    return {std::move(kind), std::move(label), Text("epoch ", epoch_, ", session ", session_, ", ", detail)};
  }

  std::uint64_t epoch_;
  std::uint64_t session_;
};

}  // namespace

Described DescribeZab(const Bytes& payload) {
  const std::optional<Message> message = DecodeMessage(payload);
  return message ? std::visit(ZabDescriber(*message), message->body) : Unknown(payload);
}

}  // namespace quorate::sim
