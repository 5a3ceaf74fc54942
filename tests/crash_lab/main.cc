// The crash laboratory: crash_lab [--kills N] [--seed S] [--directory D] [--lying yes]. Exit status 0: nothing was lost
// and the members are equal; with --lying (syncs do nothing): that was found out. docs/TESTING.md says what it shows.
// With "member" as the first argument it is one of its members.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "lab_member.h"
#include "laboratory.h"

int main(int argc, char** argv) {
  using quorate::crash_lab::LaboratoryOptions;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "member") {
    return quorate::crash_lab::RunLabMember({arguments.begin() + 1, arguments.end()});
  }
  LaboratoryOptions options;
  if (const char* kills = std::getenv("QUORATE_LAB_KILLS")) options.kills = std::atoi(kills);
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    if (arguments[i] == "--kills") options.kills = std::stoi(arguments[i + 1]);
    if (arguments[i] == "--seed") options.seed = std::stoull(arguments[i + 1]);
    if (arguments[i] == "--lying") options.lying = arguments[i + 1] == "yes";
    if (arguments[i] == "--directory") options.directory = arguments[i + 1];
  }
  const bool own = options.directory.empty();
  if (own) {
    char name[] = "/tmp/quorate-lab-XXXXXX";
    if (::mkdtemp(name) == nullptr) return 2;
    options.directory = name;
  }
  const auto began = std::chrono::steady_clock::now();
  std::string wrong;
  {
    quorate::crash_lab::Laboratory laboratory(options);
    wrong = laboratory.Run();
  }
  std::printf("%.1f s\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  if (options.lying) {
    std::printf("%s\n", wrong.empty() ? "FAILED: nobody noticed that the disks lie" : wrong.c_str());
    if (own) std::filesystem::remove_all(options.directory);
    return wrong.empty() ? 1 : 0;
  }
  if (!wrong.empty()) {
    std::printf("FAILED; the directories are in %s\n%s\n", options.directory.c_str(), wrong.c_str());
    return 1;
  }
  if (own) std::filesystem::remove_all(options.directory);
  return 0;
}
