#include "base/check.h"

#include <cstdio>
#include <cstdlib>

#include "base/check_hook.h"

namespace quorate {
namespace {
void (*failure_hook)(const std::string& words) = nullptr;
}  // namespace

void SetCheckFailureHook(void (*hook)(const std::string& words)) {
  failure_hook = hook;
}

}  // namespace quorate

namespace quorate::internal {

CheckFailure::CheckFailure(const char* file, int line, const char* condition) {
  stream_ << file << ":" << line << ": CHECK failed: " << condition << " ";
}

CheckFailure::~CheckFailure() {
  const std::string text = stream_.str();
  std::fprintf(stderr, "%s\n", text.c_str());
  std::fflush(stderr);
  if (failure_hook != nullptr) {
    // A CHECK that fails in the hook does not come back to it.
    auto* const hook = failure_hook;
    failure_hook = nullptr;
    hook(text);
  }
  std::abort();
}

}  // namespace quorate::internal
