#ifdef QUORATE_BUGS
#include "sim/bugs.h"

namespace quorate::sim {

std::vector<SeededBug> ZabBugs() {
  return {};
}

}  // namespace quorate::sim
#endif
