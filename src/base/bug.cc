#include "base/bug.h"

#ifdef QUORATE_BUGS
#include <string>

namespace quorate {
namespace {
std::string& Selected() {
  static std::string selected;
  return selected;
}
}  // namespace

bool BugEnabled(std::string_view name) {
  return Selected() == name;
}
void SelectBug(std::string_view name) {
  Selected() = name;
}

}  // namespace quorate
#endif
