// Stream: one connected byte stream, TCP today, TLS behind the same calls later. Readiness, not completion: a waiting
// stream owns no buffer, so an idle connection costs none.
//
// Used by sessions and channels. Thread rule: the reactor's thread; the events come from the loop, never from inside a
// call. Invariant: at most one wait of each kind is outstanding; the events object is kept alive by its wait, and hears
// nothing more after Close.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace quorate::net {

class StreamEvents {
 public:
  virtual ~StreamEvents() = default;
  virtual void OnReadable() = 0;
  virtual void OnWritable() = 0;
};

struct IoResult {
  enum class State { kOk, kWouldBlock, kClosed };
  State state = State::kOk;
  std::size_t bytes = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;
  virtual IoResult Read(std::span<char> into) = 0;
  virtual IoResult Write(std::string_view from) = 0;
  virtual void WaitReadable(std::shared_ptr<StreamEvents> events) = 0;
  virtual void WaitWritable(std::shared_ptr<StreamEvents> events) = 0;
  virtual void Close() = 0;
  virtual std::string peer() const = 0;  // "host:port"
};

}  // namespace quorate::net
