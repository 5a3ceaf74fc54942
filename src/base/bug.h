// QUORATE_BUG(name): a seeded bug, for proving that the simulator would catch it.
//
// Constant false unless the tree is built with -DQUORATE_BUGS=1 (the `bugs` preset), so a release binary holds neither
// the branch nor the name. In the `bugs` preset one bug at a time is switched on by name (SelectBug) before a run
// starts. The registry with each bug's reference is sim/bugs.cc. Thread rule: SelectBug before any thread starts.
#pragma once

#include <string_view>

#ifdef QUORATE_BUGS
namespace quorate {
bool BugEnabled(std::string_view name);
void SelectBug(std::string_view name);  // "" = none
}  // namespace quorate
#define QUORATE_BUG(name) (::quorate::BugEnabled(#name))
#else
#define QUORATE_BUG(name) (false)
#endif
