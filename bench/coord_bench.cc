// What executing decided commands costs: `ninja coord_bench` builds it, it is part of no other target.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coord/command.h"
#include "coord/machine.h"
#include "env/disk_testing.h"
#include "store/engine_memory/memory_engine.h"

namespace quorate::coord {
namespace {

class Bench {
 public:
  Bench() : engine_(storage_, executor_), machine(Machine::Make({}, engine_)) {}

  void Apply(Bytes payload) {
    consensus::Entry entry;
    entry.index = machine->applied().Next();
    entry.kind = consensus::EntryKind::kCommand;
    entry.payload = std::move(payload);
    benchmark::DoNotOptimize(machine->Apply(entry));
    executor_.RunDue();
  }
  // As Apply gets them: encoded, stamped, each with memory of its own.
  Bytes Encoded(CommandBody body) {
    std::string encoded = EncodeCommand({Envelope{}, std::move(body)});
    StampCommand(encoded, ++time_ns_, 1);
    return Bytes(std::move(encoded));
  }
  PutRequest Put(std::int64_t key, std::int64_t lease = 0) {
    PutRequest put;
    put.key = "/registry/pods/default/" + std::to_string(1'000'000 + key);
    put.value = Bytes(std::string(256, 'v'));
    put.lease = lease;
    return put;
  }

 private:
  env::ManualExecutor executor_;
  store::MemoryStorage storage_;
  store::MemoryEngine engine_;
  std::uint64_t time_ns_ = 0;

 public:
  std::unique_ptr<Machine> machine;
};

class Sink final : public WatchSink {
 public:
  void OnEvents(WatchHandle, Revision, std::vector<WatchEvent> events) override { seen += events.size(); }
  void OnCompacted(WatchHandle, Revision) override {}
  bool CanTake() const override { return true; }
  std::size_t seen = 0;
};

// Puts over `keys` keys; compacted now and then, outside the clock, so that memory stays bounded.
void RunPuts(benchmark::State& state, Bench* bench, std::int64_t keys, std::int64_t lease, bool pump) {
  std::vector<Bytes> payloads;
  std::int64_t next = 0;
  for (auto _ : state) {
    if (next % 10'000 == 0) {
      state.PauseTiming();
      if (next % 200'000 == 0 && next > 0) bench->Apply(bench->Encoded(CompactRequest{bench->machine->revision() - 1}));
      payloads.clear();
      for (std::int64_t i = 0; i < 10'000; ++i) {
        payloads.push_back(bench->Encoded(bench->Put((next + i) * 7919 % keys, lease)));
      }
      state.ResumeTiming();
    }
    bench->Apply(std::move(payloads[static_cast<std::size_t>(next % 10'000)]));
    if (pump) bench->machine->watches().Pump();
    ++next;
  }
}

void BM_ApplyPut(benchmark::State& state) {
  Bench bench;
  RunPuts(state, &bench, state.range(0), 0, false);
}
BENCHMARK(BM_ApplyPut)->Arg(1'000)->Arg(100'000);

void BM_ApplyPutWithLease(benchmark::State& state) {
  Bench bench;
  bench.Apply(bench.Encoded(LeaseGrantRequest{7, 60}));
  RunPuts(state, &bench, state.range(0), 7, false);
}
BENCHMARK(BM_ApplyPutWithLease)->Arg(100'000);

// As many exact-key watches as keys, and one watch over all of them.
void BM_ApplyPutWatched(benchmark::State& state) {
  Bench bench;
  Sink sink;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    WatchRequest request;
    request.key = bench.Put(i).key;
    bench.machine->watches().Add(request, &sink);
  }
  WatchRequest all;
  all.key = "/registry/";
  all.end = "/registry0";
  bench.machine->watches().Add(all, &sink);
  RunPuts(state, &bench, state.range(0), 0, true);
}
BENCHMARK(BM_ApplyPutWatched)->Arg(1'000)->Arg(100'000);

void BM_ApplyCompareAndSwap(benchmark::State& state) {
  Bench bench;
  TxnRequest txn;
  PutRequest put = bench.Put(1);
  bench.Apply(bench.Encoded(put));
  Compare compare;
  compare.key = put.key;
  compare.target = Compare::Target::kMod;
  compare.result = Compare::Result::kGreater;
  RangeRequest range;
  range.key = put.key;
  txn.compares.push_back(compare);
  txn.success.push_back(put);
  txn.failure.push_back(range);
  const Bytes payload = bench.Encoded(txn);
  for (auto _ : state) bench.Apply(payload);
}
BENCHMARK(BM_ApplyCompareAndSwap)->Iterations(200'000);

void BM_EncodePut(benchmark::State& state) {
  Bench bench;
  const Command command{Envelope{}, bench.Put(1)};
  for (auto _ : state) benchmark::DoNotOptimize(EncodeCommand(command));
}
BENCHMARK(BM_EncodePut);

void BM_DecodePut(benchmark::State& state) {
  Bench bench;
  const Bytes encoded = bench.Encoded(bench.Put(1));
  for (auto _ : state) benchmark::DoNotOptimize(DecodeCommand(encoded));
}
BENCHMARK(BM_DecodePut);

void BM_RangeOneKey(benchmark::State& state) {
  Bench bench;
  for (std::int64_t i = 0; i < 10'000; ++i) bench.Apply(bench.Encoded(bench.Put(i)));
  RangeRequest range;
  range.key = bench.Put(5'000).key;
  for (auto _ : state) benchmark::DoNotOptimize(bench.machine->Range(range));
}
BENCHMARK(BM_RangeOneKey);

}  // namespace
}  // namespace quorate::coord

BENCHMARK_MAIN();
