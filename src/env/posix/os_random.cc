#include "env/posix/os_random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/check.h"

namespace quorate::env {

std::uint64_t OsRandom::Next() {
  if (left_ == 0) {
    ssize_t got = 0;
    do {
      got = getrandom(lot_.data(), sizeof lot_, 0);
    } while (got < 0 && errno == EINTR);
    CHECK(got == static_cast<ssize_t>(sizeof lot_)) << "getrandom failed, errno " << errno;
    left_ = lot_.size();
  }
  return lot_[--left_];
}

}  // namespace quorate::env
