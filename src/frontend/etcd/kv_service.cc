#include "frontend/etcd/kv_service.h"

#include <google/protobuf/arena.h>

#include <memory>
#include <utility>
#include <variant>

#include "frontend/etcd/convert.h"
#include "frontend/etcd/errors.h"
#include "frontend/etcd/wire_encoder.h"

namespace quorate::frontend::etcd {
namespace {

using google::protobuf::Arena;
using net::AnswerSize;

void ToWire(const coord::CompactResponse&, etcdserverpb::CompactionResponse*) {}

}  // namespace

template <class Wire, class Response>
void KvService::ProposeAndAnswer(std::size_t message_size, coord::CommandBody body, const Reply& reply) {
  if (message_size > wiring_.options.max_request_bytes) return reply.Fail(RequestTooLarge());
  if (const Status reads = wiring_.backend.machine().CheckReadBytes(body); !reads.ok()) return reply.Fail(reads);
  WhenAnswerFits(std::move(body), reply, [this, reply](coord::CommandBody fitting) {
    ProposeThen(wiring_.backend, std::move(fitting), reply, [this, reply](const coord::CommandOutcome& outcome) {
      Wire wire;
      ToWire(std::get<Response>(outcome.body), &wire);
      FillHeader(wiring_.backend, outcome.revision, wire.mutable_header());
      reply.Send(wire);
    });
  });
}

// A command whose answer holds what it read is proposed when the client has taken enough of former answers.
template <class Propose>
void KvService::WhenAnswerFits(coord::CommandBody body, const Reply& reply, Propose propose) {
  const std::uint64_t bytes = wiring_.backend.machine().ReadBytes(body);
  if (bytes == 0) return propose(std::move(body));
  const AnswerSize size = bytes > net::kLargeAnswerBytes ? AnswerSize::kLarge : AnswerSize::kSmall;
  auto kept = std::make_shared<coord::CommandBody>(std::move(body));
  reply.WhenRoom(size, [reply, bytes, kept, propose = std::move(propose)] {
    reply.Reserve(bytes);
    propose(std::move(*kept));
  });
}

void KvService::Range(std::string_view message, const Reply& reply) {
  etcdserverpb::RangeRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  const bool serializable = wire.serializable();
  if (!serializable && wiring_.backend.cluster().self_is_learner) return reply.Fail(NotSupportedForLearner());
  coord::RangeRequest request = FromWire(&wire);
  if (const Status checked = coord::CheckRange(request); !checked.ok()) return reply.Fail(checked);
  const bool large = !request.end.empty() && !request.count_only;
  const AnswerSize size = large ? AnswerSize::kLarge : AnswerSize::kSmall;
  WhenReadable(wiring_.backend, serializable, size, reply, [this, reply, request = std::move(request)] {
    wiring_.backend.machine().ReadRange(request, [this, reply](const Result<coord::RangeResponse>& response) {
      if (!response.ok()) return reply.Fail(response.status());
      etcdserverpb::ResponseHeader header;
      FillHeader(wiring_.backend, wiring_.backend.machine().revision(), &header);
      reply.SendEncoded(EncodeRangeResponse(header, *response));
    });
    if (reply.live()) reply.Reserve(wiring_.backend.machine().ReadBytes(request));  // it is being read from the disk
  });
}

void KvService::Put(std::string_view message, const Reply& reply) {
  etcdserverpb::PutRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  coord::PutRequest request = FromWire(&wire);
  if (const Status checked = coord::CheckPut(request); !checked.ok()) return reply.Fail(checked);
  ProposeAndAnswer<etcdserverpb::PutResponse, coord::PutResponse>(message.size(), std::move(request), reply);
}

void KvService::DeleteRange(std::string_view message, const Reply& reply) {
  etcdserverpb::DeleteRangeRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  coord::DeleteRangeRequest request = FromWire(&wire);
  if (const Status checked = coord::CheckDeleteRange(request); !checked.ok()) return reply.Fail(checked);
  ProposeAndAnswer<etcdserverpb::DeleteRangeResponse, coord::DeleteRangeResponse>(message.size(), std::move(request),
                                                                                  reply);
}

void KvService::Txn(std::string_view message, const Reply& reply) {
  Arena arena;
  auto* wire = Arena::CreateMessage<etcdserverpb::TxnRequest>(&arena);
  if (!ParseRequest(message, wire, reply)) return;
  const bool serializable = IsSerializable(*wire);
  coord::TxnRequest request = FromWire(wire);
  const Status checked = coord::CheckTxn(request, wiring_.options.max_txn_operations);
  if (!checked.ok()) return reply.Fail(checked);
  if (coord::IsReadOnly(request)) return ReadTxn(request, serializable, reply);
  if (message.size() > wiring_.options.max_request_bytes) return reply.Fail(RequestTooLarge());
  coord::CommandBody body = std::move(request);
  if (const Status reads = wiring_.backend.machine().CheckReadBytes(body); !reads.ok()) return reply.Fail(reads);
  WhenAnswerFits(std::move(body), reply, [this, reply](coord::CommandBody fitting) {
    ProposeThen(wiring_.backend, std::move(fitting), reply, [this, reply](const coord::CommandOutcome& outcome) {
      Arena answers;
      auto* answer = Arena::CreateMessage<etcdserverpb::TxnResponse>(&answers);
      ToWire(std::get<coord::TxnResponse>(outcome.body), outcome.revision, answer);
      FillHeader(wiring_.backend, outcome.revision, answer->mutable_header());
      reply.Send(*answer);
    });
  });
}

void KvService::ReadTxn(const coord::TxnRequest& request, bool serializable, const Reply& reply) {
  WhenReadable(wiring_.backend, serializable, AnswerSize::kLarge, reply, [this, reply, request] {
    wiring_.backend.machine().ReadTxn(request, [this, reply](const Result<coord::TxnResponse>& response) {
      if (!response.ok()) return reply.Fail(response.status());
      const Revision revision = wiring_.backend.machine().revision();
      Arena arena;
      auto* answer = Arena::CreateMessage<etcdserverpb::TxnResponse>(&arena);
      ToWire(*response, revision, answer);
      FillHeader(wiring_.backend, revision, answer->mutable_header());
      reply.Send(*answer);
    });
    if (reply.live()) reply.Reserve(wiring_.backend.machine().ReadBytes(request));
  });
}

void KvService::Compact(std::string_view message, const Reply& reply) {
  etcdserverpb::CompactionRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  // `physical` asks for an answer after the records are gone. They go in the background here, which no reader can see.
  ProposeAndAnswer<etcdserverpb::CompactionResponse, coord::CompactResponse>(
      message.size(), coord::CompactRequest{.revision = wire.revision()}, reply);
}

}  // namespace quorate::frontend::etcd
