// What the keyspace costs on a disk: loads keys and revisions into RocksDB through the write buffer, opens them again,
// reads cold values, and compacts. Prints one line per step. `ninja keyspace_bench` builds it, it is part of no other
// target.
//   keyspace_bench DIRECTORY KEYS REVISIONS_PER_KEY VALUE_BYTES MEMORY_MIB
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <string>

#include "base/check.h"
#include "env/disk_testing.h"
#include "store/engine_rocksdb/rocks_engine.h"
#include "store/mvcc.h"

namespace quorate::store {
namespace {

struct Scale {
  std::string directory;
  std::uint64_t keys = 0;
  std::uint64_t revisions = 0;
  std::size_t value_bytes = 0;
  std::uint64_t memory_bytes = 0;
};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double CpuSeconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

double ResidentMib() {
  std::uint64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

std::uint64_t ReadBytes() {
  std::ifstream io("/proc/self/io");
  std::string name;
  std::uint64_t bytes = 0;
  io >> name >> bytes;  // rchar: from the disk or its cache
  return bytes;
}

std::string Key(std::uint64_t number) {
  char text[40];
  std::snprintf(text, sizeof text, "/registry/pods/%09lu", static_cast<unsigned long>(number));
  return text;
}

class Keyspace {
 public:
  explicit Keyspace(const Scale& scale) : scale_(scale) {
    RocksOptions rocks;
    rocks.directory = scale.directory;
    rocks.cache_bytes = scale.memory_bytes / 16;
    engine_ = *RocksEngine::Open(rocks, executor_);
    WriteBufferOptions options;
    options.backlog_bytes = scale.memory_bytes / 5;
    options.recent_bytes = scale.memory_bytes / 10;
    options.batch_bytes = scale.memory_bytes / 40;
    buffer_ = std::make_unique<WriteBuffer>(*engine_, options);
    CHECK(buffer_->Load().ok());
    MvccOptions mvcc;
    mvcc.cache_bytes = scale.memory_bytes / 4;
    mvcc_ = *Mvcc::Open(*buffer_, mvcc);
    mvcc_->Start();
  }

  void Load() {
    const std::string tail(scale_.value_bytes > 16 ? scale_.value_bytes - 16 : 0, 'v');
    std::uint64_t random = 88172645463325252;
    for (std::uint64_t round = 0; round < scale_.revisions; ++round) {
      for (std::uint64_t i = 0; i < scale_.keys; ++i) {
        std::string value = tail;
        for (std::size_t at = 0; at + 8 < value.size(); at += 12) {  // two thirds of it cannot be compressed
          random ^= random << 13;
          random ^= random >> 7;
          random ^= random << 17;
          for (int b = 0; b < 8; ++b) value[at + static_cast<std::size_t>(b)] = static_cast<char>(random >> (8 * b));
        }
        mvcc_->Begin();
        mvcc_->Put(Key(i * 7919 % scale_.keys), Bytes(std::move(value)), 0);
        mvcc_->Commit();
        buffer_->Commit(buffer_->applied().Next());
        if (buffer_->backlog_bytes() > buffer_->options().backlog_bytes) {
          bool below = false;
          buffer_->WhenBelow(buffer_->options().backlog_bytes, [&] { below = true; });
          executor_.RunUntil([&] { return below; });
        }
      }
    }
    Flush();
  }
  void Flush() {
    bool done = false;
    buffer_->Flush([&](const Status&) { done = true; });
    executor_.RunUntil([&] { return done; });
  }
  void ReadCold(std::uint64_t reads) {
    for (std::uint64_t i = 0; i < reads; ++i) {
      const std::string key = Key(i * 104729 % scale_.keys);
      auto set = std::make_shared<ReadSet>();
      mvcc_->Get(key, 0, set.get());
      if (set->missing.empty()) continue;
      bool done = false;
      mvcc_->Load(set, [&](const Status&) { done = true; });
      executor_.RunUntil([&] { return done; });
    }
  }
  void Compact() {
    mvcc_->Compact(mvcc_->revision());
    buffer_->Commit(buffer_->applied().Next());
    executor_.RunUntil([&] { return mvcc_->stats().compaction_backlog == 0; });
    Flush();
  }
  Mvcc& mvcc() { return *mvcc_; }
  Engine& engine() { return *engine_; }

 private:
  const Scale scale_;
  env::QueueExecutor executor_;
  std::unique_ptr<RocksEngine> engine_;
  std::unique_ptr<WriteBuffer> buffer_;
  std::unique_ptr<Mvcc> mvcc_;
};

template <class What>
void Measure(const char* name, What&& what) {
  const double began = Seconds();
  const double cpu = CpuSeconds();
  const std::uint64_t read = ReadBytes();
  what();
  std::printf("%-8s %8.2f s  %8.2f s CPU  %8.1f MiB read  %8.1f MiB resident\n", name, Seconds() - began,
              CpuSeconds() - cpu, static_cast<double>(ReadBytes() - read) / (1 << 20), ResidentMib());
  std::fflush(stdout);
}

void Run(const Scale& scale) {
  {
    std::unique_ptr<Keyspace> keyspace;
    Measure("create", [&] { keyspace = std::make_unique<Keyspace>(scale); });
    Measure("load", [&] { keyspace->Load(); });
    Measure("close", [&] { keyspace.reset(); });
  }
  std::unique_ptr<Keyspace> keyspace;
  Measure("open", [&] { keyspace = std::make_unique<Keyspace>(scale); });
  const MvccStats stats = keyspace->mvcc().stats();
  std::printf("%lu keys, index %.1f bytes a key\n", static_cast<unsigned long>(stats.keys),
              static_cast<double>(stats.index_bytes) / static_cast<double>(stats.keys));
  Measure("cold", [&] { keyspace->ReadCold(20'000); });
  Measure("compact", [&] { keyspace->Compact(); });
  std::printf("%.1f MiB on disk\n", static_cast<double>(keyspace->engine().stats().disk_bytes) / (1 << 20));
}

}  // namespace
}  // namespace quorate::store

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "keyspace_bench DIRECTORY KEYS REVISIONS_PER_KEY VALUE_BYTES MEMORY_MIB\n");
    return 2;
  }
  quorate::store::Run({argv[1], std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10),
                       std::strtoull(argv[4], nullptr, 10), std::strtoull(argv[5], nullptr, 10) << 20});
  return 0;
}
