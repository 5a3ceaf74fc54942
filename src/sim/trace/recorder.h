// Recorder: what happened in one run, for the trace page. Network, Member, Nemesis and Run tell it when the scheduler
// has one (Scheduler::recorder); without one a run does nothing for it but look.
//
// Owned by sim/run while `--trace` asks for a page. Everything is kept in memory and written at the end, or when a
// CHECK is about to end the process. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"
#include "sim/checkers.h"

namespace quorate::sim {

class Recorder {
 public:
  explicit Recorder(consensus::Protocol protocol) : protocol_(protocol) {}

  // ---- What happens. Times are nanoseconds of simulated time.
  // The frame's number, by which it arrives: never 0. One that never does was lost.
  std::uint64_t OnSent(std::uint64_t now, ReplicaId from, ReplicaId to, const Bytes& frame);
  void OnArrived(std::uint64_t now, std::uint64_t frame);
  void OnLink(std::uint64_t now, ReplicaId at, ReplicaId peer, bool up);
  void OnCut(std::uint64_t now, ReplicaId from, ReplicaId to, bool cut);
  void OnStarted(std::uint64_t now, ReplicaId member, Incarnation incarnation);
  void OnEnded(std::uint64_t now, ReplicaId member, std::string_view how);
  void OnPaused(std::uint64_t now, ReplicaId member, std::uint64_t until);
  void OnLeadership(std::uint64_t now, ReplicaId member, const consensus::Leadership& leadership);
  void OnExecuted(std::uint64_t now, ReplicaId member, const consensus::Entry& entry);
  void OnSnapshotLoaded(std::uint64_t now, ReplicaId member, LogIndex last);
  void OnFault(std::uint64_t now, std::string_view kind);
  void OnViolation(std::uint64_t now, const Violation& violation);

  // One self-contained HTML page. `title` says which run it is; `now` is its end.
  std::string Page(const std::string& title, std::uint64_t now) const;

 private:
  using Text = std::uint32_t;  // a string's number
  struct Sent {
    std::uint64_t sent_ns;
    std::uint64_t arrived_ns;  // UINT64_MAX: never
    std::uint8_t from;
    std::uint8_t to;
    Text kind;
    Text label;
    Text detail;
  };
  struct Mark {  // an event of one member, or of all (member 0)
    std::uint64_t at_ns;
    std::uint64_t until_ns;
    std::uint8_t member;
    Text kind;  // "started", "crashed", "paused", "executed", "snapshot", "link", "cut", "fault", "violation"
    Text detail;
  };
  struct Held {
    std::uint64_t at_ns;
    std::uint8_t member;
    consensus::Leadership leadership;
  };

  Text Intern(std::string_view text);
  void Note(std::uint64_t now, ReplicaId member, std::string_view kind, std::string_view detail,
            std::uint64_t until = 0);
  std::string Data(const std::string& title, std::uint64_t now) const;

  const consensus::Protocol protocol_;
  std::vector<std::string> texts_;
  std::unordered_map<std::string, Text> number_of_;
  std::vector<Sent> sent_;
  std::vector<Mark> marks_;
  std::vector<Held> held_;
  std::map<ReplicaId, consensus::Leadership> last_held_;
  std::map<std::pair<ReplicaId, ReplicaId>, std::size_t> open_cuts_;  // -> its mark
};

}  // namespace quorate::sim
