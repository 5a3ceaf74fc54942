#include "sim/watch_probe.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kTurnsSlowPermille = 150;
constexpr int kPumpsMax = 100;

}  // namespace

void WatchProbe::Attach(coord::WatchHub& hub) {
  hub_ = &hub;
  hub.SetWake([this] { Pump(); });
  Watch();
}

void WatchProbe::Watch() {
  lost_ = false;
  coord::WatchRequest everything;
  everything.key = everything.end = std::string(1, '\0');
  everything.start_revision = next_;
  everything.prev_kv = true;
  hub_->Add(std::move(everything), this);
}

void WatchProbe::Turn() {
  ready_ = !random_.Chance(kTurnsSlowPermille);
  Pump();
}

void WatchProbe::Pump() {
  if (hub_ == nullptr) return;
  if (lost_) Watch();
  for (int i = 0; i < kPumpsMax && hub_->Pump(); ++i) {
  }
}

void WatchProbe::OnEvents(coord::WatchHandle, Revision revision, std::vector<coord::WatchEvent> events) {
  judge_(next_, revision, events);
  next_ = revision + 1;
}

void WatchProbe::OnCompacted(coord::WatchHandle, Revision compact_revision) {
  next_ = compact_revision;
  lost_ = true;
}

}  // namespace quorate::sim
