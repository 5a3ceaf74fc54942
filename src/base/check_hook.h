// A last word when a CHECK fails, for simulations that keep what they know. In a header of its own: few need it.
#pragma once

#include <string>

namespace quorate {

// Called with the words of a CHECK that failed, after they are printed and before the process ends; null: nobody. It
// may end the process itself. Thread rule: set before any thread starts.
void SetCheckFailureHook(void (*hook)(const std::string& words));

}  // namespace quorate
