// LabMember: one member's process, as the laboratory's parent sees it. RunLabMember: the process itself: the shipped
// server::RunNode on a CutDisk and a FaultyTransport. Thread rule: the parent's main thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "faulty_transport.h"
#include "power_cut.h"

namespace quorate::crash_lab {

struct Address {
  std::string name;
  std::uint16_t peer = 0;
  std::uint16_t etcd = 0;
};

// What a cut's note says: see PowerCut::Cut.
struct CutNote {
  std::string point;
  std::uint64_t unsynced_writes = 0;
  std::uint64_t names_open = 0;    // changes of names without a sync of their directory
  std::uint64_t names_undone = 0;  // of them
};

class LabMember {
 public:
  LabMember(std::string directory, std::size_t index, std::vector<Address> all)
      : root_(directory + "/" + all[index].name), index_(index), all_(std::move(all)) {}
  ~LabMember();
  LabMember(const LabMember&) = delete;
  LabMember& operator=(const LabMember&) = delete;

  void Start(const CutPlan& plan);
  // Waits until it is dead; false: it lives on.
  bool WaitForEnd(std::uint64_t limit_ms);
  void Kill();  // now, without a power cut
  bool running() const { return pid_ > 0; }
  std::optional<CutNote> note() const;         // of its last death; empty: it did not die by a cut
  NetworkFaults network_faults() const;        // of all its lives
  int exit_status() const { return status_; }  // as waitpid gives it
  const Address& address() const { return all_[index_]; }
  std::string Endpoint() const { return "127.0.0.1:" + std::to_string(address().etcd); }
  std::string LogPath() const { return root_ + ".log"; }

 private:
  const std::string root_;
  const std::size_t index_;
  const std::vector<Address> all_;
  pid_t pid_ = 0;
  int status_ = 0;
};

// What the members run: QUORATE_PROTOCOL.
std::string ProtocolOfMembers();

// argv after "member": root, index, point (or -), nth, seed, lying or honest, then name=peer port=etcd port of all.
int RunLabMember(const std::vector<std::string>& arguments);

}  // namespace quorate::crash_lab
