#include "sim/network.h"

#include <algorithm>
#include <sstream>

#include "base/check.h"
#include "sim/trace/recorder.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kDialFirstMaxNs = 20 * kMillisecond;  // a closed link starts one reconnect soon
constexpr std::uint64_t kDialAgainMinNs = 50 * kMillisecond;
constexpr std::uint64_t kDialAgainMaxNs = 300 * kMillisecond;
constexpr std::uint64_t kCutNoticeMinNs = 500 * kMillisecond;  // when a stalled link counts as lost
constexpr std::uint64_t kCutNoticeMaxNs = 4 * kSecond;
constexpr std::uint64_t kResetNoticeMaxNs = 10 * kMillisecond;

}  // namespace

class Network::Port final : public env::Transport {
 public:
  Port(Network& network, ReplicaId self) : network_(network), self_(self) {}
  void Start(env::TransportListener* listener) override {
    network_.hosts_.at(self_).listener = listener;
    for (const auto& [peer, host] : network_.hosts_) {
      if (peer != self_) network_.Dial(self_, peer, network_.random_.Below(kDialFirstMaxNs));
    }
  }
  void Send(ReplicaId peer, Bytes frame) override { network_.Send(self_, peer, std::move(frame)); }

 private:
  Network& network_;
  ReplicaId self_;
};

Network::Network(Scheduler& scheduler, SeededRandom random, NetworkOptions options, std::vector<ReplicaId> members,
                 TraceHash& trace)
    : scheduler_(scheduler), random_(random), options_(options), trace_(trace) {
  for (const ReplicaId member : members) hosts_[member] = {};
  for (const ReplicaId a : members) {
    for (const ReplicaId b : members) {
      if (a < b) DrawDistance(a, b);
    }
  }
}

void Network::DrawDistance(ReplicaId a, ReplicaId b) {
  if (random_.Chance(options_.far_permille)) PairOf(a, b).distance_ns = random_.Below(options_.far_max_ns);
}

void Network::AddHost(ReplicaId member) {
  for (const auto& [peer, host] : hosts_) DrawDistance(peer, member);
  CHECK(hosts_.try_emplace(member).second) << "host " << member.value << " is there already";
}

Network::~Network() = default;

std::unique_ptr<env::Transport> Network::Attach(ReplicaId member, Incarnation incarnation, ProcessId process) {
  Host& host = hosts_.at(member);
  CHECK(host.port == nullptr) << "member " << member.value << " already runs";
  auto port = std::make_unique<Port>(*this, member);
  host = Host{port.get(), process, incarnation, nullptr, false, false};
  return port;
}

void Network::Detach(ReplicaId member, Exit how) {
  hosts_.at(member) = Host{nullptr, {}, {}, nullptr, how == Exit::kProcess, hosts_.at(member).gone};
  for (const auto& [peer, host] : hosts_) {
    if (peer == member) continue;
    Inbox& dead = inboxes_[{peer, member}];
    dead.announced = {};
    dead.frames.clear();
    dead.delivering = false;  // its tasks died with the process
    Pair& pair = PairOf(member, peer);
    if (!pair.current) continue;
    // What the dead process had sent before may still arrive until the peer notices.
    const LinkId link = pair.current;
    pair.current = {};
    const std::uint64_t notice =
        how == Exit::kProcess ? random_.Below(kResetNoticeMaxNs) : random_.Between(kCutNoticeMinNs, kCutNoticeMaxNs);
    NoticeDown(peer, member, link, notice);
    Dial(member, peer, notice + random_.Below(kDialFirstMaxNs));
  }
}

void Network::Cut(ReplicaId from, ReplicaId to) {
  if (!cuts_.insert({from, to}).second) return;
  if (Recorder* recorder = scheduler_.recorder()) recorder->OnCut(scheduler_.now(), from, to, true);
  const std::uint64_t began = scheduler_.now();
  inboxes_[{from, to}].cut_at = began;
  scheduler_.After(random_.Between(kCutNoticeMinNs, kCutNoticeMaxNs), kSimulator, [this, from, to, began] {
    if (cut(from, to) && inboxes_[{from, to}].cut_at == began) Break(from, to, kCutNoticeMinNs);
  });
}

void Network::Heal(ReplicaId from, ReplicaId to) {
  if (cuts_.erase({from, to}) == 0) return;
  if (Recorder* recorder = scheduler_.recorder()) recorder->OnCut(scheduler_.now(), from, to, false);
  ScheduleDelivery({from, to});
}

void Network::HealAll() {
  const std::set<Direction> cuts = cuts_;
  for (const auto& [from, to] : cuts) Heal(from, to);
}

std::string Network::DescribeLinks() const {
  std::ostringstream out;
  for (const auto& [direction, inbox] : inboxes_) {
    if (!inbox.announced) continue;
    out << " " << direction.first.value << ">" << direction.second.value << ":" << inbox.announced.value;
    if (!inbox.frames.empty()) out << "(" << inbox.frames.size() << " under way)";
  }
  return out.str();
}

void Network::CalmDown() {
  HealAll();
  extra_delay_max_ns_ = 0;
  NetworkOptions calm;
  calm.slow_permille = calm.reset_per_million = 0;
  calm.unordered = options_.unordered;
  options_ = calm;
  for (auto& [ends, pair] : pairs_) pair.distance_ns = 0;
}

void Network::ResetLink(ReplicaId a, ReplicaId b) {
  Break(a, b, kResetNoticeMaxNs);
}

std::uint64_t Network::FrameDelay(const Pair& pair) {
  std::uint64_t delay = pair.distance_ns + random_.Between(options_.delay_min_ns, options_.delay_max_ns);
  if (random_.Chance(options_.slow_permille)) delay += random_.Below(options_.slow_max_ns);
  if (extra_delay_max_ns_ != 0) delay += random_.Below(extra_delay_max_ns_);
  return delay;
}

void Network::Send(ReplicaId from, ReplicaId to, Bytes frame) {
  Pair& pair = PairOf(from, to);
  const LinkId link = inboxes_[{to, from}].announced;  // the link the sender believes in
  if (!link || link != pair.current) return;
  if (tap_) tap_(from, to, frame);
  Recorder* const recorder = scheduler_.recorder();
  const std::uint64_t recorded = recorder == nullptr ? 0 : recorder->OnSent(scheduler_.now(), from, to, frame);
  if (random_.Below(1'000'000) < options_.reset_per_million) {
    Break(from, to, kResetNoticeMaxNs);
    return;
  }
  const Direction direction{from, to};
  if (options_.unordered) return SendUnordered(direction, Frame{link, 0, std::move(frame), recorded});
  Inbox& inbox = inboxes_[direction];
  inbox.last_due = std::max(inbox.last_due, scheduler_.now() + FrameDelay(pair));
  inbox.frames.push_back(Frame{link, inbox.last_due, std::move(frame), recorded});
  ScheduleDelivery(direction);
}

void Network::SendUnordered(Direction direction, Frame frame) {
  if (random_.Chance(options_.lost_permille)) return;
  const int copies = random_.Chance(options_.doubled_permille) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    frame.due = scheduler_.now() + FrameDelay(PairOf(direction.first, direction.second));
    if (random_.Chance(options_.stray_permille)) frame.due += random_.Below(options_.stray_max_ns);
    scheduler_.At(frame.due, hosts_.at(direction.second).process, [this, direction, frame] {
      if (!cuts_.contains(direction)) Hand(direction, frame);
    });
  }
}

void Network::ScheduleDelivery(Direction direction) {
  Inbox& inbox = inboxes_[direction];
  const Host& host = hosts_.at(direction.second);
  if (inbox.delivering || inbox.frames.empty() || host.port == nullptr) return;
  inbox.delivering = true;
  scheduler_.At(inbox.frames.front().due, host.process, [this, direction] { Deliver(direction); });
}

void Network::Deliver(Direction direction) {
  Inbox& inbox = inboxes_[direction];
  inbox.delivering = false;
  if (cuts_.contains(direction)) return;  // Heal posts it again
  if (inbox.frames.empty()) return;
  // The delivery may have been posted for a frame that went with its link.
  if (inbox.frames.front().due > scheduler_.now()) return ScheduleDelivery(direction);
  const Frame frame = std::move(inbox.frames.front());
  inbox.frames.pop_front();
  ScheduleDelivery(direction);
  Hand(direction, frame);
}

void Network::Hand(Direction direction, const Frame& frame) {
  env::TransportListener* listener = hosts_.at(direction.second).listener;
  if (listener == nullptr || frame.link != inboxes_[direction].announced) return;
  ++frames_delivered_;
  if (Recorder* recorder = scheduler_.recorder()) recorder->OnArrived(scheduler_.now(), frame.recorded);
  trace_.Mix(direction.first.value * 1000 + direction.second.value);
  trace_.MixBytes(frame.bytes.view());
  listener->OnFrame(direction.first, frame.link, frame.bytes);
}

void Network::Break(ReplicaId a, ReplicaId b, std::uint64_t notice_max_ns) {
  Pair& pair = PairOf(a, b);
  if (!pair.current) return;
  const LinkId link = std::exchange(pair.current, LinkId{});
  NoticeDown(a, b, link, random_.Below(notice_max_ns));
  NoticeDown(b, a, link, random_.Below(notice_max_ns));
  Dial(a, b, random_.Below(kDialFirstMaxNs));
}

void Network::NoticeDown(ReplicaId at, ReplicaId peer, LinkId link, std::uint64_t delay_ns) {
  scheduler_.After(delay_ns, hosts_.at(at).process, [this, at, peer, link] { Down(at, peer, link); });
}

void Network::Down(ReplicaId at, ReplicaId peer, LinkId link) {
  Inbox& inbox = inboxes_[{peer, at}];
  if (inbox.announced != link || !link) return;
  inbox.announced = {};
  std::erase_if(inbox.frames, [link](const Frame& frame) { return frame.link == link; });
  env::TransportListener* listener = hosts_.at(at).listener;
  if (listener == nullptr) return;
  if (Recorder* recorder = scheduler_.recorder()) recorder->OnLink(scheduler_.now(), at, peer, false);
  listener->OnLinkDown(peer, link);
}

void Network::Dial(ReplicaId a, ReplicaId b, std::uint64_t delay_ns) {
  Pair& pair = PairOf(a, b);
  if (pair.dialling) return;
  pair.dialling = true;
  scheduler_.After(delay_ns, kSimulator, [this, a, b] {
    PairOf(a, b).dialling = false;
    TryConnect(a, b);
  });
}

void Network::TryConnect(ReplicaId a, ReplicaId b) {
  Pair& pair = PairOf(a, b);
  if (pair.current || hosts_.at(a).gone || hosts_.at(b).gone) return;
  if (!Listening(a) && !Listening(b)) return;  // whoever starts first dials again
  const bool path = !cut(a, b) && !cut(b, a);
  if (path && Listening(a) && Listening(b)) {
    pair.current = LinkId(++last_link_);
    for (const auto& [at, peer] : {Direction{a, b}, Direction{b, a}}) {
      const std::uint64_t up = scheduler_.now() + random_.Between(options_.delay_min_ns, options_.delay_max_ns);
      inboxes_[{peer, at}].last_due = up;
      scheduler_.At(up, hosts_.at(at).process,
                    [this, at = at, peer = peer, link = pair.current] { Announce(at, peer, link); });
    }
    return;
  }
  if (path && hosts_.at(b).refuses) Refuse(a, b);
  if (path && hosts_.at(a).refuses) Refuse(b, a);
  Dial(a, b, random_.Between(kDialAgainMinNs, kDialAgainMaxNs));
}

void Network::Announce(ReplicaId at, ReplicaId peer, LinkId link) {
  if (PairOf(at, peer).current != link) return;  // broken before it was heard of; a newer one may stand already
  Down(at, peer, inboxes_[{peer, at}].announced);
  inboxes_[{peer, at}].announced = link;
  if (Recorder* recorder = scheduler_.recorder()) recorder->OnLink(scheduler_.now(), at, peer, true);
  hosts_.at(at).listener->OnLinkUp(peer, link, hosts_.at(peer).incarnation);
}

void Network::Refuse(ReplicaId at, ReplicaId peer) {
  if (!Listening(at)) return;
  scheduler_.After(random_.Between(options_.delay_min_ns, options_.delay_max_ns), hosts_.at(at).process,
                   [this, at, peer] {
                     if (!PairOf(at, peer).current) hosts_.at(at).listener->OnLinkRefused(peer);
                   });
}

}  // namespace quorate::sim
