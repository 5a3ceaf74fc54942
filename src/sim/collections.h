// Collections: clients that append to lists, with compare and swap on the list's revision, and add to a set, a key an
// element, at any member; and readers of both. Only under scenarios that ask for them.
//
// What they were told is judged at the end without knowing the model: whoever reads must see every element whose
// writing was acknowledged before, in one order of the list for all, and never less than a reader before. Reported as
// `collections`. Used by sim/run. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "coord/command.h"
#include "sim/checkers.h"
#include "sim/cluster.h"
#include "sim/random.h"
#include "sim/scenario.h"

namespace quorate::sim {

// One element's writing.
struct Adding {
  std::string element;
  std::uint64_t invoked_ns = 0;
  std::uint64_t returned_ns = kNever;  // kNever: nobody knows whether it happened
  bool refused = false;                // certainly did not
};
struct Looking {
  std::uint64_t invoked_ns = 0;
  std::uint64_t returned_ns = 0;
  std::vector<std::string> elements;  // of a set: sorted
};
struct CollectionHistory {
  std::vector<Adding> addings;
  std::vector<Looking> lookings;
};
// `ordered`: a list, otherwise a set.
Verdict CheckCollection(const std::string& name, const CollectionHistory& history, bool ordered);

class Collections {
 public:
  Collections(std::uint64_t seed, const Scenario& scenario, Cluster& cluster);
  void Start();
  void Stop() { stopped_ = true; }
  // Of a healed cluster: each member's view of each collection.
  void ReadAll();
  void Judge();

 private:
  struct List {
    std::string value;  // as somebody saw it last: elements and commas
    Revision mod_revision = 0;
  };

  void Begin(const std::string& kind, void (Collections::*turn)());
  void Every(std::uint64_t gap_max_ns, void (Collections::*turn)());
  void TurnList();
  void TurnSet();
  void Append(Member& at, const std::string& list);
  void AddToSet(Member& at);
  void Read(Member& at, const std::string& name);
  void Send(Member& at, const std::string& name, std::size_t adding, coord::CommandBody body);
  void Answer(const std::string& name, std::size_t adding, const replica::ProposeResult& result);
  void NoteList(const std::string& name, const coord::RangeResponse& found);
  Member* Anybody();

  const std::map<std::string, std::uint64_t> turns_;  // in 1,000 s, of the scenario
  Cluster& cluster_;
  SeededRandom random_;
  bool stopped_ = false;
  std::uint64_t last_element_ = 0;
  std::map<std::string, List> lists_;
  std::map<std::string, CollectionHistory> histories_;  // by name: a list's key, or the set's prefix
};

}  // namespace quorate::sim
