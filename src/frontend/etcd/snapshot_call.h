// SnapshotCall: one call of etcdserverpb.Maintenance.Snapshot: this member's state as a file, in blobs.
//
// What the client gets is our snapshot file, whose last 32 bytes are the SHA-256 of everything before it, as etcd's
// stream ends. Made by EtcdFrontend per call. Thread rule: the reactor's thread. Invariant: while more than
// net::kCallQueueCapBytes wait for the client, nothing is read: a slow client costs one piece, and stops nobody.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "coord/backend.h"
#include "frontend/etcd/wiring.h"
#include "net/grpc_server.h"

namespace quorate::frontend::etcd {

class SnapshotCall final : public net::CallHandler {
 public:
  SnapshotCall(const Wiring& wiring, net::ServerCall& call) : wiring_(wiring), call_(&call) {}

  void OnMessage(std::string_view message) override;
  void OnHalfClose() override;
  void OnWritable() override { ReadNext(); }
  void OnDone() override;

 private:
  void ReadNext();
  void OnPiece(const Result<coord::SnapshotDownload::Piece>& piece);
  void End(const Status& status);

  const Wiring& wiring_;
  net::ServerCall* call_;  // null once the call is over
  std::unique_ptr<coord::SnapshotDownload> download_;
  bool reading_ = false;
  std::uint64_t sent_bytes_ = 0;
};

}  // namespace quorate::frontend::etcd
