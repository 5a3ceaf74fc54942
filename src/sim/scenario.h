// Scenario: a file of TOML that says what a run is made of: the cluster, its network, disks and clocks, what clients
// ask for, and which faults strike how often. What it does not say is drawn from the seed as ever; the built-in
// scenario "drawn" says nothing at all. docs/TESTING.md has the keys.
//
// Those of tests/scenarios are compiled in. Read by sim/draw and sim_command. Plain values, no thread rule.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "consensus/core.h"

namespace quorate::sim {

// A value is drawn from [low, high].
struct Span {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend bool operator==(const Span&, const Span&) = default;
};

struct Scenario {
  std::string name = "drawn";
  std::string about = "everything is drawn from the seed";

  std::optional<Span> chaos_ms;        // how long faults strike
  std::vector<std::uint64_t> members;  // how many there may be at the beginning; empty = drawn
  std::uint64_t phase1_quorum = 0;     // of Paxos, as consensus::Options; 0 = a majority
  std::uint64_t phase2_quorum = 0;
  std::optional<std::uint64_t> alpha;
  std::optional<std::uint64_t> skew_permille;
  std::optional<std::uint64_t> lost_permille;  // frames; where links keep their order the link breaks instead
  std::optional<std::uint64_t> doubled_permille;
  std::optional<std::uint64_t> stray_permille;
  std::optional<std::uint64_t> reset_per_million;
  std::optional<std::uint64_t> far_permille;  // pairs
  std::optional<std::uint64_t> delay_max_us;
  std::optional<std::uint64_t> sync_max_us;
  std::optional<std::uint64_t> flush_max_us;
  std::optional<Span> clients;
  std::optional<Span> keys;
  std::optional<Span> sessions;  // clients that pipeline the commands of a session
  std::optional<std::uint64_t> think_max_ms;
  std::map<std::string, std::uint64_t> operations;  // weights of get, put, swap, delete; empty = drawn
  std::map<std::string, std::uint64_t> workloads;   // what else clients do, in turns of each kind per 1,000 s
  std::map<std::string, std::uint64_t> faults;      // weights by kind; empty = drawn
  std::optional<Span> gap_ms;                       // the longest time from one fault to the next
  std::optional<std::uint64_t> storm_permille;

  bool needs_flexible_quorums() const { return phase1_quorum != 0 || phase2_quorum != 0; }
};

// `file` names the text in errors, which say file, line and reason.
Result<Scenario> ParseScenario(std::string_view text, const std::string& file);
// The text of a file, or one that is compiled in by its name; "drawn" and "" too.
Result<Scenario> LoadScenario(const std::string& file_or_name);
// "drawn", then those compiled in by name.
std::vector<Scenario> BuiltInScenarios();
bool AppliesTo(const Scenario& scenario, const consensus::Traits& traits);

const std::vector<std::string>& WorkloadKinds();  // of Scenario::workloads

// A file of tests/scenarios.
struct ScenarioText {
  std::string_view file;
  std::string_view text;
};
const std::vector<ScenarioText>& ScenarioTexts();  // made by src/sim/CMakeLists.txt

}  // namespace quorate::sim
