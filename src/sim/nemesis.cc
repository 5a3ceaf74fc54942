#include "sim/nemesis.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/check.h"
#include "sim/trace/recorder.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kWeightMax = 3;
constexpr char kOnlyAsked[] = "clock-jump";  // for scenarios that name it; seeds without one do not draw it
constexpr std::uint64_t kStormGapMinNs = 2 * kMillisecond;
constexpr std::uint64_t kStormFaultMaxNs = 700 * kMillisecond;  // how long one fault of a storm lasts
constexpr std::uint64_t kCalmMinNs = 3 * kSecond;               // after a storm
constexpr std::uint64_t kCalmMaxNs = 7 * kSecond;
constexpr std::uint64_t kElectionPollNs = 2 * kMillisecond;
constexpr std::uint64_t kElectionWaitNs = 2 * kSecond;
constexpr std::uint64_t kWholePollMaxNs = 400 * kMillisecond;
constexpr std::uint64_t kWholeWaitNs = 20 * kSecond;

}  // namespace

Nemesis::Nemesis(NemesisOptions options, Cluster& cluster, Churn& churn)
    : options_(std::move(options)),
      cluster_(cluster),
      churn_(churn),
      random_(SeededRandom::ForPurpose(options_.seed, "nemesis")),
      faults_(AllFaults()) {
  std::uint64_t sum = 0;
  for (Fault& fault : faults_) {
    const auto weight = options_.weights.find(fault.kind);
    if (weight != options_.weights.end()) sum += fault.weight = weight->second;
  }
  while (sum == 0) {
    for (Fault& fault : faults_) sum += fault.weight = fault.kind == kOnlyAsked ? 0 : random_.Below(kWeightMax + 1);
  }
  cluster_.AddCrashHook([this](ReplicaId id) { OnCrash(id); });
}

const std::vector<Nemesis::Fault>& Nemesis::AllFaults() {
  static const std::vector<Fault> all = {
      {"crash", 0, &Nemesis::CrashOne},
      {"crash-many", 0, &Nemesis::CrashMany},
      {"power-loss", 0, &Nemesis::LosePowerSoon},
      {"partition", 0, &Nemesis::Partition},
      {"one-way-cut", 0, &Nemesis::CutOneWay},
      {"link-reset", 0, &Nemesis::ResetLinks},
      {"slow-disk", 0, &Nemesis::SlowDisk},
      {"slow-network", 0, &Nemesis::SlowNetwork},
      {"pause", 0, &Nemesis::PauseOne},
      {"transfer", 0, &Nemesis::Transfer},
      {"bridge", 0, &Nemesis::Bridge},
      {"flapping", 0, &Nemesis::Flap},
      {"troubled-election", 0, &Nemesis::TroubleElection},
      {"slow-flush", 0, &Nemesis::SlowFlush},
      {"failing-flush", 0, &Nemesis::FailFlush},
      {"disk-full", 0, &Nemesis::FillDisk},
      {"damaged-keyspace", 0, &Nemesis::DamageKeyspace},
      {"damaged-log", 0, &Nemesis::DamageLog},
      {"damaged-snapshot", 0, &Nemesis::DamageSnapshot},
      {"grow", 0, &Nemesis::Grow},
      {"shrink", 0, &Nemesis::Shrink},
      {"replace", 0, &Nemesis::Replace},
      {kOnlyAsked, 0, &Nemesis::JumpClock},
  };
  return all;
}

const std::vector<std::string>& Nemesis::Kinds() {
  static const std::vector<std::string> kinds = [] {
    std::vector<std::string> names;
    for (const Fault& fault : AllFaults()) names.push_back(fault.kind);
    return names;
  }();
  return kinds;
}

std::uint64_t Nemesis::faults() const {
  std::uint64_t sum = 0;
  for (const auto& [kind, count] : counts_) sum += count;
  return sum;
}

void Nemesis::After(std::uint64_t delay_ns, std::function<void()> task) {
  cluster_.scheduler().After(delay_ns, kSimulator, std::move(task));
}

void Nemesis::Start() {
  After(random_.Below(options_.gap_max_ns), [this] { Next(); });
}

void Nemesis::Stop() {
  stopped_ = true;
  cluster_.network().CalmDown();
  for (Member* member : Present()) {
    member->set_slow_disk(0);
    member->set_slow_flush(0);
    member->set_failing_flush(0);
    member->UnlimitDisk();
    member->LosePowerAfter(0);
    if (!member->running()) cluster_.Restart(*member);
  }
}

void Nemesis::Next() {
  if (stopped_ || (!options_.plan.empty() && struck_ == options_.plan.size())) return;
  ++struck_;
  const Strike* planned = options_.plan.empty() ? nullptr : &options_.plan[struck_ - 1];
  std::uint64_t gap = 0;
  if (!options_.skipped.contains(struck_)) {
    if (planned != nullptr) {
      random_ = SeededRandom(planned->dice);
      storm_left_ = planned->storm_left;
      storm_gap_max_ns_ = planned->storm_gap_max_ns;
    }
    Begin();
    gap = DrawGap();
  }
  if (planned != nullptr && struck_ < options_.plan.size()) gap = options_.plan[struck_].at_ns - planned->at_ns;
  After(gap, [this] { Next(); });
}

void Nemesis::Begin() {
  Strike strike{.number = struck_,
                .at_ns = cluster_.scheduler().now(),
                .kind = {},
                .dice = random_.state(),
                .storm_left = storm_left_,
                .storm_gap_max_ns = storm_gap_max_ns_};
  std::uint64_t sum = 0;
  for (const Fault& fault : faults_) sum += fault.weight;
  std::uint64_t draw = random_.Below(sum);
  for (const Fault& fault : faults_) {
    if (draw < fault.weight) {
      strike.kind = fault.kind;
      if (options_.on_strike) options_.on_strike(strike);
      refused_ = false;
      (this->*fault.strike)();
      if (!refused_) ++counts_[fault.kind];
      if (Recorder* recorder = refused_ ? nullptr : cluster_.scheduler().recorder()) {
        recorder->OnFault(cluster_.scheduler().now(), fault.kind);
      }
      break;
    }
    draw -= fault.weight;
  }
}

std::uint64_t Nemesis::DrawDuration(std::uint64_t min_ns, std::uint64_t max_ns) {
  const std::uint64_t most = storm_left_ > 0 ? std::min(max_ns, kStormFaultMaxNs) : max_ns;
  return random_.Between(std::min(min_ns, most / 4), most);
}

std::uint64_t Nemesis::DrawGap() {
  if (storm_left_ > 0) {
    if (--storm_left_ == 0) return random_.Between(kCalmMinNs, kCalmMaxNs);
    return random_.Between(kStormGapMinNs, storm_gap_max_ns_);
  }
  if (random_.Chance(options_.storm_permille)) {
    storm_left_ = random_.Between(5, 30);
    storm_gap_max_ns_ = random_.Between(50 * kMillisecond, 400 * kMillisecond);
  }
  return random_.Between(options_.gap_max_ns / 20, options_.gap_max_ns);
}

std::vector<Member*> Nemesis::Present() {
  std::vector<Member*> present;
  for (const auto& member : cluster_.members()) {
    if (member->standing() != Standing::kGone) present.push_back(member.get());
  }
  return present;
}

Member& Nemesis::Anybody() {
  return *random_.Pick(Present());
}

Member* Nemesis::Victim() {
  Member* leader = cluster_.leader();
  if (leader != nullptr && random_.Chance(500)) return leader;
  std::vector<Member*> running;
  for (Member* member : Present()) {
    if (member->running()) running.push_back(member);
  }
  return running.empty() ? nullptr : random_.Pick(running);
}

env::Survival Nemesis::DrawSurvival() {
  return random_.Pick(std::vector<env::Survival>{env::Survival::kNothing, env::Survival::kPrefix,
                                                 env::Survival::kTornSectors, env::Survival::kEverything});
}

void Nemesis::OnCrash(ReplicaId id) {
  const std::uint64_t most =
      random_.Pick(std::vector{10 * kMillisecond, 50 * kMillisecond, 300 * kMillisecond, 5 * kSecond});
  const std::uint64_t down = DrawDuration(most / 20, most);
  After(down, [this, id] { cluster_.Restart(cluster_.member(id)); });
}

void Nemesis::CrashOne() {
  Member* victim = Victim();
  if (victim == nullptr) return;
  const env::Survival survival = DrawSurvival();
  const Exit how = survival == env::Survival::kEverything ? Exit::kProcess : Exit::kHost;
  cluster_.Crash(*victim, random_.Chance(500) ? Exit::kProcess : how, survival);
}

// All at once, or a part of them; at the same moment or one soon after the other.
void Nemesis::CrashMany() {
  const std::uint64_t spread = random_.Chance(500) ? 0 : random_.Below(kSecond);
  const bool all = random_.Chance(700);
  for (Member* member : Present()) {
    if (!all && random_.Chance(400)) continue;
    After(random_.Below(spread + 1), [this, m = member] {
      if (!stopped_) cluster_.Crash(*m, Exit::kProcess, DrawSurvival());
    });
  }
}

// What members promise each other in an election is what a crash must not take back. The leader goes; while the others
// vote some crash or stall, and who is elected may go at once.
void Nemesis::TroubleElection() {
  if (Member* leader = cluster_.leader()) cluster_.Crash(*leader, Exit::kProcess, DrawSurvival());
  const std::uint64_t until = cluster_.scheduler().now() + kElectionWaitNs;
  for (std::uint64_t i = random_.Between(1, 6); i > 0; --i) {
    After(random_.Below(500 * kMillisecond), [this, until] { TroubleWhenVacant(until); });
  }
  for (std::uint64_t i = random_.Below(3); i > 0; --i) {
    After(random_.Below(500 * kMillisecond), [this, until] { CrashWhenElected(until); });
  }
}

void Nemesis::TroubleWhenVacant(std::uint64_t until_ns) {
  if (stopped_ || cluster_.scheduler().now() > until_ns) return;
  if (cluster_.leader() != nullptr) {
    After(random_.Below(kElectionPollNs), [this, until_ns] { TroubleWhenVacant(until_ns); });
    return;
  }
  Member& member = Anybody();
  switch (random_.Below(3)) {
    case 0:
      cluster_.Crash(member, Exit::kProcess, DrawSurvival());
      break;
    case 1:
      member.LosePowerAfter(random_.Between(1, 3));
      break;
    default:
      if (member.running()) member.Pause(cluster_.scheduler().now() + random_.Below(400 * kMillisecond));
      break;
  }
}

void Nemesis::CrashWhenElected(std::uint64_t until_ns) {
  if (stopped_ || cluster_.scheduler().now() > until_ns) return;
  Member* leader = cluster_.leader();
  if (leader == nullptr) {
    After(random_.Below(kElectionPollNs), [this, until_ns] { CrashWhenElected(until_ns); });
    return;
  }
  cluster_.Crash(*leader, Exit::kProcess, DrawSurvival());
  if (random_.Chance(500)) cluster_.Crash(Anybody(), Exit::kProcess, DrawSurvival());
}

void Nemesis::LosePowerSoon() {
  if (Member* victim = Victim()) victim->LosePowerAfter(random_.Between(1, 12));
}

void Nemesis::CutFor(const std::vector<std::pair<ReplicaId, ReplicaId>>& directions, std::uint64_t duration_ns) {
  for (const auto& [from, to] : directions) cluster_.network().Cut(from, to);
  After(duration_ns, [this, directions] {
    for (const auto& [from, to] : directions) cluster_.network().Heal(from, to);
  });
}

void Nemesis::Partition() {
  std::vector<ReplicaId> here, there;
  const Member* victim = random_.Chance(500) ? Victim() : nullptr;
  for (Member* member : Present()) {
    const bool apart = victim != nullptr ? member == victim : random_.Chance(500);
    (apart ? here : there).push_back(member->id());
  }
  std::vector<std::pair<ReplicaId, ReplicaId>> directions;
  for (const ReplicaId a : here) {
    for (const ReplicaId b : there) {
      directions.emplace_back(a, b);
      directions.emplace_back(b, a);
    }
  }
  CutFor(directions, DrawDuration(200 * kMillisecond, 6 * kSecond));
}

void Nemesis::CutOneWay() {
  const Member* victim = Victim();
  if (victim == nullptr) return;
  std::vector<std::pair<ReplicaId, ReplicaId>> directions;
  const bool outgoing = random_.Chance(500);
  const bool every = random_.Chance(500);
  for (Member* member : Present()) {
    if (member == victim || (!every && random_.Chance(500))) continue;
    directions.emplace_back(outgoing ? victim->id() : member->id(), outgoing ? member->id() : victim->id());
  }
  CutFor(directions, DrawDuration(200 * kMillisecond, 6 * kSecond));
}

// Two halves that hear nothing of each other, and one member that both hear: only its word keeps them apart.
void Nemesis::Bridge() {
  const ReplicaId middle = Anybody().id();
  std::vector<ReplicaId> here, there;
  for (Member* member : Present()) {
    if (member->id() != middle) (here.size() <= there.size() ? here : there).push_back(member->id());
  }
  std::vector<std::pair<ReplicaId, ReplicaId>> directions;
  for (const ReplicaId a : here) {
    for (const ReplicaId b : there) {
      directions.emplace_back(a, b);
      directions.emplace_back(b, a);
    }
  }
  CutFor(directions, random_.Between(kSecond, 12 * kSecond));
}

// Some seconds in which who hears whom changes all the time.
void Nemesis::Flap() {
  const std::uint64_t turns = random_.Between(5, 30);
  const std::uint64_t turn_max_ns = random_.Between(20 * kMillisecond, 400 * kMillisecond);
  for (std::uint64_t i = 0; i < turns; ++i) {
    After(i * turn_max_ns, [this, turn_max_ns] {
      if (stopped_) return;
      std::vector<std::pair<ReplicaId, ReplicaId>> directions;
      for (const Member* from : Present()) {
        for (const Member* to : Present()) {
          if (from != to && random_.Chance(250)) directions.emplace_back(from->id(), to->id());
        }
      }
      CutFor(directions, random_.Between(1, turn_max_ns));
    });
  }
}

void Nemesis::ResetLinks() {
  const Member* victim = Victim();
  if (victim == nullptr) return;
  const std::uint64_t times = random_.Between(1, 5);
  for (std::uint64_t i = 0; i < times; ++i) {
    After(i * random_.Below(200 * kMillisecond), [this, id = victim->id()] {
      for (Member* member : Present()) {
        if (member->id() != id && random_.Chance(700)) cluster_.network().ResetLink(id, member->id());
      }
    });
  }
}

void Nemesis::SlowDisk() {
  Member* victim = Victim();
  if (victim == nullptr) return;
  victim->set_slow_disk(random_.Between(10 * kMillisecond, 500 * kMillisecond));
  After(DrawDuration(500 * kMillisecond, 5 * kSecond), [victim] { victim->set_slow_disk(0); });
}

void Nemesis::SlowNetwork() {
  cluster_.network().set_extra_delay(random_.Between(5 * kMillisecond, 300 * kMillisecond));
  After(DrawDuration(500 * kMillisecond, 4 * kSecond), [this] { cluster_.network().set_extra_delay(0); });
}

// Much arrives at once when it goes on. A member that is given a snapshot just then, and crashes right after, has begun
// to write more than one thing.
void Nemesis::PauseOne() {
  Member* victim = Victim();
  for (Member* member : Present()) {
    if (member->running() && member->HasSnapshots() && random_.Chance(500)) victim = member;
  }
  if (victim == nullptr) return;
  const std::uint64_t duration =
      random_.Chance(500) ? DrawDuration(10 * kMillisecond, kSecond) : DrawDuration(kSecond, 4 * kSecond);
  victim->Pause(cluster_.scheduler().now() + duration);
  if (!random_.Chance(300)) return;
  const std::uint64_t soon = random_.Below(random_.Chance(500) ? 5 * kMillisecond : 100 * kMillisecond);
  After(duration + soon, [this, victim] {
    if (!stopped_) cluster_.Crash(*victim, Exit::kProcess, DrawSurvival());
  });
}

// As an operator or a broken time server sets it. The monotonic clock is not the one that jumps.
void Nemesis::JumpClock() {
  const std::uint64_t most = random_.Pick(std::vector{kSecond, 3'600 * kSecond, 40 * 86'400 * kSecond});
  const auto by = static_cast<std::int64_t>(random_.Between(1, most));
  Anybody().JumpWallClock(random_.Chance(500) ? by : -by);
}

void Nemesis::Transfer() {
  Member* leader = cluster_.leader();
  if (leader == nullptr) return;
  const ReplicaId to = Anybody().id();
  cluster_.scheduler().After(0, leader->process(),
                             [leader, to] { leader->group().TransferLeadership(to, 0, [](replica::Fate) {}); });
}

// ---- Storage

void Nemesis::SlowFlush() {
  Member* victim = Victim();
  if (victim == nullptr) return;
  victim->set_slow_flush(random_.Between(20 * kMillisecond, 2 * kSecond));
  After(DrawDuration(kSecond, 8 * kSecond), [victim] { victim->set_slow_flush(0); });
}

void Nemesis::FailFlush() {
  Member* victim = Victim();
  if (victim == nullptr) return;
  victim->set_failing_flush(random_.Between(100, 1000));
  After(DrawDuration(kSecond, 6 * kSecond), [victim] { victim->set_failing_flush(0); });
}

void Nemesis::FillDisk() {
  Member* victim = Victim();
  if (victim == nullptr) return;
  victim->LimitDisk(random_.Chance(300) ? 0 : random_.Below(64 << 10));
  After(DrawDuration(kSecond, 6 * kSecond), [victim] { victim->UnlimitDisk(); });
}

bool Nemesis::Whole() {
  const std::vector<Member*> members = cluster_.WithStanding(Standing::kMember);
  return !churn_.busy() && members.size() >= 3 && std::all_of(members.begin(), members.end(), [](Member* member) {
    return member->running() && !member->damaged();
  });
}

void Nemesis::WhenWhole(std::uint64_t until_ns, std::function<void(Member&)> damage) {
  if (stopped_ || cluster_.scheduler().now() > until_ns) return;
  if (Whole()) return damage(*random_.Pick(cluster_.WithStanding(Standing::kMember)));
  After(random_.Below(kWholePollMaxNs), [this, until_ns, damage = std::move(damage)] { WhenWhole(until_ns, damage); });
}

void Nemesis::DamageKeyspace() {
  WhenWhole(cluster_.scheduler().now() + kWholeWaitNs, [this](Member& victim) {
    cluster_.Crash(victim, Exit::kProcess, DrawSurvival());
    victim.DamageKeyspace();
  });
}

// After a clean end nothing of the log may be taken for torn: it opens whole, or is refused.
void Nemesis::DamageLog() {
  WhenWhole(cluster_.scheduler().now() + kWholeWaitNs, [this](Member& victim) {
    victim.CloseLog();
    cluster_.Crash(victim, Exit::kProcess, env::Survival::kEverything);
    victim.DamageLog();
  });
}

// Whoever has received a snapshot and not yet made it its own.
void Nemesis::DamageSnapshot() {
  for (Member* member : Present()) {
    if (member->damaged()) return Count(false);
  }
  for (Member* member : Present()) {
    if (!member->HasSnapshots()) continue;
    cluster_.Crash(*member, Exit::kProcess, DrawSurvival());
    return Count(member->DamageSnapshots());
  }
  Count(false);
}

}  // namespace quorate::sim
