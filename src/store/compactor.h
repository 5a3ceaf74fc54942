// Compactor: removes the records that compaction of revisions does not keep, in bounded steps, behind everyone's back.
//
// Owned by Mvcc. Thread rule: the owner's thread; rows are read in the pool. Reads do not depend on how far it is: they
// look only at what every compaction so far keeps.
//
// One pass covers the records of [the compaction before, at]: only keys with one in there can have something to drop,
// as every other key was left with the one record that is still its newest. Records are removed in ascending order and
// those from before the range no later than their successors, so a crash in between never leaves a key whose newest
// record is a wrong one; the next life takes the pass up again from its start (LocalState::compacted).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/mvcc_parts.h"

namespace quorate::store {

class Compactor {
 public:
  static constexpr std::size_t kChunkRows = 4'096;  // read at once
  static constexpr std::size_t kStepRows = 256;     // judged in one turn of the loop
  // Between two turns, so that requests have the loop, the disk and most of a core meanwhile: at most 128,000 rows a
  // second, more than can be written.
  static constexpr std::uint64_t kPauseNs = 2'000'000;
  static constexpr std::size_t kRunRows = 32;  // removed as a range when so many in a row go

  explicit Compactor(MvccParts& parts) : parts_(parts) {}

  // Something is to be done, or may be.
  void Wake();
  Revision behind() const;

 private:
  struct Row {
    RecordKey key;
    std::string row;
  };
  struct Step;

  void BeginPass();
  void ReadChunk();
  void Judge(std::shared_ptr<std::vector<Row>> rows, std::size_t from);
  void Take(const Row& row, bool keep, Step* step);
  void LoadOlder(std::shared_ptr<Step> step, std::function<void()> next);
  void Retry(std::function<void()> what);
  std::function<void()> Guarded(std::function<void()> what);

  MvccParts& parts_;
  bool running_ = false;
  Revision first_ = 0;  // the pass covers the records of [first_, at_]
  Revision at_ = 0;
  RecordKey next_;  // not yet read
};

}  // namespace quorate::store
