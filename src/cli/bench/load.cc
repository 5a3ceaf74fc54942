#include "cli/bench/load.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "cli/bench/latency_histogram.h"
#include "cli/bench/process_usage.h"
#include "cli/bench/server_link.h"
#include "net/reactor.h"

namespace quorate::cli {
namespace {

using net::Reactor;

constexpr std::uint64_t kPauseAfterErrorNs = 10'000'000;
constexpr std::uint64_t kConnectTimeoutNs = 2'000'000'000;
constexpr std::uint64_t kPatienceNs = 60'000'000'000;  // without a single new key, before the load begins
constexpr std::uint64_t kReachNs = 5'000'000'000;      // for the first member to be reached

std::uint64_t Nanoseconds(double seconds) {
  return static_cast<std::uint64_t>(seconds * 1e9);
}

// SplitMix64: which keys are used need not surprise anybody, only spread.
std::uint64_t NextRandom(std::uint64_t* state) {
  std::uint64_t mixed = *state += 0x9e3779b97f4a7c15;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return mixed ^ mixed >> 31;
}

struct Meters {
  ProcessUsage servers;
  double own_seconds = 0;
  double machine_seconds = 0;
};

class LoadRun {
 public:
  explicit LoadRun(const LoadOptions& options) : options_(options), reactor_(context_), timer_(context_) {}

  Result<LoadReport> Run() {
    for (std::uint64_t i = 0; i < options_.keys; ++i) keys_.push_back(LoadKey(i, options_.key_bytes));
    for (int i = 0; i < options_.conns; ++i) connections_.push_back(std::make_unique<Connection>(*this, i));
    for (const auto& connection : connections_) connection->link.Open();
    At(kReachNs, [this] { CheckReached(); });
    context_.run();
    phase_ = Phase::kEnd;
    connections_.clear();  // ends what is still open
    if (!failure_.ok()) return failure_;
    return std::move(report_);
  }

 private:
  enum class Phase { kFill, kLoad, kEnd };

  struct Connection;

  // One operation after the other, for ever.
  class Slot final : public net::ClientCallHandler, private net::Timer {
   public:
    Slot(LoadRun& run, Connection& connection) : run_(run), connection_(connection) {}
    void Begin();
    bool idle() const { return !busy_ && !armed(); }

   private:
    void OnMessage(std::string_view message) override { verdict_ = run_.Check(*this, message); }
    void OnDone(const net::CallEnd& end) override;
    void OnTimer() override { Begin(); }

    friend class LoadRun;
    LoadRun& run_;
    Connection& connection_;
    bool busy_ = false;
    bool put_ = false;
    std::uint64_t key_ = 0;
    std::uint64_t begun_ns_ = 0;
    std::int64_t floor_ = 0;              // the highest revision acknowledged before it was sent
    std::optional<std::string> verdict_;  // empty text = right
  };

  struct Connection {
    Connection(LoadRun& run, int number)
        : link(run.reactor_, run.options_.endpoints, static_cast<std::size_t>(number), kConnectTimeoutNs,
               [this] { Start(); }) {
      for (int i = 0; i < run.options_.inflight; ++i) slots.push_back(std::make_unique<Slot>(run, *this));
    }
    void Start() {
      for (const auto& slot : slots) {
        if (slot->idle()) slot->Begin();
      }
    }
    std::vector<std::unique_ptr<Slot>> slots;  // outlive the link's calls
    ServerLink link;
  };

  void At(std::uint64_t delay_ns, std::function<void()> then) {
    timer_.expires_after(std::chrono::nanoseconds(delay_ns));
    timer_.async_wait([then = std::move(then)](const boost::system::error_code& error) {
      if (!error) then();
    });
  }

  void Fail(Status status) {
    failure_ = std::move(status);
    context_.stop();
  }

  void CheckReached() {
    if (phase_ != Phase::kFill) return;
    for (const auto& connection : connections_) {
      if (connection->link.was_ever_ready()) {
        return At(kPatienceNs, [this, before = fill_.done] {
          if (phase_ != Phase::kFill) return;
          if (fill_.done > before) return CheckReached();
          std::string seen;
          for (const auto& [kind, count] : report_.errors) seen += "; " + kind + " x" + std::to_string(count);
          Fail(Status(StatusCode::kDeadlineExceeded, "the keys could not be written" + seen));
        });
      }
    }
    Fail(connections_.front()->link.last_failure().ok() ? Status::Unavailable("connect: timed out")
                                                        : connections_.front()->link.last_failure());
  }

  bool Read(Meters* meters) {
    const Result<ProcessUsage> usage = UsageOf(options_.pids);
    if (!usage.ok()) {
      Fail(usage.status());
      return false;
    }
    *meters = {*usage, OwnCpuSeconds(), MachineBusySeconds()};
    return true;
  }

  void BeginLoad() {
    phase_ = Phase::kLoad;
    for (const auto& connection : connections_) connection->Start();
    At(Nanoseconds(options_.warmup_seconds), [this] {
      if (!Read(&window_.before)) return;
      window_.begin_ns = Reactor::NowNs();
      At(Nanoseconds(options_.seconds), [this] { EndWindow(); });
    });
  }

  void EndWindow() {
    Meters after;
    if (!Read(&after)) return;
    report_.seconds = static_cast<double>(Reactor::NowNs() - window_.begin_ns) / 1e9;
    report_.ops = window_.latencies.count();
    report_.p50_ns = window_.latencies.Percentile(0.5);
    report_.p90_ns = window_.latencies.Percentile(0.9);
    report_.p99_ns = window_.latencies.Percentile(0.99);
    report_.max_ns = window_.latencies.max();
    report_.client_cpu_seconds = after.own_seconds - window_.before.own_seconds;
    report_.server_cpu_seconds = after.servers.cpu_seconds - window_.before.servers.cpu_seconds;
    report_.server_resident_bytes = after.servers.resident_bytes;
    report_.other_cpu_seconds = std::max(0.0, after.machine_seconds - window_.before.machine_seconds -
                                                  report_.client_cpu_seconds - report_.server_cpu_seconds);
    context_.stop();
  }

  // Chooses what `slot` does next; false when there is nothing to do now.
  bool Choose(Slot& slot) {
    if (phase_ == Phase::kFill) {
      if (fill_.again.empty() && fill_.next == keys_.size()) return false;
      slot.put_ = true;
      if (fill_.again.empty()) {
        slot.key_ = fill_.next++;
      } else {
        slot.key_ = fill_.again.back();
        fill_.again.pop_back();
      }
      return true;
    }
    slot.put_ = options_.kind == LoadKind::kPut;
    slot.key_ = NextRandom(&random_) % keys_.size();
    return true;
  }

  std::string RequestOf(const Slot& slot) {
    const std::string& key = keys_[slot.key_];
    if (slot.put_) {
      messages_.put.set_key(key);
      messages_.put.set_value(LoadValue(key, options_.value_bytes));
      return messages_.put.SerializeAsString();
    }
    messages_.range.set_key(key);
    messages_.range.set_serializable(options_.serializable);
    return messages_.range.SerializeAsString();
  }

  // What is wrong with the answer; empty when nothing is.
  std::string Check(const Slot& slot, std::string_view message) {
    if (slot.put_) {
      if (!messages_.put_answer.ParseFromArray(message.data(), static_cast<int>(message.size())))
        return "cannot be read";
      if (messages_.put_answer.header().revision() <= slot.floor_) return "revision not above an earlier one";
      floor_ = std::max<std::int64_t>(floor_, messages_.put_answer.header().revision());
      return {};
    }
    if (!messages_.range_answer.ParseFromArray(message.data(), static_cast<int>(message.size())))
      return "cannot be read";
    if (messages_.range_answer.header().revision() < slot.floor_ && !options_.serializable)
      return "revision below an earlier one";
    if (messages_.range_answer.kvs_size() != 1) return "key not found";
    const std::string& key = keys_[slot.key_];
    if (messages_.range_answer.kvs(0).key() != key) return "another key";
    if (messages_.range_answer.kvs(0).value() != LoadValue(key, options_.value_bytes)) return "another value";
    return {};
  }

  // True when it was good.
  bool Count(Slot& slot, const net::CallEnd& end) {
    std::string kind;
    if (!end.status.ok()) {
      kind = ErrorKind(end.status);
    } else if (slot.verdict_ != std::string()) {
      kind = "wrong answer: " + slot.verdict_.value_or("no message");
      ++report_.wrong;
    } else if (window_.begin_ns != 0) {
      window_.latencies.Record(Reactor::NowNs() - slot.begun_ns_);
    }
    if (!kind.empty()) ++report_.errors[kind];
    if (phase_ == Phase::kFill && kind.empty() && ++fill_.done == keys_.size()) BeginLoad();
    if (phase_ == Phase::kFill && !kind.empty()) fill_.again.push_back(slot.key_);
    return kind.empty();
  }

  const LoadOptions& options_;
  boost::asio::io_context context_{1};
  Reactor reactor_;
  boost::asio::steady_timer timer_;
  std::vector<std::string> keys_;
  std::vector<std::unique_ptr<Connection>> connections_;
  Phase phase_ = Phase::kFill;
  struct {
    std::uint64_t next = 0;
    std::uint64_t done = 0;
    std::vector<std::uint64_t> again;  // keys whose write has failed
  } fill_;
  struct {
    std::uint64_t begin_ns = 0;  // 0 = warming up
    Meters before;
    LatencyHistogram latencies;
  } window_;
  LoadReport report_;
  Status failure_;
  std::uint64_t random_ = 1;
  std::int64_t floor_ = 0;
  struct {
    etcdserverpb::PutRequest put;
    etcdserverpb::PutResponse put_answer;
    etcdserverpb::RangeRequest range;
    etcdserverpb::RangeResponse range_answer;
  } messages_;  // used again and again, so that a message costs no allocation
};

void LoadRun::Slot::Begin() {
  if (run_.phase_ == Phase::kEnd || !connection_.link.ready() || !run_.Choose(*this)) return;
  verdict_.reset();
  floor_ = run_.floor_;
  begun_ns_ = Reactor::NowNs();
  busy_ = connection_.link.Unary(put_ ? client::path::kPut : client::path::kRange, run_.RequestOf(*this), this,
                                 Nanoseconds(run_.options_.timeout_seconds)) != nullptr;
  if (!busy_ && run_.phase_ == Phase::kFill) run_.fill_.again.push_back(key_);
}

void LoadRun::Slot::OnDone(const net::CallEnd& end) {
  busy_ = false;
  if (run_.phase_ == Phase::kEnd) return;
  if (run_.Count(*this, end)) {
    if (idle()) Begin();  // the end of the filling may have begun it already
  } else {
    run_.reactor_.Arm(*this, Reactor::NowNs() + kPauseAfterErrorNs);
  }
}

}  // namespace

std::string LoadKey(std::uint64_t index, std::size_t key_bytes) {
  static constexpr std::string_view kPrefix = "bench/";
  std::string digits = std::to_string(index);
  if (digits.size() + kPrefix.size() < key_bytes) digits.insert(0, key_bytes - kPrefix.size() - digits.size(), '0');
  return std::string(kPrefix) + digits;
}

std::string LoadValue(std::string_view key, std::size_t value_bytes) {
  std::string value;
  value.reserve(value_bytes);
  value.append(key.substr(0, value_bytes));
  value.resize(value_bytes, '.');
  return value;
}

std::string ErrorKind(const Status& status) {
  std::string kind = "code " + std::to_string(static_cast<int>(status.code())) + ": " + status.message();
  constexpr std::size_t kLongest = 120;
  return kind.substr(0, kLongest);
}

Result<LoadReport> RunLoad(const LoadOptions& options) {
  return LoadRun(options).Run();
}

}  // namespace quorate::cli
