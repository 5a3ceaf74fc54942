#!/usr/bin/env bash
# Finds, for each seeded bug, the first seed that catches it and is good without it, and writes tests/sim/bug_seeds.txt. Run it after a
# change of what the simulator draws. Takes minutes; a bug that no seed catches is named at the end, and keeps no line.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset bugs >build/configure.log
ninja -C build/bugs quorate_sim_main
out=tests/sim/bug_seeds.txt
{
  echo "# One seed for each seeded bug: bug, protocol, seed, the checker that catches it. Made by tools/find_bug_seeds.sh."
  build/bugs/src/sim/main/quorate_sim --find-bugs all --seeds "${1:-1..2000}" || true
} >"$out.new"
mv "$out.new" "$out"
