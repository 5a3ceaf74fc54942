// What a restore changes in the rows, and amounts in flags.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/codec.h"
#include "server/quantities.h"
#include "server/restore_rows.h"
#include "store/engine.h"
#include "store/state_hash.h"

namespace quorate::server {
namespace {

using replica::SnapshotRow;
using store::Table;
using Rows = std::vector<SnapshotRow>;

SnapshotRow Row(Table table, std::string key, std::string value) {
  return {static_cast<std::uint8_t>(table), std::move(key), Bytes(std::move(value))};
}
std::string Ordered(std::uint64_t number) {
  Writer w;
  w.PutOrdered64(number);
  return std::move(w).Take();
}
std::uint64_t HashOf(const Rows& rows) {
  std::uint64_t hash = 0;
  for (const SnapshotRow& row : rows) {
    hash += store::RecordHash(static_cast<Table>(row.table), row.key, row.value.view());
  }
  return hash;
}
Rows Sorted(Rows rows) {
  std::sort(rows.begin(), rows.end(), [](const SnapshotRow& a, const SnapshotRow& b) {
    return std::pair(a.table, a.key) < std::pair(b.table, b.key);
  });
  return rows;
}
// Passes them in pieces of two.
Rows PassAll(const Rows& rows, RestoreRows* restore) {
  Rows out;
  for (std::size_t at = 0; at < rows.size(); at += 2) {
    const auto end = rows.begin() + static_cast<std::ptrdiff_t>(std::min(at + 2, rows.size()));
    for (SnapshotRow& row : restore->Pass(Rows(rows.begin() + static_cast<std::ptrdiff_t>(at), end))) {
      out.push_back(std::move(row));
    }
  }
  for (SnapshotRow& row : restore->End()) out.push_back(std::move(row));
  return out;
}

class RestoreRowsTest : public ::testing::Test {
 protected:
  const Rows rows_ = Sorted({Row(Table::kMeta, "compact_revision", Ordered(5)), Row(Table::kMeta, "feature_level", "2"),
                             Row(Table::kKv, "0001", "record"), Row(Table::kSession, "lease", "ttl"),
                             Row(Table::kMembership, "m1", "old"), Row(Table::kMembership, "m2", "older"),
                             Row(Table::kTime, "cluster_time", "9"), Row(Table::kTime, "cluster_time_leader", "7"),
                             Row(Table::kAlarm, "m1", "")});
};

TEST_F(RestoreRowsTest, TheOldMembersAndAlarmsGoAndTheRevisionCountsAsCompacted) {
  RestoreRows restore(1'000, true);
  const Rows out = PassAll(rows_, &restore);
  ASSERT_EQ(out.size(), rows_.size() - 4);
  EXPECT_EQ(out[0].key, "compact_revision");
  EXPECT_EQ(out[0].value.view(), Ordered(1'000));
  for (const SnapshotRow& row : out) {
    EXPECT_NE(row.table, static_cast<std::uint8_t>(Table::kMembership));
    EXPECT_NE(row.table, static_cast<std::uint8_t>(Table::kAlarm));
    EXPECT_NE(row.key, "cluster_time_leader") << "a new cluster's ballots begin anew";
  }
  EXPECT_EQ(HashOf(rows_) + restore.hash_change(), HashOf(out));
}

TEST_F(RestoreRowsTest, WithoutABumpNothingIsCompacted) {
  RestoreRows restore(7, false);
  const Rows out = PassAll(rows_, &restore);
  EXPECT_EQ(out[0].value.view(), Ordered(5));
  EXPECT_EQ(HashOf(rows_) + restore.hash_change(), HashOf(out));
}

TEST_F(RestoreRowsTest, ACompactionIsEnteredInOrderWhereThereWasNone) {
  for (const Rows& rows : {Rows(rows_.begin() + 1, rows_.end()), Rows(rows_.begin() + 2, rows_.end()), Rows()}) {
    RestoreRows restore(1'000, true);
    const Rows out = PassAll(rows, &restore);
    ASSERT_FALSE(out.empty());
    EXPECT_EQ(out[0].key, "compact_revision");
    EXPECT_EQ(HashOf(rows) + restore.hash_change(), HashOf(out));
  }
}

TEST(QuantitiesTest, AmountsAreReadWithTheirUnits) {
  EXPECT_EQ(*ParseBytes("50MiB"), 50u << 20);
  EXPECT_EQ(*ParseBytes("2GB"), 2'000'000'000u);
  EXPECT_EQ(*ParseBytes("17"), 17u);
  EXPECT_EQ(*ParseDuration("24h"), 86'400'000'000'000u);
  EXPECT_EQ(*ParseDuration("7d"), 7u * 86'400'000'000'000u);
  for (const char* wrong : {"", "MiB", "50mb", "-1", "9GiB", "1.5GiB", "99999999999999999999"}) {
    EXPECT_FALSE(ParseBytes(wrong).ok()) << wrong;
  }
  for (const char* wrong : {"", "24", "h", "24 h", "-1h", "4000d"}) EXPECT_FALSE(ParseDuration(wrong).ok()) << wrong;
}

}  // namespace
}  // namespace quorate::server
