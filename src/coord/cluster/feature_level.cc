#include "coord/cluster/feature_level.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/codec.h"
#include "coord/cluster/types.h"

namespace quorate::coord {
namespace {

constexpr std::string_view kKey = "feature_level";  // in kMeta

std::string Encode(std::uint32_t level) {
  Writer w;
  w.Put8(1);  // format version
  w.Put32(level);
  return std::move(w).Take();
}

}  // namespace

FeatureLevel::FeatureLevel(Tables& tables, std::uint32_t known_max)
    : tables_(tables), known_max_(known_max), now_(kFeatureLevelMin) {
  const std::optional<Bytes> stored = tables_.Get(store::Table::kMeta, kKey);
  if (!stored) return;
  Reader r(stored->view());
  CHECK(r.Get8() == 1) << "the feature level is of a newer format";
  now_ = r.Get32();
  CHECK(r.Done()) << "the feature level is damaged";
  CheckKnown(now_);
}

void FeatureLevel::CheckKnown(std::uint32_t level) const {
  CHECK(level <= known_max_) << "the cluster is at feature level " << level << ", and this build knows levels up to "
                             << known_max_ << ": start this member with the build that the others run, or a newer one";
}

void FeatureLevel::Raise(std::uint32_t level) {
  if (level <= now_) return;
  CheckKnown(level);
  if (now_ == kFeatureLevelMin) {
    tables_.Insert(store::Table::kMeta, std::string(kKey), Bytes(Encode(level)));
  } else {
    tables_.Replace(store::Table::kMeta, std::string(kKey), Encode(now_), Bytes(Encode(level)));
  }
  now_ = level;
}

}  // namespace quorate::coord
