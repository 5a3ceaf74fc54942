#include "frontend/etcd/snapshot_call.h"

#include <algorithm>
#include <string>
#include <utility>

#include "etcd/rpc.pb.h"
#include "frontend/etcd/errors.h"

namespace quorate::frontend::etcd {
namespace {

constexpr std::size_t kBlobBytes = 32 << 10;  // etcd's

}  // namespace

void SnapshotCall::OnMessage(std::string_view message) {
  if (call_ == nullptr || download_ != nullptr) return;
  etcdserverpb::SnapshotRequest request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return End(MalformedRequest(request.GetTypeName()));
  }
  Result<std::unique_ptr<coord::SnapshotDownload>> download = wiring_.backend.OpenSnapshot();
  if (!download.ok()) return End(download.status());
  download_ = *std::move(download);
  ReadNext();
}

void SnapshotCall::OnHalfClose() {
  if (call_ != nullptr && download_ == nullptr) End(MissingRequest());
}

void SnapshotCall::OnDone() {
  call_ = nullptr;
  download_ = nullptr;
}

void SnapshotCall::ReadNext() {
  if (call_ == nullptr || download_ == nullptr || reading_ || call_->queued_bytes() > net::kCallQueueCapBytes) return;
  reading_ = true;
  download_->Next([this](const Result<coord::SnapshotDownload::Piece>& piece) {
    reading_ = false;
    OnPiece(piece);
  });
}

void SnapshotCall::OnPiece(const Result<coord::SnapshotDownload::Piece>& piece) {
  if (!piece.ok()) return End(piece.status());
  const std::string_view bytes = piece->bytes.view();
  for (std::size_t at = 0; at < bytes.size(); at += kBlobBytes) {
    const std::string_view blob = bytes.substr(at, kBlobBytes);
    sent_bytes_ += blob.size();
    const bool last = piece->last && at + blob.size() == bytes.size();
    const std::uint64_t estimate = download_->size_estimate_bytes();
    etcdserverpb::SnapshotResponse response;
    // The size is an estimate until the end: there is more as long as this is not 0.
    response.set_remaining_bytes(last ? 0 : std::max<std::uint64_t>(1, estimate - std::min(estimate, sent_bytes_)));
    response.set_blob(blob.data(), blob.size());
    call_->Send(response.SerializeAsString());
  }
  if (piece->last) return End(Status::Ok());
  ReadNext();
}

void SnapshotCall::End(const Status& status) {
  net::ServerCall* call = std::exchange(call_, nullptr);
  if (call != nullptr) call->Finish(status);
}

}  // namespace quorate::frontend::etcd
