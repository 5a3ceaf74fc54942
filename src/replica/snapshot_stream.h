// SnapshotStream: a pinned source as the bytes of a snapshot file, from any offset that was reached before.
//
// Made by Group (for other members) and by server/ (for downloads), held by shared_ptr; several readers may share one,
// each at its own offset. Thread rule: the executor's thread; `done` is never called from inside Read.
//
// Invariants:
//  1. The same offset gives the same bytes as long as the stream lives: pieces that were made before are made again
//  from the row they began at, and compared by checksum.
//  2. Memory: 64 bytes or so and a row's key for each piece of about 256 KiB, and the pieces that are asked for.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/executor.h"
#include "replica/snapshot_file.h"
#include "replica/state_machine.h"

namespace quorate::replica {

class SnapshotStream : public std::enable_shared_from_this<SnapshotStream> {
 public:
  struct Piece {
    std::uint64_t offset = 0;
    Bytes bytes;        // empty only at the very end
    bool last = false;  // the file ends with it
  };
  using Done = std::function<void(Result<Piece>)>;

  SnapshotStream(SnapshotHeader header, std::shared_ptr<SnapshotSource> source, env::Executor& executor);

  const SnapshotHeader& header() const { return header_; }
  std::uint64_t size_estimate_bytes() const;
  std::uint64_t reached() const { return writer_.size(); }
  // The bytes from `offset` up to the end of the piece that it lies in. OUT_OF_RANGE beyond reached().
  void Read(std::uint64_t offset, Done done);

 private:
  struct Known {  // a piece that was made before
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint32_t checksum = 0;
    std::uint8_t table = 0;  // its rows are those after (table, key)
    std::string key;
  };
  struct Request {
    std::uint64_t offset = 0;
    Done done;
  };

  void Begin();
  void Serve(const Request& request);
  void Extend();
  void Repeat(const Known& known, std::uint64_t offset);
  void OnNewRows(Result<std::vector<SnapshotRow>> rows);
  void OnOldRows(const Known& known, std::uint64_t offset, Result<std::vector<SnapshotRow>> rows);
  void Answer(Result<Piece> piece);

  const SnapshotHeader header_;
  const std::shared_ptr<SnapshotSource> source_;
  env::Executor& executor_;
  SnapshotWriter writer_;
  std::vector<Known> known_;
  std::deque<Request> requests_;  // the source answers one at a time
  struct {
    std::uint8_t table = 0;
    std::string key;
  } last_;
  bool ended_ = false;
  Bytes end_;  // once ended: it has no rows that it could be made from again
};

}  // namespace quorate::replica
