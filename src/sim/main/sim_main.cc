// quorate_sim: the simulator alone, for builds of the libraries from base to sim (the `bugs` preset).
#include "sim/sim_command.h"

int main(int argc, char** argv) {
  return quorate::sim::SimMain(argc, argv);
}
