#include "sim/pinned.h"

#include <fstream>
#include <sstream>

#include "base/check.h"

namespace quorate::sim {

std::vector<PinnedSeed> ReadPinnedSeeds(const std::string& path) {
  std::ifstream file(path);
  CHECK(file.good()) << "cannot read " << path;
  std::vector<PinnedSeed> pinned;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    PinnedSeed one;
    words >> one.name >> one.seed >> std::ws;
    std::getline(words, one.note);
    CHECK(!words.bad() && one.seed != 0) << path << ": not a name and a seed: " << line;
    pinned.push_back(std::move(one));
  }
  return pinned;
}

}  // namespace quorate::sim
