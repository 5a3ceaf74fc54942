#include "base/probe.h"

#include <algorithm>

#ifdef QUORATE_BUGS
// The linker names the ends of the section; weak, as a program may hold no probe.
extern "C" {
extern quorate::Probe __start_quorate_probes[] __attribute__((weak));  // NOLINT: the linker's name
extern quorate::Probe __stop_quorate_probes[] __attribute__((weak));   // NOLINT
}
#endif

namespace quorate {
namespace {

std::vector<std::string> Names([[maybe_unused]] bool all) {
  std::vector<std::string> names;
#ifdef QUORATE_BUGS
  for (Probe* probe = __start_quorate_probes; probe != __stop_quorate_probes; ++probe) {
    if (all || __atomic_load_n(&probe->reached, __ATOMIC_RELAXED)) names.emplace_back(probe->name);
  }
#endif
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

std::vector<std::string> ProbesReached() {
  return Names(false);
}

std::vector<std::string> ProbesKnown() {
  return Names(true);
}

}  // namespace quorate
