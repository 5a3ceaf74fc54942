// UnaryHandler and Reply: a call with one request and one answer, whose client may vanish before the answer is ready.
//
// The handler parses nothing: it hands the message to the method and a Reply that the method keeps until its answer is
// ready. Once the call is over the Reply knows, and what is sent through it goes nowhere. Thread rule: the reactor's
// thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "coord/backend.h"
#include "frontend/etcd/wiring.h"
#include "net/grpc_server.h"

namespace google::protobuf {
class MessageLite;
}

namespace quorate::frontend::etcd {

class Reply {
 public:
  explicit Reply(net::ServerCall& call) : state_(std::make_shared<net::ServerCall*>(&call)) {}

  // False once the call is answered, cancelled, past its deadline, or its connection is lost.
  bool live() const { return *state_ != nullptr; }
  void Send(const google::protobuf::MessageLite& message) const;  // the answer, with status ok
  void SendEncoded(std::string message) const;
  void Fail(const Status& status) const;
  coord::RequestContext context() const;  // REQUIRES live()
  // Of the call, see net::ServerCall; nothing happens once it is over.
  template <class Start>
  void WhenRoom(net::AnswerSize size, Start start) const {
    if (!live()) return;
    if ((*state_)->HasRoom(size)) return start();
    (*state_)->WhenRoom(size, std::move(start));
  }
  void Reserve(std::size_t bytes) const {
    if (live() && bytes != 0) (*state_)->Reserve(bytes);
  }

  // From the handler only: the call is over.
  void Abandon() const { *state_ = nullptr; }

 private:
  std::shared_ptr<net::ServerCall*> state_;
};

struct Services;  // services.h
using UnaryMethod = void (*)(Services& services, std::string_view message, const Reply& reply);

class UnaryHandler final : public net::CallHandler {
 public:
  UnaryHandler(Services& services, UnaryMethod method, net::ServerCall& call)
      : services_(services), method_(method), reply_(call) {}
  ~UnaryHandler() override { reply_.Abandon(); }

  void OnMessage(std::string_view message) override;
  void OnHalfClose() override;
  void OnDone() override { reply_.Abandon(); }

 private:
  Services& services_;
  UnaryMethod method_;
  Reply reply_;
  bool received_ = false;
};

// Answers every call with one status, as soon as the client has said something.
class RefusingHandler final : public net::CallHandler {
 public:
  RefusingHandler(Status status, net::ServerCall& call) : status_(std::move(status)), reply_(call) {}
  void OnMessage(std::string_view) override { reply_.Fail(status_); }
  void OnHalfClose() override { reply_.Fail(status_); }
  void OnDone() override { reply_.Abandon(); }

 private:
  Status status_;
  Reply reply_;
};

// Parses `message`, or fails the call and gives false.
bool ParseRequest(std::string_view message, google::protobuf::MessageLite* request, const Reply& reply);

// Calls `answer` once this member's state may be read (at once if `serializable`, else behind a read barrier) and the
// client has taken enough of former answers. Not called if the barrier fails or the client has gone.
template <class Answer>
void WhenReadable(coord::Backend& backend, bool serializable, net::AnswerSize size, const Reply& reply, Answer answer) {
  if (serializable) return reply.WhenRoom(size, std::move(answer));
  backend.ReadBarrier(reply.context(), [reply, size, answer = std::move(answer)](const Status& status) {
    if (!reply.live()) return;
    if (!status.ok()) return reply.Fail(status);
    reply.WhenRoom(size, answer);
  });
}

// Proposes `body` and calls `answer` with the outcome once it was executed; fails the call if it was refused, by a
// bound or by the state machine.
template <class Answer>
void ProposeThen(coord::Backend& backend, coord::CommandBody body, const Reply& reply, Answer answer) {
  backend.Propose(reply.context(), coord::Command{.envelope = {}, .body = std::move(body)},
                  [reply, answer = std::move(answer)](const Result<coord::CommandOutcome>& outcome) {
                    if (!reply.live()) return;
                    if (!outcome.ok()) return reply.Fail(outcome.status());
                    if (!outcome->status.ok()) return reply.Fail(outcome->status);
                    answer(*outcome);
                  });
}

}  // namespace quorate::frontend::etcd
