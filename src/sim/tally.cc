#include "sim/tally.h"

#include <iomanip>
#include <sstream>
#include <vector>

#include "base/probe.h"
#include "sim/scheduler.h"

namespace quorate::sim {
namespace {

void PrintCounts(std::ostringstream& out, const char* what, const std::map<std::string, std::uint64_t>& counts) {
  out << what;
  for (const auto& [kind, count] : counts) out << " " << kind << " " << count;
  out << "\n";
}

}  // namespace

void Tally::Add(const Report& report) {
  ++runs_;
  violated_ += report.ok() ? 0 : 1;
  operations_ += report.good + report.failed + report.unknown;
  good_ += report.good;
  simulated_ms_ += report.simulated_ms;
  elections_ += report.elections;
  crashes_ += report.crashes;
  changes_ += report.changes;
  snapshots_ += report.snapshots;
  ++scenarios_[report.scenario];
  for (const auto& [kind, count] : report.faults_by_kind) faults_[kind] += count;
  probes_.insert(report.probes.begin(), report.probes.end());
}

std::set<std::string> Tally::ProbesMissed() const {
  std::set<std::string> missed;
  for (const std::string& probe : ProbesKnown()) {
    bool foreign = false;
    for (const auto other : {consensus::Protocol::kRaft, consensus::Protocol::kPaxos, consensus::Protocol::kZab}) {
      foreign = foreign || (other != protocol_ && probe.starts_with(std::string(ProtocolName(other)) + "_"));
    }
    if (!foreign && !probes_.contains(probe)) missed.insert(probe);
  }
  return missed;
}

std::string Tally::Describe(std::uint64_t wall_ns) const {
  const double minutes = static_cast<double>(wall_ns) / (60.0 * static_cast<double>(kSecond));
  const double hours = static_cast<double>(simulated_ms_) / 3'600'000.0;
  std::ostringstream out;
  out << std::fixed << std::setprecision(1);
  out << ProtocolName(protocol_) << ": " << runs_ << " seeds, " << violated_ << " violated a check; " << hours
      << " simulated hours and " << operations_ << " operations (" << good_ << " good) in " << minutes * 60
      << " s: per minute " << hours / minutes << " simulated hours, "
      << static_cast<std::uint64_t>(static_cast<double>(operations_) / minutes) << " operations\n"
      << "  " << elections_ << " elections, " << crashes_ << " crashes, " << changes_ << " member changes, "
      << snapshots_ << " snapshots\n";
  PrintCounts(out, "  faults:", faults_);
  PrintCounts(out, "  scenarios:", scenarios_);
  const std::size_t known = ProbesKnown().size();
  const std::set<std::string> missed = ProbesMissed();
  if (known != 0) {
    out << "  rare branches that no run reached: " << missed.size();
    for (const std::string& probe : missed) out << " " << probe;
    out << "\n";
  }
  return out.str();
}

}  // namespace quorate::sim
