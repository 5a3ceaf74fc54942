// FaultyTransport: env::Transport over the real one, with the faults of a bad network between members of the
// laboratory.
//
// Made in a member's process, between the group and the server's own TcpTransport. Each link of that one carries one
// virtual link after the other: a reset ends the virtual link at both ends, and what was under way on it is lost, as
// with a connection that breaks; both ends then see a new one. So every protocol gets delays and links that deliver a
// prefix. Protocols that need no FIFO links also get single frames lost, doubled and overtaken, as in the simulator.
// Around deaths it is worse: whoever comes back may lose its link again at once, and whoever loses one peer may lose
// the other.
//
// A frame is a kind (1), and for resets and their answers a number (8). Thread rule: the executor's thread. Invariants:
//  1. As env::Transport's: per virtual link, frames arrive at most once and in order unless `unordered`; nothing of it
//     after its LinkDown. The listener is never called from inside Send.
//  2. After a reset nothing is handed up before the other end's answer: what came before it was of the old link.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "env/executor.h"
#include "env/transport.h"

namespace quorate::crash_lab {

// Of all lives of one member. They lie in a shared mapping of a file: what kills the process does not take them along.
struct NetworkFaults {
  std::uint64_t frames = 0;
  std::uint64_t delayed = 0;
  std::uint64_t lost = 0;
  std::uint64_t doubled = 0;
  std::uint64_t resets = 0;
  std::uint64_t frames_cut_off = 0;  // under way when their link was reset
};

// The counters in the file, which is made when it is not there; they stay mapped until the process ends.
NetworkFaults* MapNetworkFaults(const std::string& path);

class FaultyTransport final : public env::Transport, private env::TransportListener {
 public:
  // `real`, `executor` and `faults` outlive it.
  FaultyTransport(env::Transport& real, env::Executor& executor, bool unordered, std::uint64_t seed,
                  NetworkFaults* faults);
  ~FaultyTransport() override;

  void Start(env::TransportListener* listener) override;
  void Send(ReplicaId peer, Bytes frame) override;

 private:
  struct Waiting {
    Bytes frame;
    std::uint64_t delay_ns = 0;  // after the one before it has left
  };
  struct Peer {
    Incarnation incarnation;
    LinkId link;                 // the virtual one; 0 = down
    std::uint64_t awaiting = 0;  // of the reset whose answer has not come; 0 = none
    std::deque<Waiting> queue;   // in order; the first one's time is running
  };

  // ---- TransportListener of the real one
  void OnLinkUp(ReplicaId peer, LinkId link, Incarnation incarnation) override;
  void OnLinkDown(ReplicaId peer, LinkId link) override;
  void OnLinkRefused(ReplicaId peer) override { listener_->OnLinkRefused(peer); }
  void OnFrame(ReplicaId peer, LinkId link, Bytes frame) override;

  void SendUnordered(ReplicaId peer, LinkId link, const Bytes& frame);
  void RunQueue(ReplicaId peer);
  void Up(ReplicaId peer);
  void Down(ReplicaId peer);
  void ResetLater(ReplicaId peer, std::uint64_t delay_ns);
  void Reset(ReplicaId peer);
  std::uint64_t DelayNs();
  bool Chance(std::uint64_t per_million) { return dice_() % 1'000'000 < per_million; }
  template <class Task>
  void After(std::uint64_t delay_ns, Task task);

  env::Transport& real_;
  env::Executor& executor_;
  const bool unordered_;
  NetworkFaults& faults_;
  std::mt19937_64 dice_;
  env::TransportListener* listener_ = nullptr;
  std::map<ReplicaId, Peer> peers_;
  std::uint64_t last_link_ = 0;
  std::uint64_t resets_ = 0;
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::crash_lab
