#include "sim/linearizability.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/random.h"

namespace quorate::sim {
namespace {

// Builds histories in few words; times are plain numbers.
class HistoryBuilder {
 public:
  Operation& Put(std::uint64_t from, std::uint64_t to, const std::string& value, Revision revision) {
    Operation& operation = Add(OperationKind::kPut, from, to);
    operation.value = value;
    operation.looked = false;
    operation.revision = revision;
    return operation;
  }
  Operation& Get(std::uint64_t from, std::uint64_t to, const std::string& value, Revision mod_revision) {
    Operation& operation = Add(OperationKind::kGet, from, to);
    if (!value.empty()) operation.seen = SeenValue{value, mod_revision};
    return operation;
  }
  Operation& Swap(std::uint64_t from, std::uint64_t to, const std::string& expected, const std::string& value,
                  const std::string& seen, Revision seen_revision, Revision revision) {
    Operation& operation = Add(OperationKind::kCompareAndSwap, from, to);
    if (!expected.empty()) operation.expected = expected;
    operation.value = value;
    if (!seen.empty()) operation.seen = SeenValue{seen, seen_revision};
    operation.swapped = expected == seen;
    operation.revision = revision;
    return operation;
  }
  Operation& Delete(std::uint64_t from, std::uint64_t to, const std::string& seen, Revision seen_revision,
                    Revision revision) {
    Operation& operation = Add(OperationKind::kDelete, from, to);
    if (!seen.empty()) operation.seen = SeenValue{seen, seen_revision};
    operation.revision = revision;
    return operation;
  }
  static void Unknown(Operation& operation) {
    operation.fate = OperationFate::kUnknown;
    operation.returned_ns = kNever;
    operation.swapped = false;
    operation.seen.reset();
    operation.revision = 0;
  }
  std::optional<std::string> Check() {
    std::stable_sort(history_.begin(), history_.end(),
                     [](const Operation& a, const Operation& b) { return a.invoked_ns < b.invoked_ns; });
    return ExplainNotLinearizable(history_, "k");
  }
  History& history() { return history_; }

 private:
  Operation& Add(OperationKind kind, std::uint64_t from, std::uint64_t to) {
    Operation operation;
    operation.id = history_.size() + 1;
    operation.kind = kind;
    operation.key = std::string("k");
    operation.invoked_ns = from;
    operation.returned_ns = to;
    operation.fate = OperationFate::kGood;
    history_.push_back(operation);
    return history_.back();
  }
  History history_;
};

TEST(Linearizability, AnEmptyHistoryIsGood) {
  EXPECT_FALSE(HistoryBuilder().Check());
}

TEST(Linearizability, AReadAfterAWriteSeesIt) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  h.Get(3, 4, "a", 2);
  EXPECT_FALSE(h.Check());
}

TEST(Linearizability, AStaleReadIsFound) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  h.Put(3, 4, "b", 3);
  h.Get(5, 6, "a", 2);
  EXPECT_TRUE(h.Check());
}

TEST(Linearizability, AReadOfAnAbsentKeyAfterAnAcknowledgedWriteIsFound) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  h.Get(3, 4, "", 0);
  EXPECT_TRUE(h.Check());
}

TEST(Linearizability, ReadsConcurrentWithAWriteMaySeeEitherButNotGoBack) {
  HistoryBuilder good;
  good.Put(1, 2, "a", 2);
  good.Put(3, 10, "b", 3);
  good.Get(4, 5, "a", 2);
  good.Get(6, 7, "b", 3);
  EXPECT_FALSE(good.Check());
  HistoryBuilder bad;
  bad.Put(1, 2, "a", 2);
  bad.Put(3, 10, "b", 3);
  bad.Get(4, 5, "b", 3);
  bad.Get(6, 7, "a", 2);
  EXPECT_TRUE(bad.Check());
}

TEST(Linearizability, AnUnknownWriteMayTakeEffectLateOrNever) {
  HistoryBuilder late;
  late.Put(1, 2, "a", 2);
  HistoryBuilder::Unknown(late.Put(3, 0, "b", 0));
  late.Get(10, 11, "a", 2);
  late.Get(20, 21, "b", 5);
  EXPECT_FALSE(late.Check());
  HistoryBuilder never;
  never.Put(1, 2, "a", 2);
  HistoryBuilder::Unknown(never.Put(3, 0, "b", 0));
  never.Get(10, 11, "a", 2);
  EXPECT_FALSE(never.Check());
}

TEST(Linearizability, AnUnknownWriteTakesEffectOnce) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  HistoryBuilder::Unknown(h.Put(3, 0, "b", 0));
  h.Get(10, 11, "b", 3);
  h.Put(12, 13, "c", 4);
  h.Get(14, 15, "b", 3);
  EXPECT_TRUE(h.Check());
}

TEST(Linearizability, AWriteThatCertainlyFailedIsNeverSeen) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2).fate = OperationFate::kFailed;
  h.Get(3, 4, "a", 2);
  EXPECT_TRUE(h.Check());
}

TEST(Linearizability, ASwapHoldsOnlyOnWhatItExpects) {
  HistoryBuilder good;
  good.Put(1, 2, "a", 2);
  good.Swap(3, 4, "a", "b", "a", 2, 3);
  good.Swap(5, 6, "a", "c", "b", 3, 3);
  good.Get(7, 8, "b", 3);
  EXPECT_FALSE(good.Check());
  HistoryBuilder two_winners;
  two_winners.Put(1, 2, "a", 2);
  two_winners.Swap(3, 8, "a", "b", "a", 2, 3);
  two_winners.Swap(3, 8, "a", "c", "a", 2, 4);
  EXPECT_TRUE(two_winners.Check());
}

TEST(Linearizability, ASwapFromAbsentCreates) {
  HistoryBuilder h;
  h.Swap(1, 2, "", "a", "", 0, 2);
  h.Swap(3, 4, "", "b", "a", 2, 2);
  EXPECT_FALSE(h.Check());
}

TEST(Linearizability, ADeleteLeavesNothing) {
  HistoryBuilder good;
  good.Put(1, 2, "a", 2);
  good.Delete(3, 4, "a", 2, 3);
  good.Get(5, 6, "", 0);
  good.Delete(7, 8, "", 0, 3);
  EXPECT_FALSE(good.Check());
  HistoryBuilder bad;
  bad.Put(1, 2, "a", 2);
  bad.Delete(3, 4, "a", 2, 3);
  bad.Get(5, 6, "a", 2);
  EXPECT_TRUE(bad.Check());
}

TEST(Linearizability, AnUnknownDeleteExplainsOneDisappearance) {
  HistoryBuilder once;
  once.Put(1, 2, "a", 2);
  HistoryBuilder::Unknown(once.Delete(3, 0, "", 0, 0));
  once.Get(10, 11, "a", 2);
  once.Get(12, 13, "", 0);
  once.Put(14, 15, "b", 4);
  EXPECT_FALSE(once.Check());
  once.Get(16, 17, "", 0);
  EXPECT_TRUE(once.Check());
}

TEST(Linearizability, AnUnknownDeleteDoesNotActBeforeItWasAskedFor) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  h.Get(3, 4, "", 0);
  HistoryBuilder::Unknown(h.Delete(5, 0, "", 0, 0));
  EXPECT_TRUE(h.Check());
}

TEST(Linearizability, AValueThatNobodyWroteIsFound) {
  HistoryBuilder h;
  h.Get(1, 2, "x", 9);
  EXPECT_TRUE(h.Check());
}

TEST(Linearizability, OtherKeysDoNotMatter) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2).key = "other";
  h.Get(3, 4, "", 0);
  EXPECT_FALSE(h.Check());
}

// Plays a register that is linearizable by construction: each operation acts at one moment inside its interval.
History PlayRegister(std::uint64_t seed, int operations, int clients) {
  SeededRandom random(seed);
  std::vector<Operation> plan;
  std::vector<std::uint64_t> free_at(static_cast<std::size_t>(clients), 1);
  std::vector<std::pair<std::uint64_t, std::size_t>> moments;
  for (int i = 0; i < operations; ++i) {
    const std::size_t client = random.Below(free_at.size());
    Operation operation;
    operation.id = static_cast<std::uint64_t>(i + 1);
    operation.client = client;
    operation.key = std::string("k");
    operation.kind = static_cast<OperationKind>(random.Below(4));
    operation.value = "v" + std::to_string(i);
    operation.invoked_ns = free_at[client] + random.Below(50);
    operation.returned_ns = operation.invoked_ns + 1 + random.Below(100);
    free_at[client] = operation.returned_ns + 1;
    moments.emplace_back(random.Between(operation.invoked_ns, operation.returned_ns), plan.size());
    plan.push_back(operation);
  }
  std::sort(moments.begin(), moments.end());
  std::optional<SeenValue> state;
  Revision revision = 1;
  for (const auto& [moment, index] : moments) {
    Operation& operation = plan[index];
    if (operation.kind == OperationKind::kCompareAndSwap) {
      if (state && random.Chance(700)) operation.expected = state->value;
      operation.swapped = operation.expected.has_value() == state.has_value();
    }
    operation.seen = state;
    if (operation.Writes()) {
      ++revision;
      state.reset();
      if (operation.kind != OperationKind::kDelete) state = SeenValue{operation.value, revision};
    }
    operation.revision = revision;
    operation.fate = OperationFate::kGood;
    if (random.Chance(100)) HistoryBuilder::Unknown(operation);
  }
  std::stable_sort(plan.begin(), plan.end(),
                   [](const Operation& a, const Operation& b) { return a.invoked_ns < b.invoked_ns; });
  return plan;
}

TEST(Linearizability, HistoriesOfARealRegisterAreGood) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const auto why = ExplainNotLinearizable(PlayRegister(seed, 200, 8), "k");
    EXPECT_FALSE(why) << "seed " << seed << ": " << *why;
  }
}

TEST(Linearizability, ThousandsOfOperationsOnOneKeyAreJudged) {
  EXPECT_FALSE(ExplainNotLinearizable(PlayRegister(7, 5000, 12), "k"));
}

TEST(Linearizability, OneReadMadeStaleInALongHistoryIsFound) {
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    History history = PlayRegister(seed, 1000, 8);
    std::optional<SeenValue> old;
    for (Operation& operation : history) {
      if (operation.fate != OperationFate::kGood || !operation.seen) continue;
      if (operation.id > 300 && !old) old = operation.seen;
      if (operation.id > 600 && operation.kind == OperationKind::kGet) {
        operation.seen = old;
        break;
      }
    }
    if (ExplainNotLinearizable(history, "k")) ++found;
  }
  EXPECT_EQ(found, 20);
}

// ---- Histories of real mistakes, in the form in which they were published

// Herlihy and Wing (1990), figure 1's kind: a write that overlaps two reads may not be seen by the first and then not
// by the second, although each read alone is good.
TEST(Linearizability, NewThenOldIsFoundAcrossClients) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  h.Put(3, 100, "b", 3);
  h.Get(10, 20, "b", 3);
  h.Get(15, 30, "a", 2);
  EXPECT_FALSE(h.Check()) << "the reads overlap";
  h.Get(40, 50, "a", 2);
  EXPECT_TRUE(h.Check());
}

// Jepsen, etcd 2014: a deposed leader answers reads from its own state.
TEST(Linearizability, AReadOfADeposedLeaderIsFound) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  h.Swap(10, 12, "a", "b", "a", 2, 3);
  h.Swap(13, 15, "b", "c", "b", 3, 4);
  h.Get(14, 16, "a", 2);
  EXPECT_TRUE(h.Check());
}

// A swap that failed for its client and happened after all, twice: a retry of what was unknown.
TEST(Linearizability, AnUnknownSwapThatHappensTwiceIsFound) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  HistoryBuilder::Unknown(h.Swap(3, 0, "a", "b", "", 0, 0));
  h.Get(10, 11, "b", 3);
  h.Put(12, 13, "a", 4);
  h.Get(14, 15, "b", 5);
  EXPECT_TRUE(h.Check());
}

// Split brain: two members acknowledge writes that do not know of each other.
TEST(Linearizability, TwoBranchesOfHistoryAreFound) {
  HistoryBuilder h;
  h.Put(1, 2, "a", 2);
  h.Put(3, 4, "b", 3);
  h.Get(5, 6, "b", 3);
  h.Put(5, 6, "c", 3);
  h.Get(7, 8, "c", 3);
  h.Get(9, 10, "b", 3);
  EXPECT_TRUE(h.Check());
}

TEST(Linearizability, AnAcknowledgedWriteThatIsLostIsFoundAmongUnknownOnes) {
  HistoryBuilder h;
  for (std::uint64_t i = 0; i < 40; ++i) HistoryBuilder::Unknown(h.Put(1 + i, 0, Numbered("u", i), 0));
  h.Put(100, 101, "a", 50);
  h.Get(102, 103, "a", 50);
  h.Get(104, 105, "", 0);
  EXPECT_TRUE(h.Check());
}

// What a bad history costs, too: no order explains it, and all that fit have to be tried.
TEST(Linearizability, AWrongAnswerInThousandsOfOperationsOnOneKeyIsFound) {
  History history = PlayRegister(11, 10'000, 12);
  EXPECT_FALSE(ExplainNotLinearizable(history, "k"));
  std::optional<SeenValue> old;
  for (Operation& operation : history) {
    if (operation.fate != OperationFate::kGood || !operation.seen) continue;
    if (!old && operation.id > 4'000) old = operation.seen;
    if (operation.id < 9'000 || operation.kind != OperationKind::kGet) continue;
    operation.seen = old;
    break;
  }
  EXPECT_TRUE(ExplainNotLinearizable(history, "k"));
}

}  // namespace
}  // namespace quorate::sim
