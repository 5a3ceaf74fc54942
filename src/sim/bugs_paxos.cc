#ifdef QUORATE_BUGS
#include "sim/bugs.h"

namespace quorate::sim {

std::vector<SeededBug> PaxosBugs() {
  return {};
}

}  // namespace quorate::sim
#endif
