#include "cli/bench/process_usage.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace quorate::cli {
namespace {

double Ticks(std::uint64_t ticks) {
  return static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

Result<std::vector<int>> ParsePids(std::string_view list) {
  std::vector<int> pids;
  while (!list.empty()) {
    const std::string_view part = list.substr(0, std::min(list.find(','), list.size()));
    int pid = 0;
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), pid);
    if (error != std::errc() || stop != part.data() + part.size() || pid <= 0) {
      return Status::InvalidArgument("\"" + std::string(part) + "\" is not a process id");
    }
    pids.push_back(pid);
    list.remove_prefix(std::min(part.size() + 1, list.size()));
  }
  return pids;
}

Result<ProcessUsage> ParseProcessStat(std::string_view line) {
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos) return Status::DataLoss("no command name");
  // Behind the name come fields 3 (state) and on; see proc(5): 14 utime, 15 stime, 24 resident pages.
  std::istringstream fields{std::string(line.substr(name_end + 1))};
  std::string state;
  fields >> state;
  std::vector<std::uint64_t> numbers;
  for (std::string field; numbers.size() < 21 && fields >> field;) {
    numbers.push_back(field.starts_with('-') ? 0 : std::strtoull(field.c_str(), nullptr, 10));
  }
  if (numbers.size() < 21) return Status::DataLoss("too few fields");
  const auto field = [&](std::size_t number) { return numbers[number - 4]; };
  return ProcessUsage{Ticks(field(14) + field(15)), field(24) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))};
}

Result<ProcessUsage> UsageOf(const std::vector<int>& pids) {
  ProcessUsage sum;
  for (const int pid : pids) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    const Result<ProcessUsage> usage =
        std::getline(file, line) ? ParseProcessStat(line) : Result<ProcessUsage>(Status::Unavailable("it is gone"));
    if (!usage.ok()) return Status::Unavailable("process " + std::to_string(pid) + ": " + usage.status().message());
    sum.cpu_seconds += usage->cpu_seconds;
    sum.resident_bytes += usage->resident_bytes;
  }
  return sum;
}

double OwnCpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

double MachineBusySeconds() {
  std::ifstream file("/proc/stat");
  std::string name;
  std::uint64_t user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft_interrupts = 0;
  file >> name >> user >> nice >> system >> idle >> waiting >> interrupts >> soft_interrupts;
  return Ticks(user + nice + system + interrupts + soft_interrupts);
}

}  // namespace quorate::cli
