// What all protocols tell an Inspector in the same words.
#pragma once

#include "consensus/core.h"

namespace quorate::consensus {

// voters, outgoing, learners: lists separated by commas; an empty one is left out.
void InspectMembers(const Membership& members, Inspector& out);

}  // namespace quorate::consensus
