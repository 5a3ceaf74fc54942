#include "cli/bench/fill.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "cli/bench/load.h"

namespace quorate::cli {
namespace {

constexpr std::chrono::milliseconds kPauseAfterError{100};
constexpr std::uint64_t kProgressPuts = 100'000;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What the connections share.
struct Shared {
  explicit Shared(const FillOptions& o) : options(o) {}

  const FillOptions& options;
  std::atomic<std::uint64_t> puts = 0;
  std::atomic<std::uint64_t> revisions = 0;
  std::atomic<std::uint64_t> retries = 0;
  std::atomic<bool> failed = false;
  std::mutex mutex;
  Status why;  // guarded by mutex

  void Fail(const Status& status) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!failed.exchange(true)) why = status;
  }
  void Count(std::uint64_t count) {
    const std::uint64_t before = puts.fetch_add(count);
    ++revisions;
    if (!options.progress || before / kProgressPuts == (before + count) / kProgressPuts) return;
    const std::lock_guard<std::mutex> lock(mutex);
    options.progress(before + count);
  }
};

// A put that was done twice is only one revision more.
bool Write(client::EtcdClient& client, const etcdserverpb::TxnRequest& txn, Shared* shared) {
  const double given_up = Now() + shared->options.timeout_seconds;
  while (!shared->failed) {
    const auto answer = client.Txn(txn);
    if (answer.ok()) return true;
    if (Now() > given_up) {
      shared->Fail(answer.status());
      return false;
    }
    ++shared->retries;
    std::this_thread::sleep_for(kPauseAfterError);
  }
  return false;
}

// Keys [begin, end), round after round.
void FillSlice(std::uint64_t begin, std::uint64_t end, Shared* shared) {
  const FillOptions& options = shared->options;
  const auto timeout_ns = static_cast<std::uint64_t>(options.timeout_seconds * 1e9);
  client::EtcdClient client(options.endpoints, {.timeout_ns = timeout_ns});
  for (std::uint64_t round = 0; round < options.rounds; ++round) {
    for (std::uint64_t at = begin; at < end; at += options.batch) {
      const std::uint64_t upto = std::min<std::uint64_t>(end, at + options.batch);
      etcdserverpb::TxnRequest txn;
      for (std::uint64_t key = at; key < upto; ++key) {
        auto* put = txn.add_success()->mutable_request_put();
        put->set_key(LoadKey(key, options.key_bytes));
        put->set_value(FillValue(key, round, options.value_bytes));
      }
      if (!Write(client, txn, shared)) return;
      shared->Count(upto - at);
    }
  }
}

}  // namespace

std::string FillValue(std::uint64_t key, std::uint64_t round, std::size_t bytes) {
  std::string value(bytes, '\0');
  std::uint64_t state = key * 0x9e3779b97f4a7c15 + round;
  for (std::size_t at = 0; at < bytes; at += 8) {
    std::uint64_t mixed = state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    mixed ^= mixed >> 31;
    for (std::size_t i = at; i < std::min(bytes, at + 8); ++i, mixed >>= 8) value[i] = static_cast<char>(mixed & 0xff);
  }
  return value;
}

Result<FillReport> RunFill(const FillOptions& options) {
  Shared shared(options);
  const double began = Now();
  std::vector<std::thread> threads;
  const auto conns = static_cast<std::uint64_t>(options.conns);
  for (std::uint64_t i = 0; i < conns; ++i) {
    threads.emplace_back(FillSlice, options.keys * i / conns, options.keys * (i + 1) / conns, &shared);
  }
  for (std::thread& thread : threads) thread.join();
  if (shared.failed) return shared.why;
  return FillReport{shared.puts, shared.revisions, shared.retries, Now() - began};
}

}  // namespace quorate::cli
