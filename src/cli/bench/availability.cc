#include "cli/bench/availability.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <utility>

#include "cli/bench/load.h"
#include "cli/bench/read_back.h"
#include "cli/bench/server_link.h"
#include "cli/json.h"
#include "net/reactor.h"

extern char** environ;

namespace quorate::cli {
namespace {

using net::Reactor;

constexpr int kConnsPerEndpoint = 4;
constexpr std::uint64_t kShortestSleepNs = 50'000;

std::uint64_t Nanoseconds(double seconds) {
  return static_cast<std::uint64_t>(seconds * 1e9);
}

// Names of keys are unique to the run, so that one is never written twice.
std::string RunName() {
  return Hex(Reactor::NowNs()) + "-" + std::to_string(::getpid());
}

// Refusals after which the write is certain not to happen. Anything else may hide one that does.
bool IsRefusal(StatusCode code) {
  switch (code) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
    case StatusCode::kPermissionDenied:
    case StatusCode::kResourceExhausted:
    case StatusCode::kFailedPrecondition:
    case StatusCode::kUnimplemented:
    case StatusCode::kUnauthenticated:
      return true;
    default:
      return false;
  }
}

class WriteRun {
 public:
  WriteRun(const AvailabilityOptions& options, std::string name)
      : options_(options),
        name_(std::move(name)),
        interval_ns_(1e9 / options.rate),
        reactor_(context_),
        pace_(context_),
        fault_timer_(context_) {
    report_.writes.resize(static_cast<std::size_t>(options.seconds * options.rate));
  }

  Result<AvailabilityReport> Run() {
    const std::size_t conns =
        options_.conns > 0 ? static_cast<std::size_t>(options_.conns) : options_.endpoints.size() * kConnsPerEndpoint;
    for (std::size_t i = 0; i < conns; ++i) connections_.push_back(std::make_unique<Connection>(*this, i));
    for (const auto& connection : connections_) connection->link.Open();
    report_.begin_ns = Reactor::NowNs();
    if (!options_.fault_command.empty()) ArmFault();
    Pace();
    context_.run();
    const bool reached = std::any_of(connections_.begin(), connections_.end(),
                                     [](const auto& connection) { return connection->link.was_ever_ready(); });
    const Status last_failure = connections_.front()->link.last_failure();
    connections_.clear();
    if (fault_pid_ > 0) ::waitpid(fault_pid_, nullptr, 0);
    if (!reached) return last_failure.ok() ? Status::Unavailable("connect: timed out") : last_failure;
    Conclude();
    return std::move(report_);
  }

  std::string KeyOf(std::size_t index) const { return "bench-availability/" + name_ + "/" + std::to_string(index); }

 private:
  // One write on its way.
  struct Operation final : net::ClientCallHandler {
    Operation(WriteRun& owner, std::size_t write) : run(owner), index(write) {}
    void OnMessage(std::string_view message) override {
      etcdserverpb::PutResponse response;
      if (response.ParseFromArray(message.data(), static_cast<int>(message.size())))
        revision = response.header().revision();
    }
    void OnDone(const net::CallEnd& end) override { run.Done(*this, end); }
    WriteRun& run;
    const std::size_t index;
    std::int64_t revision = 0;
  };

  struct Connection {
    Connection(WriteRun& owner, std::size_t number)
        : run(owner),
          link(owner.reactor_, owner.options_.endpoints, number, Nanoseconds(owner.options_.timeout_seconds),
               [this] { SendWaiting(); }) {}
    void SendWaiting() {
      while (!waiting.empty() && run.Send(waiting.front(), link)) waiting.pop_front();
    }
    WriteRun& run;
    std::deque<std::size_t> waiting;  // due, and not sent yet
    ServerLink link;
  };

  Connection& ConnectionOf(std::size_t index) { return *connections_[index % connections_.size()]; }

  std::uint64_t DueAt(std::size_t index) const {
    return report_.begin_ns + static_cast<std::uint64_t>(static_cast<double>(index) * interval_ns_);
  }

  // Hands out every write that is due, gives up those that waited too long, and sleeps until the next is.
  void Pace() {
    const std::uint64_t now = Reactor::NowNs();
    for (; next_ < report_.writes.size() && DueAt(next_) <= now; ++next_) {
      report_.writes[next_].intended_ns = DueAt(next_);
      Connection& connection = ConnectionOf(next_);
      connection.waiting.push_back(next_);
      connection.SendWaiting();
    }
    for (const auto& connection : connections_) GiveUpWaiting(*connection, now);
    if (settled_ == report_.writes.size()) return context_.stop();
    const std::uint64_t soon = now + kShortestSleepNs;
    const std::uint64_t wake = next_ < report_.writes.size() ? std::max(DueAt(next_), soon) : now + 10'000'000;
    pace_.expires_after(std::chrono::nanoseconds(wake - now));
    pace_.async_wait([this](const boost::system::error_code& error) {
      if (!error) Pace();
    });
  }

  void GiveUpWaiting(Connection& connection, std::uint64_t now) {
    while (!connection.waiting.empty() &&
           now - report_.writes[connection.waiting.front()].intended_ns >= Nanoseconds(options_.timeout_seconds)) {
      Settle(connection.waiting.front(), WriteOutcome::kNeverSent);
      connection.waiting.pop_front();
    }
  }

  bool Send(std::size_t index, ServerLink& link) {
    if (!link.ready()) return false;
    etcdserverpb::PutRequest request;
    request.set_key(KeyOf(index));
    request.set_value(LoadValue(request.key(), options_.value_bytes));
    auto operation = std::make_unique<Operation>(*this, index);
    const std::uint64_t now = Reactor::NowNs();
    if (link.Unary(client::path::kPut, request.SerializeAsString(), operation.get(),
                   Nanoseconds(options_.timeout_seconds)) == nullptr) {
      return false;
    }
    static_cast<void>(operation.release());  // Done deletes it
    report_.writes[index].sent_ns = now;
    return true;
  }

  void Done(Operation& finished, const net::CallEnd& end) {
    const std::unique_ptr<Operation> operation(&finished);
    if (end.status.ok() && operation->revision > 0) {
      report_.writes[operation->index].revision = operation->revision;
      return Settle(operation->index, WriteOutcome::kAcked);
    }
    ++report_.errors[end.status.ok() ? "an acknowledgement without a revision" : ErrorKind(end.status)];
    if (end.status.code() == StatusCode::kDeadlineExceeded) ConnectionOf(operation->index).link.MoveOn();
    if (!end.may_have_run) return Settle(operation->index, WriteOutcome::kNeverSent);
    Settle(operation->index, IsRefusal(end.status.code()) ? WriteOutcome::kFailed : WriteOutcome::kUnknown);
  }

  void Settle(std::size_t index, WriteOutcome outcome) {
    report_.writes[index].outcome = outcome;
    report_.writes[index].done_ns = Reactor::NowNs();
    ++settled_;
  }

  void ArmFault() {
    fault_timer_.expires_after(std::chrono::nanoseconds(Nanoseconds(options_.fault_at_seconds)));
    fault_timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      fault_ns_ = Reactor::NowNs();
      std::string shell = "sh", flag = "-c", command = options_.fault_command;
      char* const argv[] = {shell.data(), flag.data(), command.data(), nullptr};
      if (::posix_spawnp(&fault_pid_, "sh", nullptr, nullptr, argv, environ) != 0) fault_pid_ = 0;
    });
  }

  void Conclude() {
    // Gaps count until the last write was due: what came later had nobody left to acknowledge.
    const std::uint64_t end = report_.writes.empty() ? report_.begin_ns : report_.writes.back().intended_ns;
    const Gap* after_fault = nullptr;
    const std::vector<Gap> all = FindGaps(report_.writes, report_.begin_ns, end, 0);
    for (const Gap& gap : all) {
      report_.longest_gap_ns = std::max(report_.longest_gap_ns, gap.length_ns());
      if (fault_ns_ == 0 || gap.end_ns < fault_ns_) continue;
      if (after_fault == nullptr || gap.length_ns() > after_fault->length_ns()) after_fault = &gap;
    }
    report_.gaps = FindGaps(report_.writes, report_.begin_ns, end, Nanoseconds(options_.gap_seconds));
    if (after_fault != nullptr) report_.fault_to_end_of_gap_ns = after_fault->end_ns - fault_ns_;
    report_.reused_revisions = CountReusedRevisions(report_.writes);
    report_.order_violations = CountOrderViolations(report_.writes);
  }

  const AvailabilityOptions& options_;
  const std::string name_;
  const double interval_ns_;
  boost::asio::io_context context_{1};
  Reactor reactor_;
  boost::asio::steady_timer pace_;
  boost::asio::steady_timer fault_timer_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::size_t next_ = 0;     // the first write that is not due yet
  std::size_t settled_ = 0;  // writes whose outcome is decided
  std::uint64_t fault_ns_ = 0;
  pid_t fault_pid_ = 0;
  AvailabilityReport report_;
};

const char* NameOf(WriteOutcome outcome) {
  switch (outcome) {
    case WriteOutcome::kAcked:
      return "ok";
    case WriteOutcome::kFailed:
    case WriteOutcome::kNeverSent:
      return "fail";
    case WriteOutcome::kWaiting:
    case WriteOutcome::kUnknown:
      break;
  }
  return "unknown";
}

// The history file: {"op","key","due_ns","invoke_ns","complete_ns","result",...}, writes in the order they were due,
// then reads in the order of their answers. Times are of one monotonic clock.
class History {
 public:
  explicit History(const std::string& path) {
    if (!path.empty()) file_ = std::fopen(path.c_str(), "we");
  }
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  ~History() {
    if (file_ != nullptr) std::fclose(file_);
  }
  bool open() const { return file_ != nullptr; }

  void Write(const std::string& key, const WriteRecord& write) {
    if (file_ == nullptr) return;
    JsonObject line;
    line.Add("op", "put").Add("key", key).Add("due_ns", write.intended_ns);
    line.Add("invoke_ns", write.sent_ns != 0 ? write.sent_ns : write.intended_ns).Add("complete_ns", write.done_ns);
    line.Add("result", NameOf(write.outcome));
    if (write.outcome == WriteOutcome::kAcked) line.Add("revision", write.revision);
    std::fprintf(file_, "%s\n", line.Line().c_str());
  }
  void Read(const std::string& key, const ReadRecord& read) {
    if (file_ == nullptr) return;
    JsonObject line;
    line.Add("op", "get").Add("key", key).Add("invoke_ns", read.sent_ns).Add("complete_ns", read.done_ns);
    line.Add("result", "ok").Add("found", read.found).Add("revision", read.revision);
    std::fprintf(file_, "%s\n", line.Line().c_str());
  }

 private:
  std::FILE* file_ = nullptr;
};

}  // namespace

std::uint64_t AvailabilityReport::Count(WriteOutcome outcome) const {
  return static_cast<std::uint64_t>(std::count_if(
      writes.begin(), writes.end(), [outcome](const WriteRecord& write) { return write.outcome == outcome; }));
}

Result<AvailabilityReport> RunAvailability(const AvailabilityOptions& options) {
  History history(options.history_file);
  if (!options.history_file.empty() && !history.open()) {
    return Status::InvalidArgument("cannot write " + options.history_file);
  }
  WriteRun run(options, RunName());
  Result<AvailabilityReport> report = run.Run();
  if (!report.ok()) return report;
  std::vector<ExpectedKey> expected;
  for (std::size_t i = 0; i < report->writes.size(); ++i) {
    const WriteRecord& write = report->writes[i];
    const std::string key = run.KeyOf(i);
    history.Write(key, write);
    if (write.outcome == WriteOutcome::kAcked)
      expected.push_back({key, LoadValue(key, options.value_bytes), write.revision});
  }
  const ReadBackReport read =
      RunReadBack(options.endpoints, expected, Nanoseconds(options.verify_seconds),
                  [&](const ReadRecord& record) { history.Read(expected[record.index].key, record); });
  report->lost = read.lost;
  report->stale = read.stale;
  report->altered = read.altered;
  report->unverifiable = read.unverifiable;
  return report;
}

}  // namespace quorate::cli
