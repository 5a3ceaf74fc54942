// RunSeedApart: the child runs the seed and writes its report to a pipe; the parent makes a violation of a child that
// ended in any other way, with what it said last on standard error.
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/codec.h"
#include "sim/run.h"

namespace quorate::sim {
namespace {

// A seed takes about one for its minute; a loop that never ends is a finding, too.
constexpr rlim_t kCpuSecondsMin = 60;
constexpr std::uint8_t kReportVersion = 3;

struct Pipe {
  Pipe() { CHECK(pipe(ends.data()) == 0); }
  std::array<int, 2> ends{};
  int read() const { return ends[0]; }
  int write() const { return ends[1]; }
};

void WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written <= 0) _exit(3);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string ToLine(const Strike& strike) {
  std::ostringstream out;
  out << strike.number << " " << strike.at_ns << " " << strike.kind << " " << strike.dice << " " << strike.storm_left
      << " " << strike.storm_gap_max_ns << "\n";
  return out.str();
}

Strike FromLine(const std::string& line) {
  std::istringstream words(line);
  Strike strike;
  words >> strike.number >> strike.at_ns >> strike.kind >> strike.dice >> strike.storm_left >> strike.storm_gap_max_ns;
  return strike;
}

rlim_t CpuSecondsMax(const RunOptions& options) {
  const std::optional<Span>& chaos = options.scenario.chaos_ms;
  return std::max<rlim_t>(kCpuSecondsMin, chaos ? chaos->high / 1000 : 0);
}

[[noreturn]] void RunChild(RunOptions options, const Pipe& report, const Pipe& errors, const Pipe& strikes) {
  close(report.read());
  close(errors.read());
  close(strikes.read());
  options.on_strike = [&strikes](const Strike& strike) { WriteAll(strikes.write(), ToLine(strike)); };
  dup2(errors.write(), STDERR_FILENO);
  const rlimit cpu{CpuSecondsMax(options), CpuSecondsMax(options)};
  setrlimit(RLIMIT_CPU, &cpu);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  WriteAll(report.write(), EncodeReport(RunSeed(options)));
  _exit(0);
}

// The strikes of a run, from lines that its process writes as they happen.
class StrikeReader {
 public:
  explicit StrikeReader(const std::function<void(const Strike&)>& told) : told_(told) {}
  void Add(std::string_view bytes) {
    pending_.append(bytes);
    for (std::size_t end; (end = pending_.find('\n')) != std::string::npos; pending_.erase(0, end + 1)) {
      strikes_.push_back(FromLine(pending_.substr(0, end)));
      if (told_) told_(strikes_.back());
    }
  }
  std::vector<Strike> Take() { return std::move(strikes_); }

 private:
  const std::function<void(const Strike&)>& told_;
  std::string pending_;
  std::vector<Strike> strikes_;
};

// Reads the pipes to their ends.
void Collect(std::array<pollfd, 3> fds, const std::array<std::function<void(std::string_view)>, 3>& takers) {
  std::size_t open = fds.size();
  while (open > 0) {
    if (poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      std::array<char, 4096> buffer{};
      const ssize_t got = ::read(fds[i].fd, buffer.data(), buffer.size());
      if (got > 0) {
        takers[i]({buffer.data(), static_cast<std::size_t>(got)});
      } else {
        close(fds[i].fd);
        fds[i].fd = -1;
        --open;
      }
    }
  }
}

Violation WhatEndedIt(int status, const std::string& errors, const RunOptions& options) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
    return {"liveness", "the run took more than " + std::to_string(CpuSecondsMax(options)) + " s of processor time"};
  }
  std::string last = errors.empty() ? "without a word" : errors;
  while (!last.empty() && last.back() == '\n') last.pop_back();
  const std::size_t line = last.rfind("CHECK failed");
  if (line != std::string::npos) last = last.substr(last.rfind('\n', line) + 1);
  return {"invariant", (WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                            : "exit " + std::to_string(WEXITSTATUS(status))) +
                           ": " + last};
}

}  // namespace

Report RunSeedApart(const RunOptions& options) {
  std::fflush(nullptr);
  const Pipe report_pipe, error_pipe, strike_pipe;
  const pid_t child = fork();
  CHECK(child >= 0) << "cannot fork";
  if (child == 0) RunChild(options, report_pipe, error_pipe, strike_pipe);
  std::array<pollfd, 3> fds{};
  const std::array<const Pipe*, 3> pipes{&report_pipe, &error_pipe, &strike_pipe};
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    close(pipes[i]->write());
    fds[i] = {pipes[i]->read(), POLLIN, 0};
  }
  std::string encoded, errors;
  StrikeReader strikes(options.on_strike);
  Collect(fds, {[&](std::string_view bytes) { encoded += bytes; }, [&](std::string_view bytes) { errors += bytes; },
                [&](std::string_view bytes) { strikes.Add(bytes); }});
  int status = 0;
  waitpid(child, &status, 0);
  Report report;
  if (status != 0 || !DecodeReport(encoded, &report)) {
    report = Report{};
    report.seed = options.seed;
    report.scenario = options.scenario.name;
    report.violations.push_back(WhatEndedIt(status, errors, options));
  }
  report.strikes = strikes.Take();
  return report;
}

RunOptions WithPlan(RunOptions options) {
  if (options.skipped.empty() || !options.plan.empty()) return options;
  RunOptions whole = options;
  whole.skipped.clear();
  whole.on_strike = nullptr;
  options.plan = RunSeedApart(whole).strikes;
  return options;
}

std::string EncodeReport(const Report& report) {
  Writer w;
  w.Put8(kReportVersion);
  for (const std::uint64_t number :
       {report.seed, report.members, std::uint64_t{report.unordered}, report.good, report.failed, report.unknown,
        report.elections, report.crashes, report.changes, report.snapshots, report.faults, report.entries,
        report.frames, report.tasks, report.simulated_ms, report.hash}) {
    w.PutVarint(number);
  }
  w.PutVarint(report.faults_by_kind.size());
  for (const auto& [kind, count] : report.faults_by_kind) {
    w.PutBytes(kind);
    w.PutVarint(count);
  }
  w.PutBytes(report.scenario);
  w.PutVarint(report.strikes.size());
  for (const Strike& strike : report.strikes) {
    w.PutBytes(ToLine(strike));
  }
  w.PutVarint(report.probes.size());
  for (const std::string& probe : report.probes) w.PutBytes(probe);
  w.PutVarint(report.violations.size());
  for (const Violation& violation : report.violations) {
    w.PutBytes(violation.checker);
    w.PutBytes(violation.message);
  }
  return std::move(w).Take();
}

bool DecodeReport(std::string_view encoded, Report* report) {
  Reader r(encoded);
  if (r.Get8() != kReportVersion) return false;
  std::uint64_t unordered = 0;
  for (std::uint64_t* number :
       {&report->seed, &report->members, &unordered, &report->good, &report->failed, &report->unknown,
        &report->elections, &report->crashes, &report->changes, &report->snapshots, &report->faults, &report->entries,
        &report->frames, &report->tasks, &report->simulated_ms, &report->hash}) {
    *number = r.GetVarint();
  }
  report->unordered = unordered != 0;
  for (std::size_t i = r.GetCount(2); i > 0; --i) {
    const std::string kind(r.GetBytes());
    report->faults_by_kind[kind] = r.GetVarint();
  }
  report->scenario = std::string(r.GetBytes());
  for (std::size_t i = r.GetCount(1); i > 0; --i) report->strikes.push_back(FromLine(std::string(r.GetBytes())));
  for (std::size_t i = r.GetCount(1); i > 0; --i) report->probes.emplace_back(r.GetBytes());
  for (std::size_t i = r.GetCount(2); i > 0; --i) {
    std::string checker(r.GetBytes());
    report->violations.push_back({std::move(checker), std::string(r.GetBytes())});
  }
  return r.Done();
}

}  // namespace quorate::sim
