#include "coord/time/cluster_time.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/codec.h"

namespace quorate::coord {
namespace {

// In kTime.
constexpr std::string_view kKey = "cluster_time";
constexpr std::string_view kLeaderKey = ClusterTime::kLeaderKey;

std::string Encode(std::uint64_t time_ns) {
  Writer w;
  w.Put8(1);  // format version
  w.Put64(time_ns);
  return std::move(w).Take();
}

std::string Encode(consensus::Ballot leader) {
  Writer w;
  w.Put8(1);  // format version
  w.Put64(leader.number);
  w.Put64(leader.owner.value);
  return std::move(w).Take();
}

}  // namespace

ClusterTime::ClusterTime(Tables& tables) : tables_(tables) {
  if (const std::optional<Bytes> stored = tables_.Get(store::Table::kTime, kLeaderKey)) {
    Reader r(stored->view());
    CHECK(r.Get8() == 1) << "the table of time is of a newer format";
    newest_.number = r.Get64();
    newest_.owner = ReplicaId(r.Get64());
    CHECK(r.Done()) << "the table of time holds " << stored->size() << " bytes";
  }
  const std::optional<Bytes> stored = tables_.Get(store::Table::kTime, kKey);
  if (!stored) return;
  Reader r(stored->view());
  CHECK(r.Get8() == 1) << "the table of time is of a newer format";
  applied_ns_ = r.Get64();
  CHECK(r.Done()) << "the table of time holds " << stored->size() << " bytes";
}

void ClusterTime::Apply(std::uint64_t stamp_ns, consensus::Ballot leader) {
  if (leader < newest_ && !QUORATE_BUG(coord_late_stamp_counts)) return;
  if (leader > newest_) {
    if (newest_ == consensus::Ballot()) {
      tables_.Insert(store::Table::kTime, std::string(kLeaderKey), Bytes(Encode(leader)));
    } else {
      tables_.Replace(store::Table::kTime, std::string(kLeaderKey), Encode(newest_), Bytes(Encode(leader)));
    }
    newest_ = leader;
  }
  if (QUORATE_BUG(coord_apply_uses_local_clock)) stamp_ns = std::max(stamp_ns, known());
  if (stamp_ns <= applied_ns_) return;
  if (applied_ns_ == 0) {
    tables_.Insert(store::Table::kTime, std::string(kKey), Bytes(Encode(stamp_ns)));
  } else {
    tables_.Replace(store::Table::kTime, std::string(kKey), Encode(applied_ns_), Bytes(Encode(stamp_ns)));
  }
  applied_ns_ = stamp_ns;
}

std::uint64_t ClusterTime::known() const {
  return leads_ ? std::max(base_ns_, applied_ns_) : applied_ns_;
}

void ClusterTime::OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns) {
  const bool leads = leadership.role == consensus::Role::kLeader;
  stamps_as_ = leads && leadership.may_come_late ? leadership.ballot : consensus::Ballot();
  if (leads && !leads_) {
    base_ns_ = applied_ns_;
    base_monotonic_ns_ = monotonic_ns;
  }
  leads_ = leads;
}

void ClusterTime::GoOnAs(const ClusterTime& former) {
  leads_ = former.leads_;
  stamps_as_ = former.stamps_as_;
  base_ns_ = former.base_ns_;
  base_monotonic_ns_ = former.base_monotonic_ns_;
}

std::uint64_t ClusterTime::Project(std::uint64_t monotonic_ns) const {
  if (!leads_) return applied_ns_;
  const std::uint64_t passed = monotonic_ns > base_monotonic_ns_ ? monotonic_ns - base_monotonic_ns_ : 0;
  return std::max(base_ns_ + passed, applied_ns_);
}

std::uint64_t ClusterTime::Stamp(std::uint64_t monotonic_ns) {
  const std::uint64_t now = Project(monotonic_ns);
  if (leads_) {
    base_ns_ = now;
    base_monotonic_ns_ = std::max(base_monotonic_ns_, monotonic_ns);
  }
  return now;
}

}  // namespace quorate::coord
