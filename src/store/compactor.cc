#include "store/compactor.h"

#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "store/state_hash.h"

namespace quorate::store {
namespace {

constexpr std::uint64_t kRetryNs = 500'000'000;

}  // namespace

// What one turn found to remove.
struct Compactor::Step {
  std::vector<SealedBatch::Dropped> dropped;
  std::vector<SealedBatch::Dropped> run;  // the rows since the last one that is kept
  std::vector<std::pair<RecordKey, RecordKey>> runs;
  std::vector<std::string> older;  // keys of rows from before the pass's range, that are yet to be read
  std::uint64_t records = 0;
  std::uint64_t hash = 0;

  void Count(std::string_view key, std::string_view row) {
    ++records;
    hash += RecordHash(Table::kKv, key, row);
  }
  void EndRun() {
    if (run.size() >= kRunRows) {
      runs.emplace_back(run.front().key, run.back().key);
    } else {
      dropped.insert(dropped.end(), run.begin(), run.end());
    }
    run.clear();
  }
};

Revision Compactor::behind() const {
  return parts_.compact_revision - parts_.buffer.local().compacted;
}

std::function<void()> Compactor::Guarded(std::function<void()> what) {
  return [alive = std::weak_ptr<const bool>(parts_.alive), what = std::move(what)] {
    if (!alive.expired()) what();
  };
}

void Compactor::Retry(std::function<void()> what) {
  parts_.buffer.engine().executor().After(kRetryNs, Guarded(std::move(what)));
}

void Compactor::Wake() {
  if (running_ || behind() <= 0) return;
  running_ = true;
  BeginPass();
}

// Every record of the range is in the engine before the pass begins, so that only the engine is to be looked at.
void Compactor::BeginPass() {
  first_ = parts_.buffer.local().compacted;
  at_ = parts_.compact_revision;
  next_ = {first_, 0};
  parts_.buffer.Flush([this, alive = std::weak_ptr<const bool>(parts_.alive)](const Status& status) {
    if (alive.expired()) return;
    if (!status.ok()) return Retry([this] { BeginPass(); });
    ReadChunk();
  });
}

void Compactor::ReadChunk() {
  auto rows = std::make_shared<std::vector<Row>>();
  auto read = [rows, begin = EncodeRecordKey(next_), end = EncodeRecordKey({at_ + 1, 0})](const EngineView& view) {
    return view.Scan(Table::kKv, begin, end, [&](std::string_view key, std::string_view row) {
      rows->push_back({DecodeRecordKey(key), std::string(row)});
      return rows->size() < kChunkRows;
    });
  };
  parts_.buffer.engine().Read(nullptr, std::move(read),
                              [this, rows, alive = std::weak_ptr<const bool>(parts_.alive)](const Status& status) {
                                if (alive.expired()) return;
                                if (!status.ok()) return Retry([this] { ReadChunk(); });
                                Judge(rows, 0);
                              });
}

void Compactor::Judge(std::shared_ptr<std::vector<Row>> rows, std::size_t from) {
  if (from >= rows->size()) {
    if (rows->size() == kChunkRows) {
      next_ = {rows->back().key.revision, rows->back().key.sub + 1};
      return ReadChunk();
    }
    parts_.buffer.local().compacted = at_;
    running_ = false;
    return Wake();
  }
  auto step = std::make_shared<Step>();
  const std::size_t to = std::min(rows->size(), from + kStepRows);
  for (std::size_t i = from; i < to; ++i) {
    const Row& row = (*rows)[i];
    const std::optional<RecordRow> decoded = DecodeRow(row.row);
    CHECK(decoded.has_value()) << "the record at revision " << row.key.revision << " is damaged";
    std::vector<Point> gone;
    KeyHistory* history = parts_.index.Find(decoded->key);
    if (history != nullptr) {
      const bool empty = history->Compact(at_, &gone);
      parts_.index.CountOlder(-static_cast<std::int64_t>(gone.size()));
      if (empty) {
        parts_.cache.Remove(history);
        parts_.index.CountOlder(1);
        parts_.index.Erase(history);
        history = nullptr;
      }
    }
    for (const Point& point : gone) {
      parts_.size_bytes -= MvccParts::SizeOf(point);
      if (point.revision < first_) step->older.push_back(EncodeRecordKey(point.key()));
    }
    bool keep = history != nullptr && history->Contains(row.key);
    if (QUORATE_BUG(mvcc_background_compaction_drops_live) && i + 1 == to) keep = false;
    Take(row, keep, step.get());
  }
  step->EndRun();
  LoadOlder(step, [this, rows = std::move(rows), to] {
    parts_.buffer.engine().executor().After(kPauseNs, Guarded([this, rows, to] { Judge(rows, to); }));
  });
}

void Compactor::Take(const Row& row, bool keep, Step* step) {
  if (keep) return step->EndRun();
  step->Count(EncodeRecordKey(row.key), row.row);
  step->run.push_back({row.key, DecodeRow(row.row)->apart});
}

void Compactor::LoadOlder(std::shared_ptr<Step> step, std::function<void()> next) {
  const auto drop = [this, next](const Step& ready) {
    if (ready.records != 0) parts_.buffer.Drop(ready.dropped, ready.runs, ready.records, ready.hash);
    next();
  };
  if (step->older.empty()) return drop(*step);
  auto read = [step](const EngineView& view) -> Status {
    const Result<std::vector<std::optional<Bytes>>> rows = view.MultiGet(Table::kKv, step->older);
    if (!rows.ok()) return rows.status();
    for (std::size_t i = 0; i < step->older.size(); ++i) {
      if (!(*rows)[i]) continue;
      const std::string_view row = (*rows)[i]->view();
      const std::optional<RecordRow> decoded = DecodeRow(row);
      if (!decoded) return Status::DataLoss("a record of " + std::to_string(row.size()) + " bytes is damaged");
      step->Count(step->older[i], row);
      step->dropped.push_back({DecodeRecordKey(step->older[i]), decoded->apart});
    }
    return {};
  };
  parts_.buffer.engine().Read(
      nullptr, std::move(read),
      [this, step, next, drop, alive = std::weak_ptr<const bool>(parts_.alive)](const Status& status) {
        if (alive.expired()) return;
        if (!status.ok()) return Retry([this, step, next] { LoadOlder(step, next); });
        drop(*step);
      });
}

}  // namespace quorate::store
