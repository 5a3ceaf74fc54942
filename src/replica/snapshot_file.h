// The snapshot file: the one format in which a group's state leaves a member. What a member sends to another, what
// `quorate snapshot save` and etcd's Maintenance.Snapshot write, and what `quorate snapshot restore` reads.
//
// Header, chunks of rows in (table, key) order, an end, and the SHA-256 of everything before it in the last 32 bytes.
// docs/disk-format.md has the tables; a change here is a change there, and raises kSnapshotFormatVersion. Every byte is
// a function of header and rows, so the same pinned source gives the same bytes again: a byte offset is a position to
// resume from. Called by the sender and receiver of snapshots, by server/ and cli/.
//
// SnapshotReader takes any bytes in any split: it never reads past its input, never aborts, and holds no more than
// twice what it was given since the last whole chunk. Thread rule: plain values, one thread each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "replica/state_machine.h"

namespace quorate::replica {

inline constexpr std::uint32_t kSnapshotFormatVersion = 1;
inline constexpr std::size_t kSnapshotChunkBytes = 256 << 10;  // a chunk is larger only when a single row is
inline constexpr std::size_t kSnapshotDigestBytes = 32;
// The length of a file is this and a multiple of 512: etcd's clients tell by it that the digest is there.
inline constexpr std::size_t kSnapshotAlignment = 512;

struct SnapshotHeader {
  ClusterId cluster;
  GroupId group{1};
  consensus::SnapshotMeta meta;  // `last` is the applied index; `id` is unique over all members and their lives
  Revision revision = 0;
  std::uint64_t feature_level = 0;
  std::uint64_t state_hash = 0;
  std::int64_t created_wall_ns = 0;  // for people
  friend bool operator==(const SnapshotHeader&, const SnapshotHeader&) = default;
};

// Unique over members, their lives, and the snapshots of one life.
std::uint64_t MakeSnapshotId(ClusterId cluster, ReplicaId self, Incarnation incarnation, std::uint64_t number);

// SHA-256, a piece at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  void Add(std::string_view bytes);
  std::string Digest() const;  // of what was added so far; 32 bytes

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The parts of a file, in this order: header, rows as often as there are any, end.
std::string EncodeSnapshotHeader(const SnapshotHeader& header);
std::string EncodeSnapshotRows(const std::vector<SnapshotRow>& rows);  // one or more chunks

class SnapshotWriter {
 public:
  std::string Header(const SnapshotHeader& header) { return Count(EncodeSnapshotHeader(header)); }
  // REQUIRES ascending (table, key), and not before what was written already.
  std::string Rows(const std::vector<SnapshotRow>& rows);
  std::string End();
  std::uint64_t size() const { return size_; }  // of all that was given out
  std::uint64_t rows() const { return rows_; }

 private:
  std::string Count(std::string part);

  Sha256 sha_;
  std::uint64_t size_ = 0;
  std::uint64_t rows_ = 0;
};

// What a reader insists on; empty = anything.
struct SnapshotExpectation {
  std::optional<ClusterId> cluster;
  std::optional<GroupId> group;
};

class SnapshotReader {
 public:
  explicit SnapshotReader(SnapshotExpectation expected = {}, bool keep_rows = true);

  // Takes the next bytes. DATA_LOSS: damaged, with the offset; UNIMPLEMENTED: a newer format; FAILED_PRECONDITION:
  // another cluster's; INVALID_ARGUMENT: no snapshot at all. After a failure it says the same again.
  Status Add(std::string_view bytes);
  // There is no more: DATA_LOSS unless the end and its digest were seen.
  Status Finish() const;

  const std::optional<SnapshotHeader>& header() const { return header_; }
  std::vector<SnapshotRow> TakeRows();  // of the whole chunks since the last call; none when keep_rows is off
  bool complete() const { return stage_ == Stage::kComplete; }
  std::uint64_t offset() const { return offset_; }  // bytes taken
  std::uint64_t rows() const { return row_count_; }
  const std::string& digest() const { return digest_; }  // 32 bytes, once complete

 private:
  enum class Stage : std::uint8_t { kHeader = 1, kChunks = 2, kDigest = 3, kComplete = 4 };

  Status Parse();
  Result<bool> ParseHeader();
  Result<bool> ParseChunk();
  Result<bool> ParseDigest();
  Status ParseRows(std::string_view body, std::uint64_t at);
  Status ParseEnd(std::string_view body, std::uint64_t at);
  void Consume(std::size_t bytes);  // parsed and part of the digest
  std::uint64_t parsed_offset() const { return offset_ - (buffer_.size() - begin_); }

  const SnapshotExpectation expected_;
  const bool keep_rows_;
  Stage stage_ = Stage::kHeader;
  Status failure_;
  std::string buffer_;  // from begin_ on: not yet parsed
  std::size_t begin_ = 0;
  std::uint64_t offset_ = 0;
  Sha256 sha_;
  std::string digest_;
  std::optional<SnapshotHeader> header_;
  std::vector<SnapshotRow> rows_;
  std::uint64_t row_count_ = 0;
  struct {
    std::uint8_t table = 0;
    std::string key;
  } last_;
};

// "0123...ef"
std::string SnapshotDigestText(std::string_view digest);

}  // namespace quorate::replica
