#include "server/config_file.h"

#include <toml++/toml.h>

#include <algorithm>

#include "server/config.h"

namespace quorate::server {
namespace {

Status ErrorAt(const std::string& path, const toml::source_region& where, const std::string& what) {
  return Status::InvalidArgument(path + ":" + std::to_string(where.begin.line) + ": " + what);
}

bool IsFlag(const std::string& key) {
  const auto& specs = ServeFlagSpecs();
  return std::any_of(specs.begin(), specs.end(), [&](const FlagSpec& spec) { return spec.name == key; });
}

}  // namespace

Result<std::map<std::string, std::string>> LoadConfigFile(const std::string& path) {
  std::map<std::string, std::string> values;
  try {
    const toml::table file = toml::parse_file(path);
    for (const auto& [raw_key, value] : file) {
      std::string key(raw_key.str());
      std::replace(key.begin(), key.end(), '_', '-');
      if (!IsFlag(key)) {
        return ErrorAt(path, value.source(), "unknown key \"" + key + "\"; `quorate serve --help` lists the flags");
      }
      const auto text = value.value<std::string>();
      if (!text) return ErrorAt(path, value.source(), key + " must be a string");
      values[key] = *text;
    }
  } catch (const toml::parse_error& error) {
    return ErrorAt(path, error.source(), std::string(error.description()));
  }
  return values;
}

}  // namespace quorate::server
