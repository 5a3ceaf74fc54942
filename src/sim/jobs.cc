#include "sim/jobs.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <map>
#include <utility>
#include <vector>

#include "base/check.h"

namespace quorate::sim {
namespace {

struct Running {
  std::uint64_t item = 0;
  pid_t child = 0;
  int from = -1;
  std::string made;
};

Running Begin(std::uint64_t item, const std::function<std::string(std::uint64_t)>& work) {
  std::fflush(nullptr);
  std::array<int, 2> ends{};
  CHECK(pipe(ends.data()) == 0);
  const pid_t child = fork();
  CHECK(child >= 0) << "cannot fork";
  if (child != 0) {
    close(ends[1]);
    return {item, child, ends[0], {}};
  }
  close(ends[0]);
  const std::string made = work(item);
  for (std::string_view rest = made; !rest.empty();) {
    const ssize_t written = ::write(ends[1], rest.data(), rest.size());
    if (written <= 0) _exit(1);
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  std::fflush(nullptr);
  _exit(0);
}

// Waits for one of them to say something; true when it has ended.
bool ReadSome(Running& running) {
  std::array<char, 65'536> buffer{};
  const ssize_t got = ::read(running.from, buffer.data(), buffer.size());
  if (got > 0) {
    running.made.append(buffer.data(), static_cast<std::size_t>(got));
    return false;
  }
  if (got < 0 && errno == EINTR) return false;
  close(running.from);
  waitpid(running.child, nullptr, 0);
  return true;
}

}  // namespace

std::uint64_t ProcessorCount() {
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 1 ? 1 : static_cast<std::uint64_t>(count);
}

void RunJobs(std::uint64_t first, std::uint64_t last, std::uint64_t jobs,
             const std::function<std::string(std::uint64_t)>& work,
             const std::function<bool(std::uint64_t, std::string)>& take) {
  std::vector<Running> running;
  std::map<std::uint64_t, std::string> made;
  std::uint64_t begun = first, taken = first;
  bool going_on = true;
  // Not too far ahead of the slowest: what is made waits in memory.
  const std::uint64_t ahead_max = 64 * jobs;
  while (going_on && taken <= last) {
    while (running.size() < jobs && begun <= last && begun < taken + ahead_max) running.push_back(Begin(begun++, work));
    std::vector<pollfd> fds;
    for (const Running& one : running) fds.push_back({one.from, POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    for (std::size_t i = fds.size(); i-- > 0;) {
      if (fds[i].revents == 0 || !ReadSome(running[i])) continue;
      made[running[i].item] = std::move(running[i].made);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (auto next = made.find(taken); going_on && next != made.end(); next = made.find(taken)) {
      going_on = take(taken++, std::move(next->second));
      made.erase(next);
    }
  }
  for (const Running& one : running) {
    kill(one.child, SIGKILL);
    close(one.from);
    waitpid(one.child, nullptr, 0);
  }
}

}  // namespace quorate::sim
