#include "replica/snapshot_stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"

namespace quorate::replica {
namespace {

// Of keys and values: leaves room for what the encoding adds.
constexpr std::size_t kReadBytes = kSnapshotChunkBytes - (16 << 10);

Status Changed(std::uint64_t offset) {
  return Status::Internal("the pinned state gave other rows than before for offset " + std::to_string(offset));
}

}  // namespace

SnapshotStream::SnapshotStream(SnapshotHeader header, std::shared_ptr<SnapshotSource> source, env::Executor& executor)
    : header_(std::move(header)), source_(std::move(source)), executor_(executor) {
  const std::string bytes = writer_.Header(header_);
  known_.push_back({0, static_cast<std::uint32_t>(bytes.size()), Crc32c(bytes), 0, {}});
}

std::uint64_t SnapshotStream::size_estimate_bytes() const {
  return ended_ ? reached() : std::max(source_->size_estimate_bytes(), reached());
}

void SnapshotStream::Read(std::uint64_t offset, Done done) {
  requests_.push_back({offset, std::move(done)});
  if (requests_.size() == 1) Begin();
}

void SnapshotStream::Begin() {
  executor_.Post([self = shared_from_this()] { self->Serve(self->requests_.front()); });
}

void SnapshotStream::Serve(const Request& request) {
  const std::uint64_t offset = request.offset;
  if (offset > reached()) {
    return Answer(Status::OutOfRange("offset " + std::to_string(offset) + " of a snapshot of which " +
                                     std::to_string(reached()) + " bytes were made"));
  }
  if (offset == reached()) return ended_ ? Answer(Piece{offset, {}, true}) : Extend();
  const auto after = std::upper_bound(known_.begin(), known_.end(), offset,
                                      [](std::uint64_t at, const Known& known) { return at < known.offset; });
  Repeat(*std::prev(after), offset);
}

void SnapshotStream::Extend() {
  source_->Read(last_.table, last_.key, kReadBytes, [self = shared_from_this()](Result<std::vector<SnapshotRow>> rows) {
    self->OnNewRows(std::move(rows));
  });
}

void SnapshotStream::OnNewRows(Result<std::vector<SnapshotRow>> rows) {
  if (!rows.ok()) return Answer(rows.status());
  const std::uint64_t offset = reached();
  std::string bytes = rows->empty() ? writer_.End() : writer_.Rows(*rows);
  known_.push_back({offset, static_cast<std::uint32_t>(bytes.size()), Crc32c(bytes), last_.table, last_.key});
  if (rows->empty()) {
    ended_ = true;
    end_ = Bytes::Copy(bytes);
  } else {
    last_.table = rows->back().table;
    last_.key = std::move(rows->back().key);
  }
  Answer(Piece{offset, Bytes(std::move(bytes)), ended_});
}

void SnapshotStream::Repeat(const Known& known, std::uint64_t offset) {
  if (known.offset == 0) {
    return Answer(Piece{offset, Bytes(EncodeSnapshotHeader(header_)).Slice(offset), false});
  }
  if (ended_ && known.offset == known_.back().offset) {
    return Answer(Piece{offset, end_.Slice(offset - known.offset), true});
  }
  source_->Read(known.table, known.key, kReadBytes,
                [self = shared_from_this(), known, offset](Result<std::vector<SnapshotRow>> rows) {
                  self->OnOldRows(known, offset, std::move(rows));
                });
}

void SnapshotStream::OnOldRows(const Known& known, std::uint64_t offset, Result<std::vector<SnapshotRow>> rows) {
  if (!rows.ok()) return Answer(rows.status());
  std::string bytes = EncodeSnapshotRows(*rows);
  if (bytes.size() != known.length || Crc32c(bytes) != known.checksum) return Answer(Changed(known.offset));
  Answer(Piece{offset, Bytes(std::move(bytes)).Slice(offset - known.offset), false});
}

void SnapshotStream::Answer(Result<Piece> piece) {
  const Request request = std::move(requests_.front());
  requests_.pop_front();
  if (!requests_.empty()) Begin();
  request.done(std::move(piece));
}

}  // namespace quorate::replica
