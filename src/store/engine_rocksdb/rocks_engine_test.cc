#include "store/engine_rocksdb/rocks_engine.h"

#include <rocksdb/db.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "env/disk_testing.h"
#include "store/engine_contract_suite.h"

namespace quorate::store {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "quorate_rocks_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string keyspace() const { return path_ + "/keyspace"; }

 private:
  std::string path_;
};

std::unique_ptr<RocksEngine> OpenIn(const std::string& directory, env::Executor& executor) {
  RocksOptions options;
  options.directory = directory;
  Result<std::unique_ptr<RocksEngine>> engine = RocksEngine::Open(std::move(options), executor);
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? *std::move(engine) : nullptr;
}

class RocksUnderTest final : public EngineUnderTest {
 public:
  RocksUnderTest() { engine_ = OpenIn(directory_.keyspace(), executor_); }
  Engine& engine() override { return *engine_; }
  void Crash() override {
    engine_.reset();
    engine_ = OpenIn(directory_.keyspace(), executor_);
  }
  bool RunUntil(const std::function<bool()>& ready) override { return executor_.RunUntil(ready); }

 private:
  TemporaryDirectory directory_;
  env::QueueExecutor executor_;
  std::unique_ptr<RocksEngine> engine_;
};

const EngineMaker kRocks{"RocksDB", [] { return std::make_unique<RocksUnderTest>(); }};
INSTANTIATE_TEST_SUITE_P(Engines, EngineContract, testing::Values(kRocks),
                         [](const auto& param_info) { return std::string(param_info.param.name); });
INSTANTIATE_TEST_SUITE_P(Engines, InstallContract, testing::Values(kRocks),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(RocksEngineFormat, AKeyspaceOfANewerFormatIsNamedAndNotCalledDamage) {
  const TemporaryDirectory directory;
  env::QueueExecutor executor;
  OpenIn(directory.keyspace(), executor).reset();
  {
    rocksdb::DB* opened = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, directory.keyspace() + "/db", &opened).ok());
    const std::unique_ptr<rocksdb::DB> db(opened);
    const std::string key = std::string(17, '\0') + "quorate keyspace";  // docs/disk-format.md
    std::string format;
    ASSERT_TRUE(db->Get({}, key, &format).ok());
    ASSERT_EQ(format, std::string(1, '\1'));
    ASSERT_TRUE(db->Put({}, key, std::string(1, '\x9')).ok());
    ASSERT_TRUE(db->Flush({}).ok());
  }
  RocksOptions options;
  options.directory = directory.keyspace();
  const Status status = RocksEngine::Open(std::move(options), executor).status();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status.message();
  EXPECT_NE(status.message().find("start this member with the build that wrote it"), std::string::npos);
}

// ---- kill -9 while batches go down

constexpr Revision kRecordsPerBatch = 50;

// Batch n brings records of n into both big tables, overwrites a small row with n, and from batch 4 on removes the
// records of n - 3.
EngineBatch BatchNumber(std::uint64_t n) {
  EngineBatch batch;
  batch.applied = LogIndex(n);
  const std::string value = std::to_string(n) + std::string(500, 'v');
  batch.writes.push_back({Table::kMeta, "n", Bytes(std::to_string(n))});
  for (const Table table : {Table::kKv, Table::kValue}) {
    for (Revision i = 0; i < kRecordsPerBatch; ++i) {
      const Revision revision = static_cast<Revision>(n) * kRecordsPerBatch + i;
      batch.writes.push_back({table, EncodeRecordKey({revision, 0}), Bytes(value)});
    }
    if (n > 3) {
      const auto first = static_cast<Revision>(n - 3) * kRecordsPerBatch;
      batch.erased.push_back({table, EncodeRecordKey({first, 0}), EncodeRecordKey({first + kRecordsPerBatch, 0})});
    }
  }
  return batch;
}

// Writes batches for ever, and each one's number to `pipe` once it is durable.
[[noreturn]] void WriteUntilKilled(const std::string& directory, int pipe) {
  env::QueueExecutor executor;
  const std::unique_ptr<RocksEngine> engine = OpenIn(directory, executor);
  if (engine == nullptr) ::_exit(3);
  for (std::uint64_t n = engine->flushed().value + 1;; ++n) {
    bool done = false;
    engine->Write([n] { return BatchNumber(n); }, [&](const Status& status) { done = status.ok(); });
    if (!executor.RunUntil([&] { return done; })) ::_exit(4);
    if (::write(pipe, &n, sizeof n) != sizeof n) ::_exit(5);
  }
}

void CheckWhole(const EngineView& view, std::uint64_t n) {
  const Result<std::optional<Bytes>> number = view.Get(Table::kMeta, "n");
  ASSERT_TRUE(number.ok() && number->has_value());
  EXPECT_EQ((*number)->view(), std::to_string(n));
  const auto first = static_cast<Revision>(n > 2 ? n - 2 : 1) * kRecordsPerBatch;
  for (const Table table : {Table::kKv, Table::kValue}) {
    Revision next = first;
    const Status status = view.Scan(table, {}, {}, [&](std::string_view key, std::string_view value) {
      const Revision revision = DecodeRecordKey(key).revision;
      EXPECT_EQ(revision, next++);
      EXPECT_EQ(value, std::to_string(revision / kRecordsPerBatch) + std::string(500, 'v'));
      return true;
    });
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(next, static_cast<Revision>(n + 1) * kRecordsPerBatch);
  }
}

TEST(RocksEngineKill, DISABLED_Writer) {
  const char* directory = std::getenv("QUORATE_WRITER_DIRECTORY");
  ASSERT_NE(directory, nullptr) << "the other test of this suite runs this one";
  WriteUntilKilled(directory, std::atoi(std::getenv("QUORATE_WRITER_PIPE")));
}

TEST(RocksEngineKill, WhatWasAnsweredIsThereAndNothingIsTorn) {
  const char* wanted = std::getenv("QUORATE_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 8;
  const TemporaryDirectory directory;
  std::mt19937_64 random(7);
  std::uint64_t answered = 0;
  for (int kill = 0; kill < kills; ++kill) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // A program of its own: threads of RocksDB's do not survive a fork.
      ::setenv("QUORATE_WRITER_DIRECTORY", directory.keyspace().c_str(), 1);
      ::setenv("QUORATE_WRITER_PIPE", std::to_string(ends[1]).c_str(), 1);
      ::execl("/proc/self/exe", "writer", "--gtest_filter=RocksEngineKill.DISABLED_Writer",
              "--gtest_also_run_disabled_tests", nullptr);
      ::_exit(6);
    }
    ::close(ends[1]);
    // Some answers, then somewhere within the next batches.
    for (std::uint64_t left = random() % 6 + 1, n = 0; left > 0; --left) {
      ASSERT_EQ(::read(ends[0], &n, sizeof n), static_cast<ssize_t>(sizeof n)) << "the writer ended by itself";
      answered = n;
    }
    ::usleep(static_cast<useconds_t>(random() % 10'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    for (std::uint64_t n = 0; ::read(ends[0], &n, sizeof n) == static_cast<ssize_t>(sizeof n);) answered = n;
    ::close(ends[0]);
    env::QueueExecutor executor;
    const std::unique_ptr<RocksEngine> engine = OpenIn(directory.keyspace(), executor);
    ASSERT_NE(engine, nullptr);
    EXPECT_GE(engine->flushed().value, answered);
    EXPECT_LE(engine->flushed().value, answered + 1);
    CheckWhole(*engine->Pin(), engine->flushed().value);
  }
}

// ---- damage

TEST(RocksEngineDamage, AKeyspaceWithoutItsManifestIsDamageAndSaysWhere) {
  const TemporaryDirectory directory;
  env::QueueExecutor executor;
  OpenIn(directory.keyspace(), executor).reset();
  for (const auto& file : std::filesystem::directory_iterator(directory.keyspace() + "/db")) {
    if (file.path().filename() == "CURRENT") std::ofstream(file.path()) << "garbage";
  }
  RocksOptions options;
  options.directory = directory.keyspace();
  const Result<std::unique_ptr<RocksEngine>> engine = RocksEngine::Open(options, executor);
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.status().code(), StatusCode::kDataLoss);
  EXPECT_NE(engine.status().message().find(directory.keyspace()), std::string::npos) << engine.status().message();
}

TEST(RocksEngineDamage, ABlockThatIsDamagedIsToldOnceWithItsFile) {
  const TemporaryDirectory directory;
  env::QueueExecutor executor;
  {
    const std::unique_ptr<RocksEngine> engine = OpenIn(directory.keyspace(), executor);
    bool done = false;
    engine->Write([] { return BatchNumber(1); }, [&](const Status& status) { done = status.ok(); });
    ASSERT_TRUE(executor.RunUntil([&] { return done; }));
  }
  for (const auto& file : std::filesystem::directory_iterator(directory.keyspace() + "/db")) {
    if (file.path().extension() != ".sst") continue;
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(40);
    stream.write("damage", 6);
  }
  RocksOptions options;
  options.directory = directory.keyspace();
  std::vector<Status> told;
  options.on_damage = [&](const Status& status) { told.push_back(status); };
  const Result<std::unique_ptr<RocksEngine>> engine = RocksEngine::Open(options, executor);
  if (!engine.ok()) {  // what opening itself reads is damaged
    EXPECT_EQ(engine.status().code(), StatusCode::kDataLoss) << engine.status().message();
    return;
  }
  int answers = 0;
  for (int i = 0; i < 2; ++i) {
    (*engine)->Read(
        nullptr, [](const EngineView& view) { return view.Scan(Table::kKv, {}, {}, [](auto, auto) { return true; }); },
        [&](const Status& status) {
          EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.message();
          ++answers;
        });
  }
  ASSERT_TRUE(executor.RunUntil([&] { return answers == 2; }));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].message().find(".sst"), std::string::npos) << told[0].message();
}

}  // namespace
}  // namespace quorate::store
