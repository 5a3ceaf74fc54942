// HashWalk: the hash of the keyspace as compaction leaves it, in pieces: rows are read in the pool, and judged against
// the index on the owner's thread.
//
// Used by Mvcc. Thread rule: the owner's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/image_reader.h"
#include "store/mvcc.h"
#include "store/mvcc_parts.h"

namespace quorate::store {

class HashWalk : public std::enable_shared_from_this<HashWalk> {
 public:
  using Done = std::function<void(Result<std::optional<Mvcc::Hashed>>)>;
  static constexpr std::size_t kChunkRows = 1'024;

  HashWalk(MvccParts& parts, Revision at, Done done) : parts_(parts), at_(at), done_(std::move(done)) {}

  void Start();
  // The same at once.
  static Result<std::uint32_t> Blocking(MvccParts& parts, Revision at);

 private:
  using Rows = std::vector<std::pair<std::string, std::string>>;

  static Status ReadChunk(ImageReader& reader, Revision at, const std::string& begin, Rows* rows);
  static void Count(const MvccParts& parts, Revision compacted, const Rows& rows, std::uint32_t* crc);
  void ReadNext();
  void OnRows(const Rows& rows);

  MvccParts& parts_;
  const Revision at_;
  Done done_;
  Revision compacted_ = 0;
  std::shared_ptr<ImageReader> reader_;
  std::string next_;
  std::uint32_t crc_ = 0;
};

}  // namespace quorate::store
