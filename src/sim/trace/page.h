// The trace page without its data: sim/trace/page.html, put into the program by the build. Sim/trace/recorder fills it.
#pragma once

#include <string_view>

namespace quorate::sim {

extern const std::string_view kTracePage;

}  // namespace quorate::sim
