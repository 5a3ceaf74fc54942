#include "server/housekeeping.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace quorate::server {
namespace {

constexpr std::uint64_t kTickNs = 100'000'000;

coord::PublishMember Describe(const ServeConfig& config, const Member& self) {
  coord::PublishMember out;
  out.id = self.id;
  out.name = self.name;
  out.peer_urls = {"http://" + self.peer.ToString()};
  if (!config.advertise_etcd.empty()) out.client_urls = {config.advertise_etcd};
  return out;
}

}  // namespace

Housekeeping::Housekeeping(const ServeConfig& config, const Member& self, coord::Backend& backend,
                           env::Executor& executor, const env::Clock& clock)
    : published_(Describe(config, self)),
      backend_(backend),
      executor_(executor),
      clock_(clock),
      alive_(std::make_shared<const bool>(true)) {
  timer_ = executor_.After(kTickNs, [this] { Tick(); });
  backend_.machine().watches().SetWake([this] { PumpWatches(); });
}

Housekeeping::~Housekeeping() {
  executor_.Cancel(timer_);
  backend_.machine().watches().SetWake(nullptr);
}

void Housekeeping::OnApplied() {
  PumpWatches();
}

void Housekeeping::Tick() {
  PumpWatches();  // what a failed read left waiting
  ProposeDue();
  Publish();
  timer_ = executor_.After(kTickNs, [this] { Tick(); });
}

// One round at a time: a leader that cannot get its commands decided must not pile up more of the same.
void Housekeeping::ProposeDue() {
  if (due_in_flight_ > 0) return;
  for (coord::Command& command : backend_.machine().Due(clock_.MonotonicNs())) {
    ++due_in_flight_;
    backend_.Propose({}, std::move(command),
                     [this, alive = std::weak_ptr<const bool>(alive_)](const Result<coord::CommandOutcome>&) {
                       if (!alive.expired()) --due_in_flight_;
                     });
  }
}

void Housekeeping::Publish() {
  if (publishing_ || !backend_.cluster().leader) return;
  const std::vector<coord::MemberInfo> known = backend_.machine().members();
  const bool current = std::any_of(known.begin(), known.end(), [this](const coord::MemberInfo& member) {
    return member.id == published_.id && member.name == published_.name && member.peer_urls == published_.peer_urls &&
           member.client_urls == published_.client_urls;
  });
  if (current) return;
  publishing_ = true;
  backend_.Propose({}, coord::Command{{}, published_},
                   [this, alive = std::weak_ptr<const bool>(alive_)](const Result<coord::CommandOutcome>&) {
                     if (!alive.expired()) publishing_ = false;
                   });
}

void Housekeeping::PumpWatches() {
  if (!backend_.machine().watches().Pump() || pump_posted_) return;
  pump_posted_ = true;
  executor_.Post([this, alive = std::weak_ptr<const bool>(alive_)] {
    if (alive.expired()) return;
    pump_posted_ = false;
    PumpWatches();
  });
}

}  // namespace quorate::server
