// Each seeded bug of store/ really changes what a client could see; the simulator's part is to notice it.
#ifdef QUORATE_BUGS

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bug.h"
#include "store/mvcc_test_util.h"

namespace quorate::store {
namespace {

using testing::ElementsAre;

class MvccBug : public testing::Test {
 protected:
  ~MvccBug() override { SelectBug(""); }
  Harness h_;
};

TEST_F(MvccBug, CompactionDropsTombstoneAtRevision) {
  h_.Put("a", "1");
  h_.Delete("a");
  SelectBug("mvcc_compaction_drops_tombstone_at_revision");
  h_.Compact(3);
  EXPECT_THAT(h_.Events(3, 3), ElementsAre());
}

TEST_F(MvccBug, CompactionRemovesLiveRevision) {
  h_.Put("a", "1");
  SelectBug("mvcc_compaction_removes_live_revision");
  h_.Compact(2);
  EXPECT_FALSE(h_->Get("a").has_value());
}

TEST_F(MvccBug, VersionSurvivesDeletion) {
  SelectBug("mvcc_version_survives_deletion");
  h_.Put("a", "1");
  h_.Delete("a");
  h_.Put("a", "2");
  EXPECT_EQ(h_->Get("a")->version, 2);
}

TEST_F(MvccBug, RevisionBumpedByEmptyTransaction) {
  SelectBug("mvcc_revision_bumped_by_empty_transaction");
  EXPECT_FALSE(h_.Delete("a"));
  EXPECT_EQ(h_->revision(), 2);
}

}  // namespace
}  // namespace quorate::store

#endif  // QUORATE_BUGS
