#include "faulty_transport.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "base/codec.h"

namespace quorate::crash_lab {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kDelayedPerMillion = 20'000;
constexpr std::uint64_t kDelayMaxNs = 5 * kMs;
constexpr std::uint64_t kLostPerMillion = 1'000;
constexpr std::uint64_t kDoubledPerMillion = 3'000;
constexpr std::uint64_t kResetPerMillion = 250;
constexpr std::uint64_t kResetAfterUpPerMillion = 300'000;
constexpr std::uint64_t kResetAfterDownPerMillion = 200'000;
constexpr std::uint64_t kResetSoonNs = 200 * kMs;

enum Kind : std::uint8_t { kData = 1, kReset = 2, kAnswer = 3 };

Bytes WithKind(const Bytes& frame) {
  std::string out(1, static_cast<char>(kData));
  out.append(frame.view());
  return Bytes(std::move(out));
}

Bytes Control(Kind kind, std::uint64_t number) {
  Writer w;
  w.Put8(kind);
  w.Put64(number);
  return Bytes(std::move(w).Take());
}

}  // namespace

NetworkFaults* MapNetworkFaults(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && ::ftruncate(fd, sizeof(NetworkFaults)) == 0) << path << ": errno " << errno;
  void* const at = ::mmap(nullptr, sizeof(NetworkFaults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(at != MAP_FAILED) << path << ": errno " << errno;
  ::close(fd);
  return static_cast<NetworkFaults*>(at);
}

FaultyTransport::FaultyTransport(env::Transport& real, env::Executor& executor, bool unordered, std::uint64_t seed,
                                 NetworkFaults* faults)
    : real_(real),
      executor_(executor),
      unordered_(unordered),
      faults_(*faults),
      dice_(seed),
      alive_(std::make_shared<const bool>(true)) {}

FaultyTransport::~FaultyTransport() = default;

template <class Task>
void FaultyTransport::After(std::uint64_t delay_ns, Task task) {
  executor_.After(delay_ns, [task = std::move(task), alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) task();
  });
}

void FaultyTransport::Start(env::TransportListener* listener) {
  listener_ = listener;
  real_.Start(this);
}

std::uint64_t FaultyTransport::DelayNs() {
  if (!Chance(kDelayedPerMillion)) return 0;
  ++faults_.delayed;
  return 1 + dice_() % kDelayMaxNs;
}

void FaultyTransport::Send(ReplicaId to, Bytes frame) {
  Peer& peer = peers_[to];
  if (!peer.link) return;
  ++faults_.frames;
  if (Chance(kResetPerMillion)) ResetLater(to, 0);
  if (unordered_) return SendUnordered(to, peer.link, WithKind(frame));
  const std::uint64_t delay = DelayNs();
  peer.queue.push_back({WithKind(frame), delay});
  if (peer.queue.size() == 1) RunQueue(to);
}

void FaultyTransport::SendUnordered(ReplicaId to, LinkId link, const Bytes& frame) {
  if (Chance(kLostPerMillion)) {
    ++faults_.lost;
    return;
  }
  const bool doubled = Chance(kDoubledPerMillion);
  if (doubled) ++faults_.doubled;
  for (int copy = 0; copy < (doubled ? 2 : 1); ++copy) {
    const std::uint64_t delay = DelayNs();
    if (delay == 0) {
      real_.Send(to, frame);
      continue;
    }
    After(delay, [this, to, link, frame] {
      if (peers_[to].link == link) {
        real_.Send(to, frame);
      } else {
        ++faults_.frames_cut_off;
      }
    });
  }
}

// Sends from the front what has no time to wait, and lets the time of the first that has run.
void FaultyTransport::RunQueue(ReplicaId to) {
  Peer& peer = peers_[to];
  while (!peer.queue.empty() && peer.queue.front().delay_ns == 0) {
    real_.Send(to, std::move(peer.queue.front().frame));
    peer.queue.pop_front();
  }
  if (peer.queue.empty()) return;
  After(peer.queue.front().delay_ns, [this, to, link = peer.link] {
    Peer& again = peers_[to];
    if (again.link != link || again.queue.empty()) return;
    again.queue.front().delay_ns = 0;
    RunQueue(to);
  });
}

// ---- Links

void FaultyTransport::Up(ReplicaId id) {
  Peer& peer = peers_[id];
  peer.link = LinkId(++last_link_);
  listener_->OnLinkUp(id, peer.link, peer.incarnation);
}

void FaultyTransport::Down(ReplicaId id) {
  Peer& peer = peers_[id];
  faults_.frames_cut_off += peer.queue.size();
  peer.queue.clear();
  const LinkId link = std::exchange(peer.link, LinkId());
  if (link) listener_->OnLinkDown(id, link);
}

void FaultyTransport::ResetLater(ReplicaId id, std::uint64_t delay_ns) {
  After(delay_ns, [this, id, link = peers_[id].link] {
    if (link && peers_[id].link == link) Reset(id);
  });
}

void FaultyTransport::Reset(ReplicaId id) {
  ++faults_.resets;
  peers_[id].awaiting = ++resets_;
  real_.Send(id, Control(kReset, resets_));
  Down(id);
}

void FaultyTransport::OnLinkUp(ReplicaId id, LinkId, Incarnation incarnation) {
  Peer& peer = peers_[id];
  peer.incarnation = incarnation;
  peer.awaiting = 0;
  Up(id);
  if (Chance(kResetAfterUpPerMillion)) ResetLater(id, dice_() % kResetSoonNs);
}

void FaultyTransport::OnLinkDown(ReplicaId id, LinkId) {
  Peer& peer = peers_[id];
  peer.awaiting = 0;
  Down(id);
  for (const auto& [other, its] : peers_) {
    if (other != id && its.link && Chance(kResetAfterDownPerMillion)) ResetLater(other, dice_() % kResetSoonNs);
  }
}

void FaultyTransport::OnFrame(ReplicaId id, LinkId, Bytes frame) {
  Peer& peer = peers_[id];
  Reader r(frame.view());
  const std::uint8_t kind = r.Get8();
  if (kind == kData) {
    if (peer.link) {
      listener_->OnFrame(id, peer.link, frame.Slice(1));
    } else {
      ++faults_.frames_cut_off;
    }
    return;
  }
  const std::uint64_t number = r.Get64();
  CHECK(r.Done()) << "a frame that no member of the laboratory sends";
  if (kind == kAnswer) {
    if (number != peer.awaiting) return;
    peer.awaiting = 0;
    return Up(id);
  }
  Down(id);
  real_.Send(id, Control(kAnswer, number));
  if (peer.awaiting == 0) Up(id);  // otherwise the other end's answer to ours makes it one
}

}  // namespace quorate::crash_lab
