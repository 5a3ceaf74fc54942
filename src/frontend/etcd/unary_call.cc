#include "frontend/etcd/unary_call.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message_lite.h>

#include <string>
#include <utility>

#include "frontend/etcd/errors.h"

namespace quorate::frontend::etcd {
namespace {

// Messages within messages. A transaction of 128 operations can be nested 128 deep, with two messages a level; the
// library's default of 100 would refuse what etcd takes.
constexpr int kMessageDepthMax = 300;

}  // namespace

void Reply::Send(const google::protobuf::MessageLite& message) const {
  if (live()) SendEncoded(message.SerializeAsString());
}

void Reply::SendEncoded(std::string message) const {
  net::ServerCall* call = std::exchange(*state_, nullptr);
  if (call == nullptr) return;
  call->Send(std::move(message));
  call->Finish(Status::Ok());
}

void Reply::Fail(const Status& status) const {
  net::ServerCall* call = std::exchange(*state_, nullptr);
  if (call != nullptr) call->Finish(status);
}

coord::RequestContext Reply::context() const {
  coord::RequestContext context;
  context.deadline_ns = (*state_)->deadline_ns();
  return context;
}

void UnaryHandler::OnMessage(std::string_view message) {
  if (std::exchange(received_, true)) return;
  method_(services_, message, reply_);
}

void UnaryHandler::OnHalfClose() {
  if (!received_) reply_.Fail(MissingRequest());
}

bool ParseRequest(std::string_view message, google::protobuf::MessageLite* request, const Reply& reply) {
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const std::uint8_t*>(message.data()),
                                               static_cast<int>(message.size()));
  input.SetRecursionLimit(kMessageDepthMax);
  if (request->ParseFromCodedStream(&input) && input.ConsumedEntireMessage()) return true;
  reply.Fail(MalformedRequest(request->GetTypeName()));
  return false;
}

}  // namespace quorate::frontend::etcd
