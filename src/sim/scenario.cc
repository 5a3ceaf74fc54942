#include "sim/scenario.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "sim/nemesis.h"

namespace quorate::sim {
namespace {

using Numbers = std::vector<std::uint64_t>;

// One key that a file may hold: how many numbers, between what, and in what unit they are kept.
struct Field {
  std::string_view path;
  std::size_t count_min = 1;
  std::size_t count_max = 1;
  double low = 0;
  double high = 0;
  double scale = 1;  // file's unit times this = the scenario's
  void (*set)(Scenario&, const Numbers&) = nullptr;
};

constexpr double kPerMillion = 1'000'000;
constexpr double kWeightMax = 1'000;
constexpr double kTurnsMax = 100;  // per second
const std::vector<std::string> kOperations = {"get", "put", "swap", "delete"};
const std::vector<std::string> kSections = {"cluster", "clocks",     "network",   "disk",  "clients",
                                            "nemesis", "operations", "workloads", "faults"};
// While the sizes of quorums are fixed the members must be, too: these change them.
const std::vector<std::string> kChangesMembers = {"grow", "shrink", "replace", "damaged-log"};

Span ToSpan(const Numbers& numbers) {
  return {numbers.front(), numbers.back()};
}

// clang-format off
const std::vector<Field>& Fields() {
  using S = Scenario&;
  using N = const Numbers&;
  static const std::vector<Field> fields = {
      {"seconds", 1, 2, 60, 3'600, 1'000, [](S s, N n) { s.chaos_ms = ToSpan(n); }},
      {"cluster.members", 1, 4, 1, 7, 1, [](S s, N n) { s.members = n; }},
      {"cluster.phase1_quorum", 1, 1, 1, 7, 1, [](S s, N n) { s.phase1_quorum = n[0]; }},
      {"cluster.phase2_quorum", 1, 1, 1, 7, 1, [](S s, N n) { s.phase2_quorum = n[0]; }},
      {"cluster.alpha", 1, 1, 1, 65'536, 1, [](S s, N n) { s.alpha = n[0]; }},
      {"clocks.skew", 1, 1, 0, 0.05, 1'000, [](S s, N n) { s.skew_permille = n[0]; }},
      {"network.loss", 1, 1, 0, 0.5, 1'000, [](S s, N n) { s.lost_permille = n[0]; }},
      {"network.duplication", 1, 1, 0, 0.5, 1'000, [](S s, N n) { s.doubled_permille = n[0]; }},
      {"network.reordering", 1, 1, 0, 0.5, 1'000, [](S s, N n) { s.stray_permille = n[0]; }},
      {"network.link_resets", 1, 1, 0, 0.01, kPerMillion, [](S s, N n) { s.reset_per_million = n[0]; }},
      {"network.far", 1, 1, 0, 1, 1'000, [](S s, N n) { s.far_permille = n[0]; }},
      {"network.delay_ms", 1, 1, 0.1, 100, 1'000, [](S s, N n) { s.delay_max_us = n[0]; }},
      {"disk.sync_ms", 1, 1, 0.1, 1'000, 1'000, [](S s, N n) { s.sync_max_us = n[0]; }},
      {"disk.flush_ms", 1, 1, 0.1, 5'000, 1'000, [](S s, N n) { s.flush_max_us = n[0]; }},
      {"clients.count", 1, 2, 1, 64, 1, [](S s, N n) { s.clients = ToSpan(n); }},
      {"clients.keys", 1, 2, 1, 64, 1, [](S s, N n) { s.keys = ToSpan(n); }},
      {"clients.sessions", 1, 2, 0, 16, 1, [](S s, N n) { s.sessions = ToSpan(n); }},
      {"clients.think_ms", 1, 1, 1, 10'000, 1, [](S s, N n) { s.think_max_ms = n[0]; }},
      {"nemesis.gap_s", 1, 2, 0.05, 60, 1'000, [](S s, N n) { s.gap_ms = ToSpan(n); }},
      {"nemesis.storms", 1, 1, 0, 1, 1'000, [](S s, N n) { s.storm_permille = n[0]; }},
  };
  return fields;
}
// clang-format on

bool Has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string Plain(double number) {
  std::ostringstream out;
  out << number;
  return out.str();
}

class Parser {
 public:
  explicit Parser(std::string file) : file_(std::move(file)) {}

  Result<Scenario> Parse(const toml::table& root) {
    for (const auto& [key, value] : root) {
      const std::string name(key.str());
      const Status status = value.is_table() ? ParseSection(name, *value.as_table()) : ParseTop(name, value);
      if (!status.ok()) return status;
    }
    const Status status = CheckTogether(root);
    if (!status.ok()) return status;
    return scenario_;
  }

 private:
  Status At(const toml::node& where, const std::string& what) const {
    return Status::InvalidArgument(file_ + ":" + std::to_string(where.source().begin.line) + ": " + what);
  }

  Status ParseTop(const std::string& name, const toml::node& value) {
    if (name != "about") return ParseField(name, value);
    const auto text = value.value<std::string>();
    if (!text) return At(value, "about must be a string");
    scenario_.about = *text;
    return Status::Ok();
  }

  Status ParseSection(const std::string& section, const toml::table& table) {
    if (!Has(kSections, section)) return At(table, "unknown section [" + section + "]");
    for (const auto& [key, value] : table) {
      const std::string name(key.str());
      Status status;
      if (section == "operations") {
        status = ParseWeight(name, value, kOperations, kWeightMax, 1, &scenario_.operations);
      } else if (section == "workloads") {
        status = ParseWeight(name, value, WorkloadKinds(), kTurnsMax, 1'000, &scenario_.workloads);
      } else if (section == "faults") {
        status = ParseWeight(name, value, Nemesis::Kinds(), kWeightMax, 1, &scenario_.faults);
      } else {
        status = ParseField(section + "." + name, value);
      }
      if (!status.ok()) return status;
    }
    return Status::Ok();
  }

  Status ParseWeight(const std::string& name, const toml::node& value, const std::vector<std::string>& names,
                     double high, double scale, std::map<std::string, std::uint64_t>* weights) {
    if (!Has(names, name)) {
      std::string known;
      for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
      return At(value, "unknown key \"" + name + "\"; there are: " + known);
    }
    Numbers numbers;
    const Status status = ReadNumbers({name, 1, 1, 0, high, scale, nullptr}, value, &numbers);
    if (status.ok()) (*weights)[name] = numbers[0];
    return status;
  }

  Status ParseField(const std::string& path, const toml::node& value) {
    const auto field =
        std::find_if(Fields().begin(), Fields().end(), [&](const Field& one) { return one.path == path; });
    if (field == Fields().end()) return At(value, "unknown key \"" + path + "\"");
    Numbers numbers;
    const Status status = ReadNumbers(*field, value, &numbers);
    if (status.ok()) field->set(scenario_, numbers);
    return status;
  }

  Status ReadNumbers(const Field& field, const toml::node& value, Numbers* numbers) const {
    const std::string path(field.path);
    const toml::array* array = value.as_array();
    const std::size_t count = array == nullptr ? 1 : array->size();
    if (count < field.count_min || count > field.count_max) {
      return At(value, path + " takes " +
                           (field.count_max == 1 ? "one number"
                                                 : "one number or a list of up to " + std::to_string(field.count_max)));
    }
    for (std::size_t i = 0; i < count; ++i) {
      const toml::node& node = array == nullptr ? value : *array->get(i);
      const std::optional<double> number = node.is_number() ? node.value<double>() : std::nullopt;
      if (!number) return At(value, path + " must be a number");
      if (!(*number >= field.low && *number <= field.high)) {
        return At(value, path + " = " + Plain(*number) + (*number < 0 ? " is negative" : " is out of range") +
                             ": it must be between " + Plain(field.low) + " and " + Plain(field.high));
      }
      if (field.scale == 1 && *number != std::floor(*number)) return At(value, path + " must be a whole number");
      numbers->push_back(static_cast<std::uint64_t>(std::llround(*number * field.scale)));
    }
    if (!std::is_sorted(numbers->begin(), numbers->end())) return At(value, path + " must ascend");
    return Status::Ok();
  }

  // What no key says alone.
  Status CheckTogether(const toml::table& root) const {
    const std::pair<const char*, const std::map<std::string, std::uint64_t>*> sums[] = {
        {"operations", &scenario_.operations}, {"faults", &scenario_.faults}};
    for (const auto& [section, weights] : sums) {
      const bool any = std::any_of(weights->begin(), weights->end(), [](const auto& one) { return one.second != 0; });
      if (root.contains(section) && !any)
        return At(*root.get(section), std::string(section) + " has no weight above 0");
    }
    return scenario_.needs_flexible_quorums() ? CheckQuorums(*root.get("cluster")) : Status::Ok();
  }

  Status CheckQuorums(const toml::node& cluster) const {
    if (scenario_.members.empty()) return At(cluster, "sizes of quorums need cluster.members");
    for (const std::uint64_t members : scenario_.members) {
      const std::uint64_t majority = members / 2 + 1;
      const std::uint64_t phase1 = scenario_.phase1_quorum == 0 ? majority : scenario_.phase1_quorum;
      const std::uint64_t phase2 = scenario_.phase2_quorum == 0 ? majority : scenario_.phase2_quorum;
      if (phase1 <= members && phase2 <= members && phase1 + phase2 > members) continue;
      return At(cluster, "impossible quorums: " + std::to_string(phase1) + " and " + std::to_string(phase2) + " of " +
                             std::to_string(members) + " members " +
                             (phase1 + phase2 > members ? "are more than there are" : "need not meet"));
    }
    if (scenario_.faults.empty())
      return At(cluster, "sizes of quorums need [faults], without any that changes members");
    for (const std::string& kind : kChangesMembers) {
      if (scenario_.faults.contains(kind)) {
        return At(cluster, "sizes of quorums and a changing membership (faults." + kind + ") do not go together");
      }
    }
    return Status::Ok();
  }

  const std::string file_;
  Scenario scenario_;
};

std::string NameOf(const std::string& file) {
  const std::size_t slash = file.rfind('/');
  const std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
  return name.substr(0, name.rfind('.'));
}

}  // namespace

const std::vector<std::string>& WorkloadKinds() {
  static const std::vector<std::string> kinds = {"transactions", "bursts", "compactions", "reads",
                                                 "leases",       "lists",  "sets"};
  return kinds;
}

Result<Scenario> ParseScenario(std::string_view text, const std::string& file) {
  try {
    const toml::table root = toml::parse(text, file);
    Result<Scenario> scenario = Parser(file).Parse(root);
    if (scenario.ok()) scenario->name = NameOf(file);
    return scenario;
  } catch (const toml::parse_error& error) {
    return Status::InvalidArgument(file + ":" + std::to_string(error.source().begin.line) + ": " +
                                   std::string(error.description()));
  }
}

Result<Scenario> LoadScenario(const std::string& file_or_name) {
  if (file_or_name.empty() || file_or_name == Scenario().name) return Scenario();
  if (file_or_name.find('/') == std::string::npos && !file_or_name.ends_with(".toml")) {
    std::string known = Scenario().name;
    for (const ScenarioText& one : ScenarioTexts()) {
      const std::string name = NameOf(std::string(one.file));
      if (name == file_or_name) return ParseScenario(one.text, std::string(one.file));
      known += ", " + name;
    }
    return Status::InvalidArgument("no scenario \"" + file_or_name + "\"; there are: " + known +
                                   ". A file is named with its path or .toml at its end");
  }
  std::ifstream file(file_or_name);
  std::ostringstream text;
  if (std::error_code why; !std::filesystem::is_regular_file(file_or_name, why) || !file.good()) {
    return Status::InvalidArgument(file_or_name + ": cannot be read");
  }
  text << file.rdbuf();
  return ParseScenario(text.str(), file_or_name);
}

std::vector<Scenario> BuiltInScenarios() {
  std::vector<Scenario> all{Scenario()};
  for (const ScenarioText& one : ScenarioTexts()) {
    Result<Scenario> scenario = ParseScenario(one.text, std::string(one.file));
    CHECK(scenario.ok()) << scenario.status().message();
    all.push_back(*std::move(scenario));
  }
  return all;
}

bool AppliesTo(const Scenario& scenario, const consensus::Traits& traits) {
  return traits.flexible_quorums || !scenario.needs_flexible_quorums();
}

}  // namespace quorate::sim
