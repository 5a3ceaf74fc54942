#include "server/restore_rows.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/codec.h"
#include "coord/time/cluster_time.h"
#include "store/engine.h"
#include "store/state_hash.h"

namespace quorate::server {
namespace {

using replica::SnapshotRow;
using store::Table;

constexpr std::string_view kCompactRevision = "compact_revision";  // store/mvcc.cc's row of kMeta

bool IsOf(const SnapshotRow& row, Table table) {
  return row.table == static_cast<std::uint8_t>(table);
}

std::uint64_t HashOf(const SnapshotRow& row) {
  return store::RecordHash(static_cast<Table>(row.table), row.key, row.value.view());
}

}  // namespace

void RestoreRows::InsertCompaction(std::vector<SnapshotRow>* out) {
  inserted_ = true;
  Writer value;
  value.PutOrdered64(static_cast<std::uint64_t>(revision_));
  out->push_back(
      {static_cast<std::uint8_t>(Table::kMeta), std::string(kCompactRevision), Bytes(std::move(value).Take())});
  hash_change_ += HashOf(out->back());
}

std::vector<SnapshotRow> RestoreRows::Pass(std::vector<SnapshotRow> rows) {
  std::vector<SnapshotRow> out;
  out.reserve(rows.size() + 1);
  for (SnapshotRow& row : rows) {
    const bool meta = IsOf(row, Table::kMeta);
    const bool behind = row.table > static_cast<std::uint8_t>(Table::kMeta) || (meta && row.key >= kCompactRevision);
    if (compacted_ && !inserted_ && behind) InsertCompaction(&out);
    const bool replaced = compacted_ && meta && row.key == kCompactRevision;
    const bool leader = IsOf(row, Table::kTime) && row.key == coord::ClusterTime::kLeaderKey;  // of the old cluster
    if (replaced || leader || IsOf(row, Table::kMembership) || IsOf(row, Table::kAlarm)) {
      hash_change_ -= HashOf(row);
      continue;
    }
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<SnapshotRow> RestoreRows::End() {
  std::vector<SnapshotRow> out;
  if (compacted_ && !inserted_) InsertCompaction(&out);
  return out;
}

}  // namespace quorate::server
