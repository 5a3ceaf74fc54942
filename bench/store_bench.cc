// What Mvcc over the memory engine costs: CPU per put and read. bench/keyspace_bench.cc measures it on a disk. Not part
// of the default build: `ninja store_bench && build/release/src/store/store_bench`.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "env/disk_testing.h"
#include "store/engine_memory/memory_engine.h"
#include "store/mvcc.h"

namespace quorate::store {
namespace {

constexpr std::size_t kValueSize = 64;

std::string Key(std::uint64_t number) {
  char text[40];
  std::snprintf(text, sizeof text, "/registry/pods/%09lu", static_cast<unsigned long>(number));
  return text;
}

// A permutation of the numbers below a power of two, so that keys come in no order.
std::uint64_t Scatter(std::uint64_t number, std::uint64_t bound) {
  return number * 0x9e3779b97f4a7c15 % bound;
}

class Loaded {
 public:
  explicit Loaded(std::uint64_t keys) : engine_(storage_, executor_), buffer_(engine_), mvcc_(*Mvcc::Open(buffer_)) {
    for (std::uint64_t i = 0; i < keys; ++i) Put(Key(Scatter(i, keys)));
  }
  void Put(const std::string& key) {
    mvcc_->Begin();
    mvcc_->Put(key, Bytes(std::string(kValueSize, 'v')), 0);
    benchmark::DoNotOptimize(mvcc_->Commit());
    buffer_.Commit(buffer_.applied().Next());
    executor_.RunDue();
  }
  void Compact() {
    mvcc_->Compact(mvcc_->revision());
    buffer_.Commit(buffer_.applied().Next());
    executor_.RunDue();
  }
  Mvcc& mvcc() { return *mvcc_; }

 private:
  env::ManualExecutor executor_;
  MemoryStorage storage_;
  MemoryEngine engine_;
  WriteBuffer buffer_;
  std::unique_ptr<Mvcc> mvcc_;
};

Loaded& Shared(std::uint64_t keys) {
  static std::unique_ptr<Loaded> loaded;
  static std::uint64_t holds = 0;
  if (holds != keys) {
    loaded.reset();
    loaded = std::make_unique<Loaded>(keys);
    holds = keys;
  }
  return *loaded;
}

void PutExisting(benchmark::State& state) {
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  Loaded& loaded = Shared(keys);
  std::uint64_t next = 0;
  for (auto _ : state) {
    loaded.Put(Key(Scatter(next++ * 7919, keys)));
    if (next % (1 << 20) == 0) {
      state.PauseTiming();
      loaded.Compact();
      state.ResumeTiming();
    }
  }
}

void PutNew(benchmark::State& state) {
  std::uint64_t next = 0;
  auto loaded = std::make_unique<Loaded>(0);
  for (auto _ : state) loaded->Put(Key(Scatter(next++, 1 << 30)));
}

void GetLatest(benchmark::State& state) {
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  Loaded& loaded = Shared(keys);
  std::uint64_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(loaded.mvcc().Get(Key(Scatter(next++ * 7919, keys))));
}

void MakeKey(benchmark::State& state) {
  std::uint64_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(Key(Scatter(next++ * 7919, 1 << 20)));
}

void RangeThousand(benchmark::State& state) {
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  Loaded& loaded = Shared(keys);
  std::uint64_t next = 0;
  for (auto _ : state) {
    const std::uint64_t first = Scatter(next++, keys - 1000);
    benchmark::DoNotOptimize(loaded.mvcc().Range(Key(first), Key(first + 1000), {}));
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}

void CountAll(benchmark::State& state) {
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  Loaded& loaded = Shared(keys);
  const std::string_view all("\0", 1);
  for (auto _ : state) benchmark::DoNotOptimize(loaded.mvcc().Range(all, all, {.count_only = true}));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK(MakeKey);
BENCHMARK(PutNew)->Iterations(1 << 20);
BENCHMARK(PutExisting)->Arg(1 << 12)->Arg(1 << 20);
BENCHMARK(GetLatest)->Arg(1 << 12)->Arg(1 << 20);
BENCHMARK(RangeThousand)->Arg(1 << 20);
BENCHMARK(CountAll)->Arg(1 << 20);

}  // namespace
}  // namespace quorate::store

BENCHMARK_MAIN();
