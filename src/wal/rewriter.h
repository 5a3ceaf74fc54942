// Rewriter: chooses which entries of the oldest segment are rewritten forward, so that it can go, and reads them.
//
// When only groups that write little hold the oldest segment, their entries in it are few, and everything behind it is
// pinned by them. They are copied, a bounded stretch at a time, into a write of their own record, in front of its
// batches: there the log is exactly what the index says, so a copy never comes back to life over a later entry.
//
// Used by log.cc only. Thread rule: the owner executor's thread; files are read in the Disk's background.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "env/disk.h"
#include "wal/group_log.h"
#include "wal/segment_scan.h"

namespace quorate::wal {

class Rewriter {
 public:
  struct Copy {
    GroupId group;
    RecordPlace place;  // where it was read
    consensus::Entry entry;
  };

  Rewriter(env::Disk& disk, std::uint64_t segment_bytes) : disk_(disk), segment_bytes_(segment_bytes) {}

  // Reads the next stretch to rewrite if there is one, then calls `ready` when it is staged. Nothing while one is under
  // way or staged.
  void Consider(const std::map<GroupId, GroupLog>& groups, SegmentNumber current,
                const std::function<std::string(SegmentNumber)>& path_of, std::function<void()> ready);
  bool staged() const { return !staged_.empty(); }
  std::vector<Copy> Take() { return std::exchange(staged_, {}); }

 private:
  struct Victims;
  bool Worth(const std::map<GroupId, GroupLog>& groups, SegmentNumber segment, SegmentNumber current) const;

  env::Disk& disk_;
  std::uint64_t segment_bytes_;
  bool reading_ = false;
  SegmentNumber unreadable_ = 0;  // not tried again
  std::vector<Copy> staged_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace quorate::wal
