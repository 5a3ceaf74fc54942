// Bytes: a shared, immutable slice of memory. Copying one copies a pointer, not the bytes.
//
// Used wherever a byte string outlives the call that brought it: entries, messages, values. A slice keeps its whole
// parent alive, so long-lived small slices of large buffers are copied with Bytes::Copy. Thread rule: the memory is
// immutable and the reference count atomic, so a Bytes may be handed to another thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace quorate {

class Bytes {
 public:
  Bytes() = default;
  // Takes over the string's memory.
  explicit Bytes(std::string text) : owner_(std::make_shared<const std::string>(std::move(text))), view_(*owner_) {}
  static Bytes Copy(std::string_view view) { return Bytes(std::string(view)); }

  std::string_view view() const { return view_; }
  const char* data() const { return view_.data(); }
  std::size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  std::string ToString() const { return std::string(view_); }

  // The part [offset, offset + length), sharing this one's memory. REQUIRES offset <= size(); length is cut to what
  // there is.
  Bytes Slice(std::size_t offset, std::size_t length = std::string_view::npos) const {
    Bytes part;
    part.owner_ = owner_;
    part.view_ = view_.substr(offset, length);
    return part;
  }
  // The Bytes for a view that lies inside this one (what a decoder hands back).
  Bytes SliceOf(std::string_view inner) const {
    if (inner.empty()) return {};
    return Slice(static_cast<std::size_t>(inner.data() - view_.data()), inner.size());
  }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view_ == b.view_; }
  friend auto operator<=>(const Bytes& a, const Bytes& b) { return a.view_ <=> b.view_; }

 private:
  std::shared_ptr<const std::string> owner_;
  std::string_view view_;
};

}  // namespace quorate
