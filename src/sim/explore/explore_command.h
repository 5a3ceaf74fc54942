// `quorate sim explore`: the exhaustive explorer from the command line.
#pragma once

namespace quorate::sim::explore {

// 0: nothing was violated; 1: a check was; 2: it could not run.
int ExploreMain(int argc, char** argv);

}  // namespace quorate::sim::explore
