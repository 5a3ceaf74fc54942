// Laboratory: three members under load, of which one after another loses power at a drawn operation of a drawn kind,
// again and again; then the books. What main() runs.
//
// A turn is of one member: it dies at several points one life after the other (several of them while it catches up or
// installs a snapshot), then lives without a plan until it has what the others have, and all three must have the same
// hash. In every fifth turn all three lose power together. Their network is bad all the while (faulty_transport.h).
// Thread rule: the main thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "lab_member.h"
#include "load.h"

namespace quorate::crash_lab {

struct LaboratoryOptions {
  std::string directory;  // empty and its own
  int kills = 100;
  std::uint64_t seed = 1;
  bool lying = false;  // on disks whose syncs do nothing
};

class Laboratory {
 public:
  explicit Laboratory(LaboratoryOptions options);

  // What went wrong, or empty. Prints the report.
  std::string Run();

 private:
  bool Enough() const;
  std::string FirstStarts();
  std::string Turn(LabMember& victim);
  std::string TurnOfAll();
  std::string Live(LabMember& victim, const std::string& point);
  std::string Ended(LabMember& victim, const std::string& point);
  // The points of a turn that have been used least, those that need a snapshot's installation apart.
  std::vector<std::string> Choose(bool installing);
  int Nth(const std::string& point);
  std::string WaitUntilEqual();
  std::string WaitForBytes(std::uint64_t bytes);
  std::string End();
  NetworkFaults Faults() const;
  void PrintReport(std::uint64_t acknowledged) const;
  std::string Unexpected(const LabMember& member, const std::string& what) const;

  const LaboratoryOptions options_;
  std::mt19937_64 dice_;
  std::vector<std::unique_ptr<LabMember>> members_;
  std::unique_ptr<Load> load_;
  std::map<std::string, int> kills_;
  std::map<std::string, int> missed_;  // lives that ended without having come to their point
  int killed_ = 0;
  int turns_ = 0;
  std::uint64_t unsynced_writes_ = 0;
  std::uint64_t names_open_ = 0;
  std::uint64_t names_undone_ = 0;
};

}  // namespace quorate::crash_lab
