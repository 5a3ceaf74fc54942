#include "store/engine_memory/memory_engine.h"

#include "env/disk_testing.h"
#include "store/engine_contract_suite.h"

namespace quorate::store {
namespace {

class MemoryUnderTest final : public EngineUnderTest {
 public:
  Engine& engine() override { return *engine_; }
  void Crash() override { engine_ = std::make_unique<MemoryEngine>(storage_, executor_); }
  bool RunUntil(const std::function<bool()>& ready) override {
    while (!ready()) {
      if (!executor_.RunFirst()) return false;
    }
    return true;
  }

 private:
  env::ManualExecutor executor_;
  MemoryStorage storage_;
  std::unique_ptr<MemoryEngine> engine_ = std::make_unique<MemoryEngine>(storage_, executor_);
};

const EngineMaker kMemory{"Memory", [] { return std::make_unique<MemoryUnderTest>(); }};
INSTANTIATE_TEST_SUITE_P(Engines, EngineContract, testing::Values(kMemory),
                         [](const auto& param_info) { return std::string(param_info.param.name); });
INSTANTIATE_TEST_SUITE_P(Engines, InstallContract, testing::Values(kMemory),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

class MemoryEngineTest : public testing::Test {
 protected:
  void Write(MemoryEngine& engine, std::uint64_t index, std::string value) {
    engine.Write(
        [index, value] {
          return EngineBatch{LogIndex(index), {{Table::kMeta, "a", Bytes(value)}}, {}};
        },
        [this](const Status& status) { answers_.push_back(status.ok()); });
  }
  env::ManualExecutor executor_;
  MemoryStorage storage_;
  std::vector<bool> answers_;
};

TEST_F(MemoryEngineTest, TakesAsLongAsItsHookSaysAndACrashMeanwhileLosesIt) {
  MemoryEngineHooks hooks;
  hooks.write_delay_ns = [](const EngineBatch&) { return 1'000; };
  {
    MemoryEngine engine(storage_, executor_, hooks);
    Write(engine, 1, "1");
    executor_.RunFor(999);
    EXPECT_TRUE(answers_.empty());
    EXPECT_EQ(engine.flushed(), LogIndex(0));
    executor_.RunFor(1);
    EXPECT_EQ(answers_, std::vector<bool>{true});
    Write(engine, 2, "2");
  }
  executor_.RunFor(5'000);
  EXPECT_EQ(answers_.size(), 1u) << "nobody is told anything after a crash";
  EXPECT_EQ(MemoryEngine(storage_, executor_).flushed(), LogIndex(1));
}

TEST_F(MemoryEngineTest, AFailedWriteLeavesNothing) {
  MemoryEngineHooks hooks;
  bool fail = true;
  hooks.write_fate = [&](const EngineBatch&) { return fail ? Status::ResourceExhausted("disk full") : Status(); };
  MemoryEngine engine(storage_, executor_, hooks);
  Write(engine, 1, "1");
  executor_.RunDue();
  EXPECT_EQ(answers_, std::vector<bool>{false});
  EXPECT_EQ(engine.flushed(), LogIndex(0));
  EXPECT_FALSE((*engine.Pin()->Get(Table::kMeta, "a")).has_value());
  fail = false;
  Write(engine, 1, "1");
  executor_.RunDue();
  EXPECT_EQ(engine.flushed(), LogIndex(1));
}

TEST_F(MemoryEngineTest, AnIndexThatGoesBackIsRefused) {
  MemoryEngine engine(storage_, executor_);
  Write(engine, 5, "1");
  executor_.RunDue();
  EXPECT_DEATH(Write(engine, 4, "2"), "batch for index 4");
}

}  // namespace
}  // namespace quorate::store
