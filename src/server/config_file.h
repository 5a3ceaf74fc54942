// The TOML file of `quorate serve --config`: the flags by their names without the dashes, with '_' or '-'.
#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace quorate::server {

// Flag name (with dashes) to value. INVALID_ARGUMENT says file, line and what is wrong: a syntax error, an unknown key,
// a wrong type.
Result<std::map<std::string, std::string>> LoadConfigFile(const std::string& path);

}  // namespace quorate::server
