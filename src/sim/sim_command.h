// `quorate sim`: runs seeds of the simulator from the command line. Called by cli/ and by the sim-only executable.
#pragma once

namespace quorate::sim {

// Exit codes: 0 every seed is good, 1 a check was violated (its name and seed on the last line), 2 could not run.
int SimMain(int argc, char** argv);

}  // namespace quorate::sim
