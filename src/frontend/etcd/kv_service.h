// etcdserverpb.KV: Range, Put, DeleteRange, Txn, Compact.
//
// Used by EtcdFrontend. Thread rule: the reactor's thread. Each method checks with coord's checks (their texts are
// etcd's), then proposes, or reads this member's state behind a read barrier.
#pragma once

#include <cstddef>
#include <string_view>

#include "coord/command.h"
#include "frontend/etcd/unary_call.h"
#include "frontend/etcd/wiring.h"

namespace quorate::frontend::etcd {

class KvService {
 public:
  explicit KvService(const Wiring& wiring) : wiring_(wiring) {}

  void Range(std::string_view message, const Reply& reply);
  void Put(std::string_view message, const Reply& reply);
  void DeleteRange(std::string_view message, const Reply& reply);
  void Txn(std::string_view message, const Reply& reply);
  void Compact(std::string_view message, const Reply& reply);

 private:
  // Proposes unless the request is too large; the answer is Wire with header and what the response to `body` holds.
  template <class Wire, class Response>
  void ProposeAndAnswer(std::size_t message_size, coord::CommandBody body, const Reply& reply);
  template <class Propose>
  void WhenAnswerFits(coord::CommandBody body, const Reply& reply, Propose propose);
  void ReadTxn(const coord::TxnRequest& request, bool serializable, const Reply& reply);

  const Wiring& wiring_;
};

}  // namespace quorate::frontend::etcd
