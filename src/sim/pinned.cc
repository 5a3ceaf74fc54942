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
    std::string protocol;
    words >> one.name >> protocol >> one.seed;
    if (words.peek() == '@') words.ignore() >> one.scenario;
    std::getline(words >> std::ws, one.note);
    const Result<consensus::Protocol> parsed = consensus::ParseProtocol(protocol);
    CHECK(parsed.ok() && !words.bad() && one.seed != 0) << path << ": not a name, a protocol and a seed: " << line;
    one.protocol = *parsed;
    pinned.push_back(std::move(one));
  }
  return pinned;
}

}  // namespace quorate::sim
