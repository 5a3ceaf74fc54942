// The property that the log exists for, under random work and crashes between any two operations of the disk: what was
// acknowledged is there, in order and whole; nothing torn is visible; the incarnation rises.
//
// The model is the list of batches and releases in the order in which they were submitted. What a start finds must be
// the effect of a prefix of that list that holds at least every acknowledged batch.
#include <gtest/gtest.h>

#include <optional>

#include "base/bug.h"
#include "base/log.h"
#include "wal/log_testing.h"

namespace quorate::wal {
namespace {

using consensus::InstallSnapshot;
using consensus::PutEntry;
using consensus::TruncateAfter;
using env::Survival;

struct ModelGroup {
  std::optional<Bytes> hard_state;
  consensus::SnapshotMeta snapshot;
  std::map<LogIndex, consensus::Entry> log;
  LogIndex last;
  friend bool operator==(const ModelGroup& a, const ModelGroup& b) {
    return a.hard_state == b.hard_state && a.snapshot == b.snapshot && a.log == b.log;
  }
};
using Model = std::map<GroupId, ModelGroup>;

struct Submitted {
  GroupId group;
  consensus::WriteBatch batch;
  std::optional<consensus::SnapshotMeta> release;  // instead of a batch
};

void ApplyTo(Model& model, const Submitted& what) {
  ModelGroup& group = model[what.group];
  if (what.release) {
    if (what.release->last <= group.snapshot.last || what.release->last > group.last) return;
    group.snapshot = *what.release;
    group.log.erase(group.log.begin(), group.log.upper_bound(group.snapshot.last));
    return;
  }
  if (what.batch.hard_state) group.hard_state = what.batch.hard_state;
  for (const consensus::LogOp& op : what.batch.ops) {
    if (const auto* put = std::get_if<PutEntry>(&op)) {
      group.log[put->entry.index] = put->entry;
      group.last = std::max(group.last, put->entry.index);
    } else if (const auto* truncate = std::get_if<TruncateAfter>(&op)) {
      group.log.erase(group.log.upper_bound(truncate->last_kept), group.log.end());
      group.last = std::min(group.last, truncate->last_kept);
    } else {
      group.snapshot = std::get<InstallSnapshot>(op).meta;
      group.log.clear();
      group.last = LogIndex();
    }
  }
}

class StillClock final : public env::Clock {
 public:
  std::uint64_t MonotonicNs() const override { return 0; }
  std::int64_t WallNs() const override { return 1'700'000'000'000'000'000; }
};

struct ScenarioOptions {
  std::uint64_t seed = 0;
  bool sync_lies = false;
};

class Scenario {
 public:
  explicit Scenario(ScenarioOptions options)
      : options_(options), random_(options.seed), disk_(executor_, options.seed) {
    log_options_.segment_bytes = 4 << 10;
    log_options_.on_failure = [](const Status&) {};  // a disk without power fails everything
    if (options.seed % 3 == 0) log_options_.retention_ns = 3'600'000'000'000;
    log_options_.clock = &clock_;
    const std::uint64_t slow = 50'000 + Below(200'000);
    disk_.SetLatency([slow](const std::string&, std::uint64_t bytes) { return slow + bytes * 10; });
  }

  // What was wrong; none = the property held.
  std::optional<std::string> Lives(int count) {
    for (int life = 0; life < count; ++life) {
      if (std::optional<std::string> wrong = OneLife(life)) return "life " + std::to_string(life) + ": " + *wrong;
    }
    return std::nullopt;
  }
  std::uint64_t acknowledged() const { return acknowledged_total_; }
  std::uint64_t released() const { return released_; }
  std::uint64_t rewritten() const { return rewritten_; }

 private:
  std::uint64_t Below(std::uint64_t bound) {
    std::uint64_t z = (random_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % bound;
  }
  Survival AnySurvival() { return static_cast<Survival>(1 + Below(4)); }

  std::optional<std::string> OneLife(int life) {
    std::unique_ptr<Log> log;
    for (int attempt = 0;; ++attempt) {
      // The first attempts may lose power during the start itself.
      if (attempt < 3 && Below(2) == 0) disk_.StopAfter(1 + Below(15));
      Result<std::unique_ptr<Log>> opened = Log::Open(disk_, executor_, log_options_);
      if (opened.ok() && !disk_.stopped()) {
        log = std::move(*opened);
        break;
      }
      if (!disk_.stopped()) return "the start is refused: " + opened.status().message();
      disk_.Crash(AnySurvival());
    }
    disk_.StopAfter(0);
    if (std::optional<std::string> wrong = CheckRecovered(*log)) return wrong;
    if (options_.sync_lies && life == 0) disk_.SetSyncLies(true);
    Work(*log);
    const bool closed = Below(4) == 0 && !disk_.stopped() && log->Close().ok();
    released_ += log->stats().released;
    rewritten_ += log->stats().rewritten;
    log.reset();
    disk_.Crash(closed ? Survival::kNothing : AnySurvival());
    executor_.RunFor(10'000'000'000);
    return std::nullopt;
  }

  void Work(Log& log) {
    acknowledged_ = 0;
    const std::shared_ptr<bool> in_order = std::make_shared<bool>(true);
    if (Below(8) != 0) disk_.StopAfter(1 + Below(60));
    const std::uint64_t batches = Below(60);
    std::map<GroupId, std::uint64_t> seqs;
    for (std::uint64_t i = 0; i < batches && !disk_.stopped(); ++i) {
      const GroupId group(Below(12) == 0 ? 3 : 1 + Below(2));  // the last one is a quiet one, and never released
      if (group != GroupId(3) && Below(3) == 0) AnyRelease(log, group);
      consensus::WriteBatch batch = AnyBatch(group, ++seqs[group]);
      submitted_.push_back({group, batch, std::nullopt});
      const std::size_t position = submitted_.size();
      log.Submit(group, std::move(batch), [this, position] {
        while (acknowledged_ + 1 < position && submitted_[acknowledged_].release) ++acknowledged_;
        if (position != acknowledged_ + 1) out_of_order_ = true;
        acknowledged_ = position;
        ++acknowledged_total_;
      });
      if (Below(3) != 0) executor_.RunFor(Below(400'000));
      if (Below(20) == 0) executor_.RunFor(200'000'000);
    }
    executor_.RunFor(Below(2) * 1'000'000'000);
  }

  void AnyRelease(Log& log, GroupId group) {
    LogIndex& floor = floor_[group];
    if (next_[group] <= floor) return;
    const LogIndex keep_from(floor.value + 1 + Below(3));
    floor = LogIndex(floor.value + 1 + Below(next_[group].value - floor.value));
    consensus::SnapshotMeta meta;
    meta.id = ++serial_;
    meta.last = floor;
    meta.ballot = {serial_, ReplicaId(2)};
    meta.members.voters = {ReplicaId(1), ReplicaId(2)};
    submitted_.push_back({group, {}, meta});
    log.Release(group, meta, keep_from);
  }

  consensus::WriteBatch AnyBatch(GroupId group, std::uint64_t seq) {
    consensus::WriteBatch batch;
    batch.seq = PersistSeq(seq);
    batch.sync = Below(5) != 0;
    ++serial_;
    if (Below(3) == 0) batch.hard_state = Bytes("state " + std::to_string(serial_));
    LogIndex& next = next_[group];
    for (std::uint64_t ops = Below(4); ops-- > 0;) {
      const std::uint64_t kind = Below(60) == 0 ? 0 : 1 + Below(19);
      if (kind == 0) {
        consensus::SnapshotMeta meta;
        meta.id = serial_;
        meta.last = LogIndex(next.value + 10);
        meta.members.voters = {ReplicaId(1)};
        next = meta.last;
        floor_[group] = meta.last;
        batch.ops.push_back(InstallSnapshot{std::move(meta)});
      } else if (kind < 4) {
        next = LogIndex(next.value - Below(std::min<std::uint64_t>(next.value - floor_[group].value, 5) + 1));
        batch.ops.push_back(TruncateAfter{next});
      } else {
        next = LogIndex(next.value + (Below(10) == 0 ? 3 : 1));  // a hole now and then
        const std::size_t bytes = Below(10) == 0 ? Below(3'000) : Below(60);
        std::string payload = std::to_string(serial_) + std::string(bytes, static_cast<char>('a' + Below(26)));
        batch.ops.push_back(PutEntry{MakeEntry(next.value, std::move(payload), serial_)});
      }
    }
    return batch;
  }

  std::optional<std::string> CheckRecovered(Log& log) {
    if (out_of_order_) return "batches were acknowledged out of order";
    if (log.incarnation() <= incarnation_) {
      return "incarnation " + std::to_string(log.incarnation().value) + " after " + std::to_string(incarnation_.value);
    }
    incarnation_ = log.incarnation();
    Model found;
    for (std::uint64_t g = 1; g <= 3; ++g) {
      consensus::Recovered recovered = log.TakeRecovered(GroupId(g));
      ModelGroup group{recovered.hard_state, recovered.snapshot, {}, {}};
      for (consensus::Entry& entry : recovered.log) {
        const LogIndex index = entry.index;
        group.log[index] = std::move(entry);
      }
      if (group != ModelGroup()) found[GroupId(g)] = std::move(group);
    }
    Model model = model_;
    for (std::size_t prefix = 0;; ++prefix) {
      if (prefix >= acknowledged_ && Same(model, found)) {
        model_ = std::move(model);
        submitted_.clear();
        acknowledged_ = 0;
        return std::nullopt;
      }
      if (prefix == submitted_.size()) break;
      ApplyTo(model, submitted_[prefix]);
    }
    return "what was found is not a prefix of the " + std::to_string(submitted_.size()) + " batches that holds the " +
           std::to_string(acknowledged_) + " acknowledged ones";
  }
  static bool Same(Model model, const Model& found) {
    std::erase_if(model, [](const auto& item) { return item.second == ModelGroup(); });
    return model == found;
  }

  ScenarioOptions options_;
  std::uint64_t random_;
  ManualExecutor executor_;
  env::MemoryDisk disk_;
  StillClock clock_;
  LogOptions log_options_ = TestOptions();
  Model model_;  // what the last start found
  std::vector<Submitted> submitted_;
  std::map<GroupId, LogIndex> next_;
  std::map<GroupId, LogIndex> floor_;  // released or installed: nothing is truncated below
  std::uint64_t released_ = 0;
  std::uint64_t rewritten_ = 0;
  std::size_t acknowledged_ = 0;  // of submitted_
  std::uint64_t acknowledged_total_ = 0;
  std::uint64_t serial_ = 0;
  bool out_of_order_ = false;
  Incarnation incarnation_;
};

constexpr int kLives = 12;

// The seeds on which the property is violated, out of `seeds`.
int Violations(std::uint64_t seeds, bool sync_lies, bool report) {
  int violations = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    Scenario run({seed, sync_lies});
    const std::optional<std::string> wrong = run.Lives(kLives);
    if (!wrong) continue;
    ++violations;
    if (report) ADD_FAILURE() << "seed " << seed << ": " << *wrong;
  }
  return violations;
}

class CrashTest : public testing::Test {
 protected:
  void SetUp() override { SetLogLevel(LogLevel::kError); }  // thousands of torn tails are cut here
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }
};

TEST_F(CrashTest, WhatWasAcknowledgedSurvivesEveryCrashInOrderAndWhole) {
  EXPECT_EQ(Violations(1'500, /*sync_lies=*/false, /*report=*/true), 0);
}

TEST_F(CrashTest, TheRunsDoAcknowledgeSomething) {
  Scenario run({1, false});
  EXPECT_EQ(run.Lives(kLives), std::nullopt);
  EXPECT_GE(run.acknowledged(), 50u);
  std::uint64_t released = 0;
  std::uint64_t rewritten = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Scenario scenario({seed, false});
    EXPECT_EQ(scenario.Lives(kLives), std::nullopt);
    released += scenario.released();
    rewritten += scenario.rewritten();
  }
  EXPECT_GE(released, 200u);
  EXPECT_GE(rewritten, 50u);
}

TEST_F(CrashTest, ADiskWhoseSyncLiesIsFoundOut) {
  EXPECT_GE(Violations(100, /*sync_lies=*/true, /*report=*/false), 90);
}

TEST_F(CrashTest, ACreationCutShortAtAnyOperationIsDoneAgain) {
  for (const Survival survival :
       {Survival::kNothing, Survival::kPrefix, Survival::kTornSectors, Survival::kEverything}) {
    bool completed = false;
    for (std::uint64_t operations = 1; !completed; ++operations) {
      for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        ManualExecutor executor;
        env::MemoryDisk disk(executor, seed);
        disk.StopAfter(operations);
        completed = Log::Open(disk, executor, TestOptions()).ok();
        disk.Crash(survival);
        const Result<std::unique_ptr<Log>> again = Log::Open(disk, executor, TestOptions());
        ASSERT_TRUE(again.ok()) << operations << ": " << again.status().message();
        EXPECT_TRUE(!completed || (*again)->incarnation() == Incarnation(2));
      }
    }
  }
}

// A busy group that is released as it goes, and a quiet one whose entries are rewritten forward.
struct Script {
  ManualExecutor executor;
  env::MemoryDisk disk{executor, 7};
  StillClock clock;
  LogOptions options = TestOptions();
  std::uint64_t busy = 0;  // acknowledged entries
  std::uint64_t quiet = 0;

  Script() {
    options.segment_bytes = 4 << 10;
    options.clock = &clock;
    options.on_failure = [](const Status&) {};
  }
  static consensus::SnapshotMeta MetaAt(std::uint64_t index) {
    consensus::SnapshotMeta meta;
    meta.last = LogIndex(index);
    meta.ballot = {1, {}};
    meta.members.voters = {ReplicaId(3)};
    return meta;
  }
  LogStats Run() {
    Result<std::unique_ptr<Log>> opened = Log::Open(disk, executor, options);
    if (!opened.ok()) return {};  // the power went during the start
    const std::unique_ptr<Log> log = std::move(*opened);
    std::uint64_t quiet_seq = 0;
    for (std::uint64_t i = 1; i <= 100 && !disk.stopped(); ++i) {
      log->Submit(GroupId(1),
                  MakeBatch(i, {PutEntry{MakeEntry(i, std::string(500, 'b'))}}, "busy " + std::to_string(i)),
                  [this, i] { busy = i; });
      if (i % 9 == 1) {
        const std::uint64_t seq = ++quiet_seq;
        log->Submit(GroupId(2), MakeBatch(seq, {PutEntry{MakeEntry(seq, "quiet")}}, "quiet " + std::to_string(seq)),
                    [this, seq] { quiet = seq; });
      }
      executor.RunFor(1'000);
      if (i % 5 == 0 && busy == i) log->Release(GroupId(1), MetaAt(i - 4), LogIndex(i < 12 ? 1 : i - 11));
    }
    executor.RunFor(2'000'000'000);
    return log->stats();
  }
  void Check(const std::string& where) {
    const Result<std::unique_ptr<Log>> log = Log::Open(disk, executor, options);
    ASSERT_TRUE(log.ok()) << where << ": " << log.status().message();
    for (std::uint64_t g = 1; g <= 2; ++g) {
      const std::uint64_t acknowledged = g == 1 ? busy : quiet;
      const consensus::Recovered found = (*log)->TakeRecovered(GroupId(g));
      LogIndex next = found.snapshot.last;
      ASSERT_TRUE(g == 1 || !next) << where;
      for (const consensus::Entry& entry : found.log) {
        next = next.Next();
        ASSERT_EQ(entry.index, next) << where << ": group " << g;
      }
      ASSERT_GE(next.value, acknowledged) << where << ": group " << g;
      if (acknowledged == 0) continue;
      const std::string state = (g == 1 ? "busy " : "quiet ") + std::to_string(next.value);
      ASSERT_TRUE(found.hard_state.has_value()) << where << ": group " << g;
      ASSERT_EQ(found.hard_state->view(), state) << where;
    }
  }
};

TEST_F(CrashTest, TheLogIsWholeAfterACrashAtAnyOperationOfReleasingRewritingAndArchiving) {
  for (const std::uint64_t retention_ns : {std::uint64_t{0}, std::uint64_t{1'000'000'000}}) {
    Script whole;
    whole.options.retention_ns = retention_ns;
    const LogStats stats = whole.Run();
    EXPECT_GE(stats.released, 8u);
    EXPECT_GE(stats.rewritten, 5u);
    EXPECT_LE(stats.segments, 8u);
    const std::uint64_t operations = whole.disk.counters().operations;
    for (std::uint64_t stop = 1; stop <= operations; ++stop) {
      for (const Survival survival :
           {Survival::kNothing, Survival::kPrefix, Survival::kTornSectors, Survival::kEverything}) {
        Script script;
        script.options.retention_ns = retention_ns;
        script.disk.StopAfter(stop);
        script.Run();
        script.disk.Crash(survival);
        const std::string where =
            "operation " + std::to_string(stop) + ", survival " + std::to_string(static_cast<int>(survival));
        script.Check(where);
        if (HasFatalFailure()) return;
        script.Check(where + ", again");
        if (HasFatalFailure()) return;
      }
    }
  }
}

#ifdef QUORATE_BUGS
class SeededBug : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { SetLogLevel(LogLevel::kError); }
  void TearDown() override {
    SelectBug("");
    SetLogLevel(LogLevel::kInfo);
  }
};

TEST_P(SeededBug, IsCaughtByTheCrashProperty) {
  SelectBug(GetParam());
  EXPECT_GE(Violations(300, /*sync_lies=*/false, /*report=*/false), 1);
}

INSTANTIATE_TEST_SUITE_P(Wal, SeededBug,
                         testing::Values("wal_sync_skipped", "wal_done_before_sync", "wal_truncate_forgotten",
                                         "wal_torn_tail_accepted", "wal_hard_state_lost_at_rotation",
                                         "wal_release_forgets_hard_state", "wal_install_not_atomic",
                                         "wal_rewrite_forward_drops_entry", "wal_released_above_flushed"),
                         [](const auto& test) { return std::string(test.param); });
#endif

}  // namespace
}  // namespace quorate::wal
