// RunSeedApart: the child runs the seed and writes its report to a pipe; the parent makes a violation of a child that
// ended in any other way, with what it said last on standard error.
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/check.h"
#include "base/codec.h"
#include "sim/run.h"

namespace quorate::sim {
namespace {

constexpr rlim_t kCpuSecondsMax = 60;  // a seed takes about one; a loop that never ends is a finding too
constexpr std::uint8_t kReportVersion = 2;

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

[[noreturn]] void RunChild(const RunOptions& options, const Pipe& report, const Pipe& errors) {
  close(report.read());
  close(errors.read());
  dup2(errors.write(), STDERR_FILENO);
  const rlimit cpu{kCpuSecondsMax, kCpuSecondsMax};
  setrlimit(RLIMIT_CPU, &cpu);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  WriteAll(report.write(), EncodeReport(RunSeed(options)));
  _exit(0);
}

// Reads both pipes to their ends.
void Collect(int report_fd, int error_fd, std::string* report, std::string* errors) {
  std::array<pollfd, 2> fds{pollfd{report_fd, POLLIN, 0}, pollfd{error_fd, POLLIN, 0}};
  const std::array<std::string*, 2> texts{report, errors};
  int open = 2;
  while (open > 0 && poll(fds.data(), fds.size(), -1) >= 0) {
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      std::array<char, 4096> buffer{};
      const ssize_t got = ::read(fds[i].fd, buffer.data(), buffer.size());
      if (got > 0) {
        texts[i]->append(buffer.data(), static_cast<std::size_t>(got));
      } else {
        close(fds[i].fd);
        fds[i].fd = -1;
        --open;
      }
    }
  }
}

Violation WhatEndedIt(int status, const std::string& errors) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
    return {"liveness", "the run took more than " + std::to_string(kCpuSecondsMax) + " s of processor time"};
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
  const Pipe report_pipe, error_pipe;
  const pid_t child = fork();
  CHECK(child >= 0) << "cannot fork";
  if (child == 0) RunChild(options, report_pipe, error_pipe);
  close(report_pipe.write());
  close(error_pipe.write());
  std::string encoded, errors;
  Collect(report_pipe.read(), error_pipe.read(), &encoded, &errors);
  int status = 0;
  waitpid(child, &status, 0);
  Report report;
  if (status == 0 && DecodeReport(encoded, &report)) return report;
  report = Report{};
  report.seed = options.seed;
  report.violations.push_back(WhatEndedIt(status, errors));
  return report;
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
  for (std::size_t i = r.GetCount(2); i > 0; --i) {
    std::string checker(r.GetBytes());
    report->violations.push_back({std::move(checker), std::string(r.GetBytes())});
  }
  return r.Done();
}

}  // namespace quorate::sim
