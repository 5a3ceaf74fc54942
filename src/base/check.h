// CHECK: an invariant whose violation means that going on would be worse than stopping. Always on, in release too.
//
// CHECK(condition) << "more words, with the numbers"; prints file, line, condition and the words, then aborts.
// DCHECK is the same in debug and sanitizer builds only: for checks that cost more than a few instructions.
// Thread rule: any thread. Expected failures (bad input, full disk) are Status values, never CHECKs.
#pragma once

#include <sstream>
#include <string>

namespace quorate::internal {

class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();

  template <class T>
  CheckFailure& operator<<(const T& value) {
    stream_ << value;
    return *this;
  }

 private:
  std::ostringstream stream_;
};

// Gives both arms of the conditional in CHECK the type void.
struct Voidify {
  void operator&(const CheckFailure&) const {}
};

}  // namespace quorate::internal

#define CHECK(condition)                              \
  (__builtin_expect(static_cast<bool>(condition), 1)) \
      ? static_cast<void>(0)                          \
      : ::quorate::internal::Voidify() & ::quorate::internal::CheckFailure(__FILE__, __LINE__, #condition) << ""

#ifdef NDEBUG
#define DCHECK(condition) \
  while (false) CHECK(condition)
#else
#define DCHECK(condition) CHECK(condition)
#endif
