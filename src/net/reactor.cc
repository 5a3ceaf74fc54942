#include "net/reactor.h"

#include <time.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>
#include <vector>

namespace quorate::net {

// Shared with the handlers it posts, so that a reactor may go while some are still queued.
struct Reactor::State : std::enable_shared_from_this<Reactor::State> {
  explicit State(boost::asio::io_context& io) : context(io), tick(io), read_buffer(kReadBufferBytes) {}

  void RunFlushes() {
    flush_posted = false;
    flushing.swap(to_flush);
    for (auto& who : flushing) {
      who->flush_queued_ = false;
      who->FlushNow();
    }
    flushing.clear();
  }

  void StartTicking() {
    if (ticking || wheel.empty()) return;
    ticking = true;
    tick.expires_after(std::chrono::nanoseconds(TimerWheel::kTickNs));
    tick.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      self->ticking = false;
      if (error) return;
      self->wheel.Advance(NowNs());
      self->StartTicking();
    });
  }

  boost::asio::io_context& context;
  boost::asio::steady_timer tick;
  bool ticking = false;
  TimerWheel wheel;
  bool flush_posted = false;
  std::vector<std::shared_ptr<Flushable>> to_flush;
  std::vector<std::shared_ptr<Flushable>> flushing;
  std::vector<char> read_buffer;
  std::string write_buffer;
};

Reactor::Reactor(boost::asio::io_context& context) : state_(std::make_shared<State>(context)) {}
Reactor::~Reactor() {
  state_->tick.cancel();
}

boost::asio::io_context& Reactor::context() {
  return state_->context;
}

void Reactor::QueueFlush(std::shared_ptr<Flushable> who) {
  if (who->flush_queued_) return;
  who->flush_queued_ = true;
  state_->to_flush.push_back(std::move(who));
  if (state_->flush_posted) return;
  state_->flush_posted = true;
  boost::asio::post(state_->context, [state = state_] { state->RunFlushes(); });
}

void Reactor::Arm(Timer& timer, std::uint64_t due_ns) {
  state_->wheel.Arm(timer, due_ns, NowNs());
  state_->StartTicking();
}

std::span<char> Reactor::read_buffer() {
  return state_->read_buffer;
}
std::string& Reactor::write_buffer() {
  return state_->write_buffer;
}

std::uint64_t Reactor::NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace quorate::net
