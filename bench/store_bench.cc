// What Mvcc over the memory engine costs: CPU per put and read, bytes per key and per retained revision. Not part of
// the default build: `ninja store_bench && build/release/src/store/store_bench`.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

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
  explicit Loaded(std::uint64_t keys) : mvcc_(Mvcc::Open(engine_)) {
    for (std::uint64_t i = 0; i < keys; ++i) Put(Key(Scatter(i, keys)));
  }
  void Put(const std::string& key) {
    EngineBatch batch{engine_.applied().Next(), {}};
    mvcc_->Begin();
    mvcc_->Put(key, Bytes(std::string(kValueSize, 'v')), 0);
    benchmark::DoNotOptimize(mvcc_->Commit(&batch.writes));
    engine_.Write(std::move(batch));
  }
  void Compact() {
    EngineBatch batch{engine_.applied().Next(), {}};
    mvcc_->Compact(mvcc_->revision(), &batch.writes);
    engine_.Write(std::move(batch));
  }
  Mvcc& mvcc() { return *mvcc_; }
  MemoryEngine& engine() { return engine_; }

 private:
  MemoryEngine engine_;
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

std::uint64_t HeapBytes() {
  return mallinfo2().uordblks;
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

void OpenStore(benchmark::State& state) {
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  Loaded& loaded = Shared(keys);
  for (auto _ : state) benchmark::DoNotOptimize(Mvcc::Open(loaded.engine()));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void Memory(benchmark::State& state) {
  const auto keys = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    const std::uint64_t empty = HeapBytes();
    auto loaded = std::make_unique<Loaded>(keys);
    const std::uint64_t once = HeapBytes();
    for (std::uint64_t i = 0; i < keys; ++i) loaded->Put(Key(Scatter(i * 7919, keys)));
    for (std::uint64_t i = 0; i < keys; ++i) loaded->Put(Key(Scatter(i * 7919, keys)));
    const std::uint64_t thrice = HeapBytes();
    const std::uint64_t payload = Key(0).size() + kValueSize;
    state.counters["bytes_per_key_besides_payload"] = static_cast<double>((once - empty) / keys - payload);
    state.counters["bytes_per_old_revision_besides_payload"] =
        static_cast<double>((thrice - once) / (2 * keys) - payload);
  }
}

BENCHMARK(Memory)->Arg(1 << 18)->Iterations(1);
BENCHMARK(MakeKey);
BENCHMARK(PutNew)->Iterations(1 << 20);
BENCHMARK(PutExisting)->Arg(1 << 12)->Arg(1 << 20);
BENCHMARK(GetLatest)->Arg(1 << 12)->Arg(1 << 20);
BENCHMARK(RangeThousand)->Arg(1 << 20);
BENCHMARK(CountAll)->Arg(1 << 20);
BENCHMARK(OpenStore)->Arg(1 << 20)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace quorate::store

BENCHMARK_MAIN();
