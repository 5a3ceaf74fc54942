#!/usr/bin/env bash
# Finds, for each seeded bug, the first seed that catches it and is good without it, and writes tests/sim/bug_seeds.txt. Run it after a
# change of what the simulator draws. Takes minutes; a bug that no seed catches is named at the end, and keeps no line.
#   tools/find_bug_seeds.sh [FIRST..LAST]
#   tools/find_bug_seeds.sh --table [N]    docs/TESTING.md's table instead: the median of N searches for each, of 5 without N
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset bugs >build/configure.log
ninja -C build/bugs quorate_sim_main >/dev/null
sim=build/bugs/src/sim/main/quorate_sim
if [ "${1:-}" = --table ]; then
  exec $sim --find-bugs all --scenario all --seeds 1..200 --repeat "${2:-5}"
fi
out=tests/sim/bug_seeds.txt
{
  echo "# One seed for each seeded bug: bug, protocol, seed, the checker that catches it. Made by tools/find_bug_seeds.sh."
  $sim --find-bugs all --seeds "${1:-1..400}" || true
} >"$out.new"
mv "$out.new" "$out"
