#include "sim/seed_runs.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "sim/jobs.h"
#include "sim/shrink.h"
#include "sim/tally.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kTwiceEvery = 10;  // of the rounds through the scenarios one runs its seeds twice
constexpr std::uint64_t kReportEveryRuns = 50;
constexpr std::uint64_t kShrunkMax = 3;  // failures of one call that are shrunk: it takes a minute each

volatile std::sig_atomic_t stop_asked = 0;
void AskToStop(int) {
  stop_asked = 1;
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Json(const Report& report) {
  std::ostringstream out;
  out << "{\"seed\":" << report.seed << ",\"scenario\":" << Quoted(report.scenario)
      << ",\"ok\":" << (report.ok() ? "true" : "false") << ",\"members\":" << report.members
      << ",\"unordered\":" << (report.unordered ? "true" : "false") << ",\"good\":" << report.good
      << ",\"failed\":" << report.failed << ",\"unknown\":" << report.unknown << ",\"elections\":" << report.elections
      << ",\"crashes\":" << report.crashes << ",\"member_changes\":" << report.changes
      << ",\"snapshots\":" << report.snapshots << ",\"faults\":" << report.faults << ",\"entries\":" << report.entries
      << ",\"frames\":" << report.frames << ",\"tasks\":" << report.tasks
      << ",\"simulated_seconds\":" << report.simulated_ms / 1000 << ",\"hash\":\"" << std::hex << report.hash
      << std::dec << "\",\"violations\":[";
  for (std::size_t i = 0; i < report.violations.size(); ++i) {
    const Violation& violation = report.violations[i];
    out << (i == 0 ? "" : ",") << "{\"checker\":" << Quoted(violation.checker)
        << ",\"message\":" << Quoted(violation.message) << "}";
  }
  out << "]}";
  return out.str();
}

std::uint64_t WallNs() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

// How to run it again.
std::string Command(const RunOptions& options, const std::set<std::uint64_t>& skipped) {
  std::ostringstream out;
  out << "quorate sim --protocol " << consensus::ProtocolName(options.protocol) << " --seed " << options.seed;
  if (options.scenario.name != Scenario().name) out << " --scenario " << options.scenario.name;
  if (!options.bug.empty()) out << " --bug " << options.bug;
  if (options.canary) out << " --canary";
  if (!skipped.empty()) out << " --skip " << FormatNumbers(skipped);
  return out.str();
}

class SeedRuns {
 public:
  explicit SeedRuns(const SeedRunOptions& options)
      : options_(options), tally_(options.run.protocol), began_ns_(WallNs()) {}

  int Run() {
    if (options_.until_stopped) {
      std::signal(SIGINT, AskToStop);
      std::signal(SIGTERM, AskToStop);
    }
    const bool many = options_.seeds.first != options_.seeds.last;
    const std::uint64_t last =
        options_.until_stopped ? std::numeric_limits<std::uint64_t>::max() - 1 : options_.seeds.last;
    if (many || options_.until_stopped) {
      RunJobs(
          options_.seeds.first, last, options_.jobs,
          [this](std::uint64_t seed) {
            const RunOptions options = Options(seed);
            return IsExcepted(options) ? std::string() : EncodeReport(RunOne(options));
          },
          [this](std::uint64_t seed, const std::string& encoded) { return Take(seed, encoded); });
    } else {
      RunOptions options = Options(options_.seeds.first);
      if (isatty(STDERR_FILENO) != 0 && !options_.json) options.on_strike = ShowStrike;
      TakeReport(options.seed, RunOne(options));
    }
    return Finish(many || options_.until_stopped);
  }

 private:
  static void ShowStrike(const Strike& strike) {
    std::fprintf(stderr, "\r\033[K%5lu.%03lu s  strike %lu: %s", strike.at_ms() / 1000, strike.at_ms() % 1000,
                 strike.number, strike.kind.c_str());
  }
  static void ClearProgress() {
    if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r\033[K");
  }

  RunOptions Options(std::uint64_t seed) const {
    RunOptions options = options_.run;
    options.seed = seed;
    options.scenario = options_.scenarios[seed % options_.scenarios.size()];
    return options;
  }

  bool Twice(std::uint64_t seed) const {
    const bool many = options_.until_stopped || options_.seeds.first != options_.seeds.last;
    return options_.twice || (many && seed / options_.scenarios.size() % kTwiceEvery == 0);
  }

  bool IsExcepted(const RunOptions& options) const {
    return std::any_of(options_.except.begin(), options_.except.end(), [&](const PinnedSeed& known) {
      return known.protocol == options.protocol && known.seed == options.seed &&
             (known.scenario.empty() ? Scenario().name : known.scenario) == options.scenario.name;
    });
  }

  Report RunOne(RunOptions options) const {
    options = WithPlan(std::move(options));
    Report report = RunSeedApart(options);
    if (!report.ok() || !Twice(options.seed)) return report;
    const Report again = RunSeedApart(options);
    if (again.hash != report.hash) {
      report.violations.push_back({"replay", "a second run of the seed went another way"});
    }
    return report;
  }

  bool Take(std::uint64_t seed, const std::string& encoded) {
    if (encoded.empty() && IsExcepted(Options(seed))) return stop_asked == 0;
    Report report;
    if (!DecodeReport(encoded, &report)) {
      if (stop_asked != 0) return false;  // the child was told, too
      report = Report{};
      report.seed = seed;
      report.violations.push_back({"invariant", "the process that ran the seed ended without a report"});
    }
    TakeReport(seed, report);
    if (isatty(STDERR_FILENO) != 0 && !options_.json) {
      std::fprintf(stderr, "\r\033[K%lu seeds, %lu violated a check", tally_.runs(), tally_.violated());
    }
    if (tally_.runs() % kReportEveryRuns == 0) WriteReport();
    return stop_asked == 0;
  }

  void TakeReport(std::uint64_t seed, const Report& report) {
    tally_.Add(report);
    Print(report);
    if (report.ok()) return;
    last_ = report.violations.front().checker + " seed " + std::to_string(seed);
    if (!options_.json) Explain(Options(seed), report);
  }

  void Print(const Report& report) {
    ClearProgress();
    if (options_.json) {
      std::printf("%s\n", Json(report).c_str());
    } else if (!options_.brief || !report.ok()) {
      std::printf("%s\n", Summary(report).c_str());
      for (const Violation& violation : report.violations) {
        std::printf("  %s: %s\n", violation.checker.c_str(), violation.message.c_str());
      }
    }
    std::fflush(stdout);
  }

  // How to see it again, and with how little.
  void Explain(const RunOptions& options, const Report& report) {
    const std::string& checker = report.violations[0].checker;
    std::ostringstream out;
    out << "  again: " << Command(options, options.skipped) << "\n";
    if (checker != "replay" && checker != "effort" && options_.shrink_runs_max != 0 && shrunk_++ < kShrunkMax) {
      const Shrunk shrunk = Shrink(options, report, options_.shrink_runs_max);
      out << "  " << shrunk.report.strikes.size() << " of " << report.strikes.size() << " strikes suffice (found in "
          << shrunk.runs << " runs):";
      for (const Strike& strike : shrunk.report.strikes) {
        out << "\n    " << strike.at_ms() / 1000 << "." << std::to_string(1000 + strike.at_ms() % 1000).substr(1)
            << " s " << strike.kind << " (strike " << strike.number << ")";
      }
      out << "\n  " << shrunk.report.violations[0].checker << ": " << shrunk.report.violations[0].message
          << "\n  shortest: " << Command(options, shrunk.skipped) << "\n";
    }
    failures_ += Summary(report) + "\n  " + report.violations[0].checker + ": " + report.violations[0].message + "\n" +
                 out.str();
    std::printf("%s", out.str().c_str());
    std::fflush(stdout);
  }

  void WriteReport() const {
    if (options_.report.empty()) return;
    std::ofstream file(options_.report);
    file << tally_.Describe(WallNs() - began_ns_) << failures_;
    if (!file.flush()) std::fprintf(stderr, "quorate sim: cannot write %s\n", options_.report.c_str());
  }

  int Finish(bool many) {
    ClearProgress();
    WriteReport();
    if (many && !options_.json) std::printf("%s", tally_.Describe(WallNs() - began_ns_).c_str());
    if (tally_.violated() == 0 && options_.probes_required && !tally_.ProbesMissed().empty()) {
      std::printf("violated: probes (rare branches that no run reached)\n");
      return 1;
    }
    if (tally_.violated() == 0) return 0;
    std::printf("%s\n",
                options_.json ? ("{\"violated\":" + Quoted(last_) + "}").c_str() : ("violated: " + last_).c_str());
    return 1;
  }

  const SeedRunOptions& options_;
  Tally tally_;
  const std::uint64_t began_ns_;
  std::uint64_t shrunk_ = 0;
  std::string last_;      // the last failure: checker and seed
  std::string failures_;  // all of them, for the report
};

}  // namespace

int RunSeeds(const SeedRunOptions& options) {
  return SeedRuns(options).Run();
}

}  // namespace quorate::sim
