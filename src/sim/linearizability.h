// Linearizability of one register with put, get, compare-and-swap and delete: whether some order of the operations,
// each inside its interval, explains every answer.
//
// The search is Wing and Gong's (Testing and verifying concurrent objects, 1993) with Lowe's memoisation (Testing for
// linearizability, 2017), per key (Herlihy and Wing's locality). What keeps thousands of operations cheap, and loses
// neither soundness nor completeness as every answered operation tells what it saw:
//  - an unknown put or swap whose value nobody saw is left out; one that was seen must have happened before the first
//    one who saw it returned, which closes its interval;
//  - unknown deletes are all alike: a count, not a set;
//  - a read that fits the present state is taken at once, without a branch;
//  - writes whose revisions are known can only be taken in the order of their revisions.
// Used by sim/checkers. Plain functions, no thread rule.
#pragma once

#include <optional>
#include <string>

#include "sim/history.h"

namespace quorate::sim {

// Empty when the operations on `key` are linearizable, otherwise what could not be explained.
std::optional<std::string> ExplainNotLinearizable(const History& history, const std::string& key);

}  // namespace quorate::sim
