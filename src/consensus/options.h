// What a core is started with, checked: the same for all protocols.
//
// Called by the protocols when a node is made. Plain functions, no thread rule.
#pragma once

#include <string_view>

#include "base/result.h"
#include "consensus/core.h"

namespace quorate::consensus {

// INVALID_ARGUMENT names the field and its range.
Status ValidateOptions(const Options& options);

// Members to begin with: none at all (a member that joins), or voters and learners outside of a joint change.
// INVALID_ARGUMENT says what is wrong with `field`.
Status CheckMembers(const Membership& members, std::string_view field);

}  // namespace quorate::consensus
