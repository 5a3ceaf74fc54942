// ByteQueue: output waiting for its turn, as the strings it came in; nothing is copied until it goes to the socket's
// buffer. Thread rule: the owner's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace quorate::net {

class ByteQueue {
 public:
  void Push(std::string bytes) {
    if (bytes.empty()) return;
    size_ += bytes.size();
    chunks_.push_back(std::move(bytes));
  }
  // Appends the first `count` bytes to `out` and drops them here. REQUIRES count <= size().
  void PopInto(std::string& out, std::size_t count) {
    CHECK(count <= size_) << count << " of " << size_;
    size_ -= count;
    while (count > 0) {
      const std::string& chunk = chunks_[head_];
      const std::size_t part = std::min(count, chunk.size() - offset_);
      out.append(chunk, offset_, part);
      offset_ += part;
      count -= part;
      if (offset_ == chunk.size()) {
        chunks_[head_] = {};
        ++head_;
        offset_ = 0;
      }
    }
    if (size_ == 0) Clear();
  }
  void Clear() {
    chunks_.clear();
    head_ = offset_ = size_ = 0;
  }
  std::size_t size() const { return size_; }

 private:
  std::vector<std::string> chunks_;
  std::size_t head_ = 0;    // the first chunk not wholly popped
  std::size_t offset_ = 0;  // what of it is popped
  std::size_t size_ = 0;
};

}  // namespace quorate::net
