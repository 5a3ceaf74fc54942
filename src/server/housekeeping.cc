#include "server/housekeeping.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace quorate::server {
namespace {

constexpr std::uint64_t kTickNs = 100'000'000;

coord::PublishMember Describe(const ServeConfig& config) {
  coord::PublishMember out;
  out.id = config.self;
  out.name = config.name;
  out.peer_urls = {"http://" + config.advertise_peer.ToString()};
  if (!config.advertise_etcd.empty()) out.client_urls = {config.advertise_etcd};
  return out;
}

}  // namespace

Housekeeping::Housekeeping(const ServeConfig& config, coord::Backend& backend, env::Executor& executor,
                           const env::Clock& clock, std::function<void()> chores)
    : published_(Describe(config)),
      joined_(std::find(config.initial_voters.begin(), config.initial_voters.end(), config.self) ==
              config.initial_voters.end()),
      chores_(std::move(chores)),
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
  chores_();
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
  const auto self = std::find_if(known.begin(), known.end(),
                                 [this](const coord::MemberInfo& member) { return member.id == published_.id; });
  const bool configured = backend_.machine().feature_level() >= 2;
  // A newcomer speaks only once it has been taught that it is a member: others take it for started then.
  if (self == known.end() && (configured || joined_)) return;
  if (self != known.end() && self->name == published_.name && self->client_urls == published_.client_urls &&
      (configured || self->peer_urls == published_.peer_urls)) {
    return;
  }
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
