// ExploreApart: the child explores and leaves its report in a file without a name; a CHECK that fails there is reported
// with the event that was being tried.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/check_hook.h"
#include "base/codec.h"
#include "sim/explore/explorer.h"

namespace quorate::sim::explore {
namespace {

struct Child {
  Explorer* explorer = nullptr;
  int report_fd = -1;
  int error_fd = -1;
};
Child child;  // of this process, for the handler

std::string ReadAll(int fd) {
  std::string all;
  std::array<char, 4096> buffer{};
  lseek(fd, 0, SEEK_SET);
  for (ssize_t got = 0; (got = read(fd, buffer.data(), buffer.size())) > 0;) {
    all.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return all;
}

std::array<std::uint64_t*, 9> Numbers(Exploration* exploration) {
  return {&exploration->states,       &exploration->transitions,  &exploration->depth,
          &exploration->local_states, &exploration->core_steps,   &exploration->messages,
          &exploration->audited,      &exploration->memory_bytes, &exploration->milliseconds};
}

std::string Encode(Exploration exploration) {
  Writer w;
  for (const std::uint64_t* number : Numbers(&exploration)) w.PutVarint(*number);
  w.Put8(exploration.complete ? 1 : 0);
  w.Put8(exploration.violation ? 1 : 0);
  if (exploration.violation) {
    w.PutBytes(exploration.violation->checker);
    w.PutBytes(exploration.violation->message);
  }
  w.PutVarint(exploration.trace.size());
  for (const std::string& line : exploration.trace) w.PutBytes(line);
  return std::move(w).Take();
}

bool Decode(std::string_view encoded, Exploration* exploration) {
  Reader r(encoded);
  for (std::uint64_t* number : Numbers(exploration)) *number = r.GetVarint();
  exploration->complete = r.Get8() != 0;
  if (r.Get8() != 0) {
    std::string checker(r.GetBytes());
    exploration->violation = Violation{std::move(checker), std::string(r.GetBytes())};
  }
  for (std::size_t i = r.GetCount(1); i > 0; --i) exploration->trace.emplace_back(r.GetBytes());
  return r.Done();
}

[[noreturn]] void Finish(Exploration exploration) {
  const std::string encoded = Encode(std::move(exploration));
  const ssize_t written = write(child.report_fd, encoded.data(), encoded.size());
  _exit(written == static_cast<ssize_t>(encoded.size()) ? 0 : 3);
}

void OnCheckFailure(const std::string& words) {
  Finish(child.explorer->Aborted(words));
}

[[noreturn]] void RunChild(const Scope& scope) {
#ifdef QUORATE_BUGS
  SelectBug(scope.bug);
#endif
  dup2(child.error_fd, STDERR_FILENO);
  Explorer explorer(scope);
  child.explorer = &explorer;
  SetCheckFailureHook(OnCheckFailure);
  Finish(explorer.Run());
}

}  // namespace

Exploration ExploreApart(const Scope& scope) {
  std::fflush(nullptr);
  child.report_fd = memfd_create("report", 0);
  child.error_fd = memfd_create("errors", 0);
  CHECK(child.report_fd >= 0 && child.error_fd >= 0) << "no memory for a report";
  const pid_t pid = fork();
  CHECK(pid >= 0) << "cannot fork";
  if (pid == 0) RunChild(scope);
  int status = 0;
  waitpid(pid, &status, 0);
  Exploration exploration;
  const std::string report = ReadAll(child.report_fd);
  const std::string errors = ReadAll(child.error_fd);
  close(child.report_fd);
  close(child.error_fd);
  if (status == 0 && Decode(report, &exploration)) return exploration;
  exploration = {};
  exploration.violation =
      Violation{"invariant", "the exploration ended with status " + std::to_string(status) + ": " + errors};
  return exploration;
}

}  // namespace quorate::sim::explore
