// Network: the links between simulated members over virtual time. Gives each process an env::Transport.
//
// Delay, link resets (a link delivers a prefix of what was sent and then goes down), one-way cuts and partitions
// (frames stall in silence; after some seconds the link is lost, and none comes up until the cut is healed), refused
// connections where a process is gone but its host is not. With NetworkOptions::unordered single frames are besides
// lost, doubled and overtaken within a link: more than env::Transport allows, for protocols whose Traits say that they
// can take it. Used by sim/cluster and sim/nemesis. Thread rule: one thread.
//
// Invariants:
//  1. Between two members there is at most one current link; its LinkUp comes before its frames, its LinkDown after
//     them, and the LinkDown of one link before the LinkUp of the next.
//  2. Without `unordered` a frame arrives at most once and in the order of sending, per link.
//  3. The listener is never called from inside Send.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "env/transport.h"
#include "sim/random.h"
#include "sim/scheduler.h"
#include "sim/trace_hash.h"

namespace quorate::sim {

struct NetworkOptions {
  std::uint64_t delay_min_ns = 50 * kMicrosecond;
  std::uint64_t delay_max_ns = 2 * kMillisecond;
  std::uint64_t far_permille = 0;  // of pairs that are far from each other: up to far_max_ns more, always
  std::uint64_t far_max_ns = 0;
  std::uint64_t slow_permille = 5;  // of frames that take up to slow_max_ns
  std::uint64_t slow_max_ns = 60 * kMillisecond;
  std::uint64_t reset_per_million = 20;  // of frames that break their link
  bool unordered = false;
  std::uint64_t lost_permille = 0;  // the rest with `unordered` only
  std::uint64_t doubled_permille = 0;
  std::uint64_t stray_permille = 0;  // of frames that arrive when all is long over, up to stray_max_ns later
  std::uint64_t stray_max_ns = 3 * kSecond;
};

enum class Exit : std::uint8_t {
  kProcess,  // kill -9: the host closes the links at once and refuses new ones
  kHost,     // power loss: silence
};

class Network {
 public:
  Network(Scheduler& scheduler, SeededRandom random, NetworkOptions options, std::vector<ReplicaId> members,
          TraceHash& trace);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // A process of `member` begins. The transport lives until Detach, and must not be used after it.
  std::unique_ptr<env::Transport> Attach(ReplicaId member, Incarnation incarnation, ProcessId process);
  void Detach(ReplicaId member, Exit how);
  // A host that was not there at the beginning, and one that never comes back: nobody dials it any more.
  void AddHost(ReplicaId member);
  void Forget(ReplicaId member) { hosts_.at(member).gone = true; }

  void Cut(ReplicaId from, ReplicaId to);
  void Heal(ReplicaId from, ReplicaId to);
  void HealAll();
  bool cut(ReplicaId from, ReplicaId to) const { return cuts_.contains({from, to}); }
  void ResetLink(ReplicaId a, ReplicaId b);
  // Added to every frame's delay from now on.
  void set_extra_delay(std::uint64_t max_ns) { extra_delay_max_ns_ = max_ns; }
  // Sees every frame that a member hands to a link, before anything happens to it.
  void set_tap(std::function<void(ReplicaId from, ReplicaId to, const Bytes& frame)> tap) { tap_ = std::move(tap); }
  // From now on it is a good network: near, quick, and nothing is lost by itself.
  void CalmDown();

  // "1>2:7" for each direction whose receiver believes in a link, with the link's number; for reports.
  std::string DescribeLinks() const;
  std::uint64_t frames_delivered() const { return frames_delivered_; }
  std::uint64_t links_made() const { return last_link_; }

 private:
  class Port;
  struct Host {
    Port* port = nullptr;  // null: no process
    ProcessId process;
    Incarnation incarnation;
    env::TransportListener* listener = nullptr;  // null until Transport::Start
    bool refuses = false;                        // without a process: whether the host says so
    bool gone = false;
  };
  struct Frame {
    LinkId link;
    std::uint64_t due = 0;
    Bytes bytes;
    std::uint64_t recorded = 0;  // its number at the recorder; 0: nobody records
  };
  // What flows towards one member from one peer, and which link that member believes in.
  struct Inbox {
    LinkId announced;  // 0 = none
    std::uint64_t last_due = 0;
    std::deque<Frame> frames;
    bool delivering = false;   // a delivery task is posted
    std::uint64_t cut_at = 0;  // when the current cut of this direction began
  };
  struct Pair {
    LinkId current;                 // 0 = none
    std::uint64_t distance_ns = 0;  // added to every delay
    bool dialling = false;
  };
  using Direction = std::pair<ReplicaId, ReplicaId>;  // from, to

  void Send(ReplicaId from, ReplicaId to, Bytes frame);
  std::uint64_t FrameDelay(const Pair& pair);
  void SendUnordered(Direction direction, Frame frame);
  void ScheduleDelivery(Direction direction);
  void Deliver(Direction direction);
  void Hand(Direction direction, const Frame& frame);
  void Break(ReplicaId a, ReplicaId b, std::uint64_t notice_max_ns);
  void NoticeDown(ReplicaId at, ReplicaId peer, LinkId link, std::uint64_t delay_ns);
  void Down(ReplicaId at, ReplicaId peer, LinkId link);
  void Dial(ReplicaId a, ReplicaId b, std::uint64_t delay_ns);
  void TryConnect(ReplicaId a, ReplicaId b);
  void Announce(ReplicaId at, ReplicaId peer, LinkId link);
  void Refuse(ReplicaId at, ReplicaId peer);
  Pair& PairOf(ReplicaId a, ReplicaId b) { return pairs_[a < b ? Direction{a, b} : Direction{b, a}]; }
  void DrawDistance(ReplicaId a, ReplicaId b);
  bool Listening(ReplicaId member) const { return hosts_.at(member).listener != nullptr; }

  Scheduler& scheduler_;
  SeededRandom random_;
  NetworkOptions options_;
  TraceHash& trace_;
  std::uint64_t extra_delay_max_ns_ = 0;
  std::uint64_t last_link_ = 0;
  std::uint64_t frames_delivered_ = 0;
  std::map<ReplicaId, Host> hosts_;
  std::map<Direction, Pair> pairs_;     // keyed by (smaller, larger)
  std::map<Direction, Inbox> inboxes_;  // keyed by (from, to)
  std::set<Direction> cuts_;
  std::function<void(ReplicaId, ReplicaId, const Bytes&)> tap_;
};

}  // namespace quorate::sim
