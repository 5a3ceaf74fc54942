// QUORATE_PROBE(name): marks a rare branch that some simulated run must reach.
//
// Nothing at all unless the tree is built with -DQUORATE_BUGS=1 (the `bugs` preset, which is the simulator's): a
// release binary holds neither the branch nor the name. There every probe that is linked in is known from the start, so
// that a run can say which ones it did not reach. A name begins with the protocol or the folder it belongs to: raft_,
// wal_. Not for inline functions and templates, whose copies would be one probe too many. Thread rule: any thread.
#pragma once

#include <string>
#include <vector>

namespace quorate {

std::vector<std::string> ProbesReached();  // sorted; since the process began. Empty but in the `bugs` preset
std::vector<std::string> ProbesKnown();    // sorted; all that are linked in

#ifdef QUORATE_BUGS
struct Probe {
  const char* name;
  bool reached;
};
#endif

}  // namespace quorate

#ifdef QUORATE_BUGS
#define QUORATE_PROBE(name)                                                                            \
  do {                                                                                                 \
    [[gnu::section("quorate_probes"), gnu::used]] static ::quorate::Probe quorate_probe{#name, false}; \
    __atomic_store_n(&quorate_probe.reached, true, __ATOMIC_RELAXED);                                  \
  } while (false)
#else
#define QUORATE_PROBE(name) static_cast<void>(0)
#endif
