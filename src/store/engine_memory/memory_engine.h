// MemoryEngine: an Engine that models one on a disk. MemoryStorage is the disk: it outlives the engine, as a data
// directory outlives a process, and holds what was made durable.
//
// Made by the simulator, whose hooks draw how long things take and whether they fail, and by tests. Thread rule: the
// owner's thread; everything runs on it.
//
// A crash is the engine's destruction: batches under way are gone, or durable without anyone having been told. What a
// view or a crash sees is always the image after a whole batch.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/container/btree_map.h"
#include "store/engine.h"

namespace quorate::store {

class MemoryStorage {
 public:
  struct Image {
    std::map<Table, absl::btree_map<std::string, Bytes, std::less<>>> tables;
    LogIndex applied;
  };

  const std::shared_ptr<const Image> image() const { return image_; }
  void Apply(EngineBatch batch);
  void Replace(Image image) { image_ = std::make_shared<Image>(std::move(image)); }

 private:
  std::shared_ptr<Image> image_ = std::make_shared<Image>();  // copied before a change when a view shares it
};

// Empty ones mean: at the executor's next turn, and good.
struct MemoryEngineHooks {
  std::function<std::uint64_t(const EngineBatch& batch)> write_delay_ns;
  std::function<Status(const EngineBatch& batch)> write_fate;
  std::function<std::uint64_t()> read_delay_ns;
  std::function<Status()> read_fate;
};

class MemoryEngine final : public Engine {
 public:
  MemoryEngine(MemoryStorage& storage, env::Executor& executor, MemoryEngineHooks hooks = {});
  ~MemoryEngine() override;

  env::Executor& executor() override { return executor_; }
  void Write(std::function<EngineBatch()> build, std::function<void(Status)> done) override;
  void Read(std::shared_ptr<const EngineView> view, Work work, std::function<void(Status)> done) override;
  void Apart(std::function<Status()> work, std::function<void(Status)> done) override;
  std::shared_ptr<const EngineView> Pin() override;
  LogIndex flushed() const override { return flushed_; }
  std::unique_ptr<EngineInstall> BeginInstall(LogIndex last) override;
  EngineStats stats() const override { return stats_; }

 private:
  class Install;

  // Runs `task` after a delay, unless the engine is gone by then.
  void Later(std::uint64_t delay_ns, std::function<void()> task);
  void Finish(EngineBatch batch, const std::function<void(EngineBatch)>& apply, std::function<void(Status)> done);

  MemoryStorage& storage_;
  env::Executor& executor_;
  const MemoryEngineHooks hooks_;
  LogIndex flushed_;
  bool writing_ = false;
  EngineStats stats_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace quorate::store
