#include "cli/bench/read_back.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/bench/server_link.h"
#include "net/reactor.h"

namespace quorate::cli {
namespace {

using net::Reactor;

constexpr int kLinksPerEndpoint = 2;
constexpr int kReadersPerLink = 8;
constexpr std::uint64_t kReadTimeoutNs = 5'000'000'000;
constexpr std::uint64_t kConnectTimeoutNs = 2'000'000'000;
constexpr std::uint64_t kPauseAfterErrorNs = 100'000'000;
constexpr std::uint64_t kBetweenLooksNs = 500'000'000;
constexpr auto kWatchdogPeriod = std::chrono::milliseconds(200);

class ReadBack {
 public:
  ReadBack(const std::vector<client::Endpoint>& endpoints, const std::vector<ExpectedKey>& expected,
           std::uint64_t patience_ns, const std::function<void(const ReadRecord&)>& on_read)
      : endpoints_(endpoints),
        expected_(expected),
        patience_ns_(patience_ns),
        on_read_(on_read),
        reactor_(context_),
        watchdog_(context_) {}

  ReadBackReport Run() {
    for (std::size_t i = 0; i < expected_.size(); ++i) todo_.push_back(i);
    left_ = expected_.size();
    if (left_ == 0) return report_;
    const std::size_t links = endpoints_.size() * kLinksPerEndpoint;
    for (std::size_t i = 0; i < links; ++i) links_.push_back(std::make_unique<Link>(*this, i));
    for (const auto& link : links_) link->link.Open();
    last_answer_ns_ = Reactor::NowNs();
    Watch();
    context_.run();
    stopping_ = true;
    links_.clear();
    report_.unverifiable = left_;
    return report_;
  }

 private:
  struct Link;

  class Reader final : public net::ClientCallHandler, private net::Timer {
   public:
    Reader(ReadBack& run, Link& link) : run_(run), link_(link) {}
    bool idle() const { return !busy_ && !armed(); }
    void Begin();

   private:
    void OnMessage(std::string_view message) override { answer_ = std::string(message); }
    void OnDone(const net::CallEnd& end) override;
    void OnTimer() override { Begin(); }

    ReadBack& run_;
    Link& link_;
    bool busy_ = false;
    std::size_t index_ = 0;
    std::uint64_t sent_ns_ = 0;
    std::optional<std::string> answer_;
  };

  struct Link {
    Link(ReadBack& run, std::size_t number)
        : link(run.reactor_, run.endpoints_, number, kConnectTimeoutNs, [this] { Start(); }) {
      for (int i = 0; i < kReadersPerLink; ++i) readers.push_back(std::make_unique<Reader>(run, *this));
    }
    void Start() {
      for (const auto& reader : readers) {
        if (reader->idle()) reader->Begin();
      }
    }
    std::vector<std::unique_ptr<Reader>> readers;
    ServerLink link;
  };

  // Gives up when nothing is answered any more, and wakes readers for keys that are due for another look.
  void Watch() {
    watchdog_.expires_after(kWatchdogPeriod);
    watchdog_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      const std::uint64_t now = Reactor::NowNs();
      if (now - last_answer_ns_ > patience_ns_) return context_.stop();
      while (!again_.empty() && again_.front().first <= now) {
        todo_.push_back(again_.front().second);
        again_.pop_front();
      }
      for (const auto& link : links_) link->Start();
      Watch();
    });
  }

  void Answered(std::size_t index, std::uint64_t sent_ns, const etcdserverpb::RangeResponse& response) {
    last_answer_ns_ = Reactor::NowNs();
    const bool found = response.kvs_size() > 0;
    if (on_read_) on_read_({index, sent_ns, last_answer_ns_, found, response.header().revision()});
    int& looks = looks_[index];
    ++looks;
    if (found) {
      const mvccpb::KeyValue& kv = response.kvs(0);
      const ExpectedKey& expected = expected_[index];
      if (kv.key() != expected.key || kv.value() != expected.value || kv.mod_revision() != expected.revision ||
          kv.version() != 1) {
        ++report_.altered;
      } else if (looks > 1) {
        ++report_.stale;
      }
    } else if (looks == kLooks) {
      ++report_.lost;
    } else {
      again_.emplace_back(last_answer_ns_ + kBetweenLooksNs, index);
      return;
    }
    if (--left_ == 0) context_.stop();
  }

  const std::vector<client::Endpoint>& endpoints_;
  const std::vector<ExpectedKey>& expected_;
  const std::uint64_t patience_ns_;
  const std::function<void(const ReadRecord&)>& on_read_;
  boost::asio::io_context context_{1};
  Reactor reactor_;
  boost::asio::steady_timer watchdog_;
  std::vector<std::unique_ptr<Link>> links_;
  std::deque<std::size_t> todo_;
  std::deque<std::pair<std::uint64_t, std::size_t>> again_;  // due, index
  std::vector<int> looks_ = std::vector<int>(expected_.size(), 0);
  std::size_t left_ = 0;
  std::uint64_t last_answer_ns_ = 0;
  bool stopping_ = false;
  ReadBackReport report_;
};

void ReadBack::Reader::Begin() {
  if (run_.stopping_ || run_.todo_.empty() || !link_.link.ready()) return;
  index_ = run_.todo_.front();
  etcdserverpb::RangeRequest request;
  request.set_key(run_.expected_[index_].key);
  answer_.reset();
  sent_ns_ = Reactor::NowNs();
  busy_ = link_.link.Unary(client::path::kRange, request.SerializeAsString(), this, kReadTimeoutNs) != nullptr;
  if (busy_) run_.todo_.pop_front();
}

void ReadBack::Reader::OnDone(const net::CallEnd& end) {
  busy_ = false;
  if (run_.stopping_) return;
  etcdserverpb::RangeResponse response;
  if (end.status.ok() && answer_ && response.ParseFromString(*answer_)) {
    run_.Answered(index_, sent_ns_, response);
    return Begin();
  }
  run_.todo_.push_back(index_);
  if (end.status.code() == StatusCode::kDeadlineExceeded) link_.link.MoveOn();
  run_.reactor_.Arm(*this, Reactor::NowNs() + kPauseAfterErrorNs);
}

}  // namespace

ReadBackReport RunReadBack(const std::vector<client::Endpoint>& endpoints, const std::vector<ExpectedKey>& expected,
                           std::uint64_t patience_ns, const std::function<void(const ReadRecord&)>& on_read) {
  return ReadBack(endpoints, expected, patience_ns, on_read).Run();
}

}  // namespace quorate::cli
