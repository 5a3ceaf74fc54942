#include "store/engine_memory/memory_engine.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/bug.h"
#include "base/check.h"

namespace quorate::store {
namespace {

class MemoryView final : public EngineView {
 public:
  explicit MemoryView(std::shared_ptr<const MemoryStorage::Image> image) : image_(std::move(image)) {}

  Result<std::optional<Bytes>> Get(Table table, std::string_view key) const override { return Find(table, key); }
  Result<std::vector<std::optional<Bytes>>> MultiGet(Table table, const std::vector<std::string>& keys) const override {
    std::vector<std::optional<Bytes>> values;
    values.reserve(keys.size());
    for (const std::string& key : keys) values.push_back(Find(table, key));
    return values;
  }
  Status Scan(Table table, std::string_view begin, std::string_view end,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    const auto found = image_->tables.find(table);
    if (found == image_->tables.end()) return {};
    for (auto it = found->second.lower_bound(begin); it != found->second.end(); ++it) {
      if ((!end.empty() && it->first >= end) || !visit(it->first, it->second.view())) break;
    }
    return {};
  }

 private:
  std::optional<Bytes> Find(Table table, std::string_view key) const {
    const auto found = image_->tables.find(table);
    if (found == image_->tables.end()) return std::nullopt;
    const auto pair = found->second.find(key);
    return pair == found->second.end() ? std::nullopt : std::optional<Bytes>(pair->second);
  }

  std::shared_ptr<const MemoryStorage::Image> image_;
};

void CheckOrder(const EngineBatch& batch) {
  for (std::size_t i = 1; i < batch.writes.size(); ++i) {
    const TableWrite& a = batch.writes[i - 1];
    const TableWrite& b = batch.writes[i];
    CHECK(std::tie(a.table, a.key) < std::tie(b.table, b.key)) << "writes of a batch out of order";
  }
}

void ApplyTo(MemoryStorage::Image& image, EngineBatch batch) {
  for (const TableRange& range : batch.erased) {
    auto& table = image.tables[range.table];
    table.erase(table.lower_bound(range.begin), table.lower_bound(range.end));
  }
  for (TableWrite& write : batch.writes) {
    auto& table = image.tables[write.table];
    if (write.value) {
      table.insert_or_assign(std::move(write.key), *std::move(write.value));
    } else {
      table.erase(write.key);
    }
  }
  image.applied = batch.applied;
}

}  // namespace

void MemoryStorage::Apply(EngineBatch batch) {
  CHECK(batch.applied >= image_->applied)
      << "batch for index " << batch.applied.value << " after " << image_->applied.value;
  CheckOrder(batch);
  if (image_.use_count() > 1) image_ = std::make_shared<Image>(*image_);
  ApplyTo(*image_, std::move(batch));
}

MemoryEngine::MemoryEngine(MemoryStorage& storage, env::Executor& executor, MemoryEngineHooks hooks)
    : storage_(storage), executor_(executor), hooks_(std::move(hooks)), flushed_(storage.image()->applied) {}

MemoryEngine::~MemoryEngine() = default;

void MemoryEngine::Later(std::uint64_t delay_ns, std::function<void()> task) {
  std::function<void()> guarded = [alive = std::weak_ptr<const bool>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  };
  if (delay_ns == 0) {
    executor_.Post(std::move(guarded));
  } else {
    executor_.After(delay_ns, std::move(guarded));
  }
}

void MemoryEngine::Write(std::function<EngineBatch()> build, std::function<void(Status)> done) {
  Finish(
      build(), [this](EngineBatch batch) { storage_.Apply(std::move(batch)); }, std::move(done));
}

// Durable first, told later: a crash in between leaves a batch that nobody was told of.
void MemoryEngine::Finish(EngineBatch batch, const std::function<void(EngineBatch)>& apply,
                          std::function<void(Status)> done) {
  CHECK(!writing_) << "one batch at a time";
  CHECK(batch.applied >= flushed_) << "batch for index " << batch.applied.value << " after " << flushed_.value;
  writing_ = true;
  const Status fate = hooks_.write_fate ? hooks_.write_fate(batch) : Status();
  const std::uint64_t delay_ns = hooks_.write_delay_ns ? hooks_.write_delay_ns(batch) : 0;
  auto shared = std::make_shared<EngineBatch>(std::move(batch));
  auto finish = [this, shared, fate, applied = shared->applied, done = std::move(done)] {
    writing_ = false;
    ++(fate.ok() ? stats_.writes : stats_.failures);
    if (fate.ok()) flushed_ = applied;
    done(fate);
  };
  Later(delay_ns, [this, shared, fate, apply, finish = std::move(finish)]() mutable {
    if (fate.ok()) apply(std::move(*shared));
    Later(0, std::move(finish));
  });
}

void MemoryEngine::Read(std::shared_ptr<const EngineView> view, Work work, std::function<void(Status)> done) {
  const std::uint64_t delay_ns = hooks_.read_delay_ns ? hooks_.read_delay_ns() : 0;
  Later(delay_ns, [this, view = std::move(view), work = std::move(work), done = std::move(done)] {
    Status status = hooks_.read_fate ? hooks_.read_fate() : Status();
    if (status.ok()) status = work(view != nullptr ? *view : *Pin());
    ++stats_.reads;
    if (!status.ok()) ++stats_.failures;
    done(status);
  });
}

void MemoryEngine::Apart(std::function<Status()> work, std::function<void(Status)> done) {
  done(work());
}

std::shared_ptr<const EngineView> MemoryEngine::Pin() {
  return std::make_shared<MemoryView>(storage_.image());
}

class MemoryEngine::Install final : public EngineInstall {
 public:
  Install(MemoryEngine& engine, LogIndex last) : engine_(engine), last_(last) {}

  void Add(std::vector<TableWrite> rows, std::function<void(Status)> done) override {
    EngineBatch batch{last_, std::move(rows), {}};
    CheckOrder(batch);
    ApplyTo(*image_, std::move(batch));
    if (QUORATE_BUG(store_install_flips_before_rows)) engine_.storage_.Replace(*image_);
    engine_.Later(0, [done = std::move(done)] { done({}); });
  }
  void Finish(std::vector<TableWrite> rows, std::function<void(Status)> done) override {
    engine_.Finish(
        {last_, std::move(rows), {}},
        [storage = &engine_.storage_, image = image_](EngineBatch batch) {
          ApplyTo(*image, std::move(batch));
          storage->Replace(std::move(*image));
        },
        std::move(done));
  }

 private:
  MemoryEngine& engine_;
  const LogIndex last_;
  std::shared_ptr<MemoryStorage::Image> image_ = std::make_shared<MemoryStorage::Image>();
};

std::unique_ptr<EngineInstall> MemoryEngine::BeginInstall(LogIndex last) {
  return std::make_unique<Install>(*this, last);
}

}  // namespace quorate::store
