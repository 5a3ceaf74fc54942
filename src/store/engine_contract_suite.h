// What every Engine must do. Each engine's test instantiates the suite with a maker of its own. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "store/engine.h"
#include "store/record.h"

namespace quorate::store {

// An engine, and the means to crash it and to let time pass.
class EngineUnderTest {
 public:
  virtual ~EngineUnderTest() = default;
  virtual Engine& engine() = 0;
  virtual void Crash() = 0;  // and opens again
  virtual bool RunUntil(const std::function<bool()>& ready) = 0;
};

struct EngineMaker {
  const char* name;
  std::function<std::unique_ptr<EngineUnderTest>()> make;
};

class EngineContract : public testing::TestWithParam<EngineMaker> {
 protected:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  EngineContract() : under_test_(GetParam().make()) {}

  Engine& engine() { return under_test_->engine(); }
  Status Write(std::uint64_t index, std::vector<TableWrite> writes, std::vector<TableRange> erased = {}) {
    std::optional<Status> answer;
    engine().Write(
        [index, writes, erased] {
          return EngineBatch{LogIndex(index), writes, erased};
        },
        [&](Status status) { answer = std::move(status); });
    EXPECT_FALSE(answer.has_value()) << "answered from inside the call";
    EXPECT_TRUE(under_test_->RunUntil([&] { return answer.has_value(); }));
    return *answer;
  }
  static TableWrite Set(Table table, std::string key, std::string value) {
    return {table, std::move(key), Bytes(std::move(value))};
  }
  static std::string Key(Revision revision, std::uint32_t sub = 0) { return EncodeRecordKey({revision, sub}); }
  std::string Get(Table table, std::string_view key) {
    const Result<std::optional<Bytes>> value = engine().Pin()->Get(table, key);
    EXPECT_TRUE(value.ok());
    return *value ? (*value)->ToString() : "(none)";
  }
  static Pairs All(const EngineView& view, Table table, std::string_view begin = {}, std::string_view end = {}) {
    Pairs pairs;
    const Status status = view.Scan(table, begin, end, [&](std::string_view key, std::string_view value) {
      pairs.emplace_back(key, value);
      return true;
    });
    EXPECT_TRUE(status.ok()) << status.message();
    return pairs;
  }
  Pairs All(Table table, std::string_view begin = {}, std::string_view end = {}) {
    return All(*engine().Pin(), table, begin, end);
  }

  std::unique_ptr<EngineUnderTest> under_test_;
};

TEST_P(EngineContract, ANewEngineIsEmptyAtIndexZero) {
  EXPECT_EQ(engine().flushed(), LogIndex(0));
  EXPECT_EQ(Get(Table::kMeta, "a"), "(none)");
  EXPECT_TRUE(All(Table::kMeta).empty());
  EXPECT_TRUE(All(Table::kKv).empty());
}

TEST_P(EngineContract, ABatchIsReadBackAndCarriesItsIndex) {
  ASSERT_TRUE(Write(7, {Set(Table::kMeta, "a", "1"), Set(Table::kSession, "a", "2"), Set(Table::kKv, Key(2), "3"),
                        Set(Table::kValue, Key(2), "4")})
                  .ok());
  EXPECT_EQ(engine().flushed(), LogIndex(7));
  EXPECT_EQ(Get(Table::kMeta, "a"), "1");
  EXPECT_EQ(Get(Table::kSession, "a"), "2");
  EXPECT_EQ(Get(Table::kKv, Key(2)), "3");
  EXPECT_EQ(Get(Table::kValue, Key(2)), "4");
  EXPECT_EQ(Get(Table::kLock, "a"), "(none)");
}

TEST_P(EngineContract, ALaterBatchOverwritesAndDeletes) {
  ASSERT_TRUE(Write(1, {Set(Table::kMeta, "a", "1"), Set(Table::kMeta, "b", "1"), Set(Table::kMeta, "c", "1")}).ok());
  ASSERT_TRUE(Write(2, {Set(Table::kMeta, "a", "2"), {Table::kMeta, "b", std::nullopt}}).ok());
  ASSERT_TRUE(Write(2, {{Table::kMeta, "nobody", std::nullopt}, Set(Table::kMeta, "z", "")}).ok());
  EXPECT_EQ(All(Table::kMeta), (Pairs{{"a", "2"}, {"c", "1"}, {"z", ""}}));
}

TEST_P(EngineContract, ARangeIsErasedBeforeTheBatchWrites) {
  for (Revision revision = 2; revision < 10; ++revision) {
    ASSERT_TRUE(Write(static_cast<std::uint64_t>(revision),
                      {Set(Table::kKv, Key(revision), "r"), Set(Table::kValue, Key(revision), "v")})
                    .ok());
  }
  ASSERT_TRUE(Write(10,
                    {{Table::kKv, Key(2), std::nullopt},
                     Set(Table::kKv, Key(10), "r"),
                     {Table::kValue, Key(2), std::nullopt},
                     Set(Table::kValue, Key(10), "v")},
                    {{Table::kKv, Key(4), Key(7)}, {Table::kValue, Key(4), Key(7)}})
                  .ok());
  const Pairs records{{Key(3), "r"}, {Key(7), "r"}, {Key(8), "r"}, {Key(9), "r"}, {Key(10), "r"}};
  EXPECT_EQ(All(Table::kKv), records);
  EXPECT_EQ(All(Table::kValue).size(), records.size());
  under_test_->Crash();
  EXPECT_EQ(All(Table::kKv), records);
}

TEST_P(EngineContract, ScansAscendingByUnsignedBytesOverAHalfOpenRange) {
  ASSERT_TRUE(Write(1, {Set(Table::kMeta, "a", "1"), Set(Table::kMeta, "ab", "2"), Set(Table::kMeta, "b", "3"),
                        Set(Table::kMeta, "c", "4"), Set(Table::kMeta, "\xff", "5")})
                  .ok());
  EXPECT_EQ(All(Table::kMeta), (Pairs{{"a", "1"}, {"ab", "2"}, {"b", "3"}, {"c", "4"}, {"\xff", "5"}}));
  EXPECT_EQ(All(Table::kMeta, "ab", "c"), (Pairs{{"ab", "2"}, {"b", "3"}}));
  EXPECT_EQ(All(Table::kMeta, "c"), (Pairs{{"c", "4"}, {"\xff", "5"}}));
  EXPECT_TRUE(All(Table::kMeta, "c", "a").empty());
  int visited = 0;
  EXPECT_TRUE(engine().Pin()->Scan(Table::kMeta, {}, {}, [&](auto, auto) { return ++visited < 2; }).ok());
  EXPECT_EQ(visited, 2);
}

TEST_P(EngineContract, SeveralKeysAreReadAtOnceInTheirOrder) {
  ASSERT_TRUE(Write(1, {Set(Table::kKv, Key(2), "two"), Set(Table::kKv, Key(3), "three")}).ok());
  const auto values = engine().Pin()->MultiGet(Table::kKv, {Key(3), Key(4), Key(2), Key(3)});
  ASSERT_TRUE(values.ok());
  ASSERT_EQ(values->size(), 4u);
  EXPECT_EQ((*values)[0]->view(), "three");
  EXPECT_FALSE((*values)[1].has_value());
  EXPECT_EQ((*values)[2]->view(), "two");
  EXPECT_EQ((*values)[3]->view(), "three");
}

TEST_P(EngineContract, AViewStaysAsItWasPinned) {
  ASSERT_TRUE(Write(1, {Set(Table::kMeta, "a", "1"), Set(Table::kKv, Key(2), "old")}).ok());
  const std::shared_ptr<const EngineView> view = engine().Pin();
  ASSERT_TRUE(
      Write(2, {Set(Table::kMeta, "a", "2"), {Table::kKv, Key(2), std::nullopt}, Set(Table::kKv, Key(3), "new")}, {})
          .ok());
  EXPECT_EQ(All(*view, Table::kMeta), (Pairs{{"a", "1"}}));
  EXPECT_EQ(All(*view, Table::kKv), (Pairs{{Key(2), "old"}}));
  EXPECT_EQ(All(Table::kKv), (Pairs{{Key(3), "new"}}));
}

TEST_P(EngineContract, WorkReadsItsViewOrOnePinnedForIt) {
  ASSERT_TRUE(Write(1, {Set(Table::kMeta, "a", "1")}).ok());
  const std::shared_ptr<const EngineView> old = engine().Pin();
  ASSERT_TRUE(Write(2, {Set(Table::kMeta, "a", "2")}).ok());
  std::string seen;
  int answers = 0;
  const auto read = [&](std::shared_ptr<const EngineView> view) {
    engine().Read(
        std::move(view),
        [&seen](const EngineView& v) -> Status {
          const Result<std::optional<Bytes>> value = v.Get(Table::kMeta, "a");
          if (!value.ok()) return value.status();
          seen = (*value)->ToString();
          return {};
        },
        [&answers](const Status& status) { answers += status.ok() ? 1 : 100; });
    const int before = answers;
    EXPECT_TRUE(under_test_->RunUntil([&] { return answers > before; }));
    return seen;
  };
  EXPECT_EQ(read(nullptr), "2");
  EXPECT_EQ(read(old), "1");
  EXPECT_EQ(answers, 2);
}

TEST_P(EngineContract, WhatWorkFailsWithIsTheAnswer) {
  std::optional<Status> answer;
  engine().Read(
      nullptr, [](const EngineView&) { return Status::Unavailable("no"); },
      [&](Status status) { answer = std::move(status); });
  EXPECT_TRUE(under_test_->RunUntil([&] { return answer.has_value(); }));
  EXPECT_EQ(answer->message(), "no");
}

TEST_P(EngineContract, ACrashLeavesWhatWasAnswered) {
  ASSERT_TRUE(Write(3, {Set(Table::kMeta, "a", "old"), Set(Table::kKv, Key(2), "kept")}).ok());
  under_test_->Crash();
  EXPECT_EQ(engine().flushed(), LogIndex(3));
  EXPECT_EQ(All(Table::kMeta), (Pairs{{"a", "old"}}));
  EXPECT_EQ(All(Table::kKv), (Pairs{{Key(2), "kept"}}));
}

TEST_P(EngineContract, ACrashDuringAWriteLeavesAllOfItOrNothing) {
  ASSERT_TRUE(Write(3, {Set(Table::kMeta, "a", "old")}).ok());
  engine().Write(
      [] {
        return EngineBatch{LogIndex(4), {Set(Table::kMeta, "a", "new"), Set(Table::kKv, Key(2), "x")}, {}};
      },
      [](const Status&) { FAIL() << "answered after the crash"; });
  under_test_->Crash();
  const bool there = engine().flushed() == LogIndex(4);
  EXPECT_EQ(Get(Table::kMeta, "a"), there ? "new" : "old");
  EXPECT_EQ(Get(Table::kKv, Key(2)), there ? "x" : "(none)");
}

class InstallContract : public EngineContract {
 protected:
  Status Done(const std::function<void(std::function<void(Status)>)>& call) {
    std::optional<Status> answer;
    call([&](Status status) { answer = std::move(status); });
    EXPECT_TRUE(under_test_->RunUntil([&] { return answer.has_value(); }));
    return *answer;
  }
};

TEST_P(InstallContract, TakesThePlaceOfEverything) {
  ASSERT_TRUE(
      Write(3, {Set(Table::kMeta, "a", "old"), Set(Table::kSession, "s", "old"), Set(Table::kKv, Key(2), "o")}).ok());
  {
    const std::unique_ptr<EngineInstall> install = engine().BeginInstall(LogIndex(9));
    EXPECT_TRUE(Done([&](auto done) {
                  install->Add({Set(Table::kMeta, "b", "new"), Set(Table::kKv, Key(5), "n")}, done);
                }).ok());
    EXPECT_TRUE(
        Done([&](auto done) { install->Add({Set(Table::kKv, Key(6), std::string(20 << 20, 'x'))}, done); }).ok());
    EXPECT_EQ(Get(Table::kMeta, "a"), "old");
    EXPECT_TRUE(Done([&](auto done) { install->Finish({Set(Table::kLocal, "state", "l")}, done); }).ok());
  }
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(engine().flushed(), LogIndex(9));
    EXPECT_EQ(All(Table::kMeta), (Pairs{{"b", "new"}}));
    EXPECT_TRUE(All(Table::kSession).empty());
    EXPECT_EQ(Get(Table::kLocal, "state"), "l");
    EXPECT_EQ(Get(Table::kKv, Key(5)), "n");
    EXPECT_EQ(Get(Table::kKv, Key(2)), "(none)");
    EXPECT_EQ(Get(Table::kKv, Key(6)).size(), std::size_t{20} << 20);
    ASSERT_TRUE(Write(9 + static_cast<std::uint64_t>(life), {Set(Table::kMeta, "c", "later")}).ok());
    ASSERT_TRUE(Write(9 + static_cast<std::uint64_t>(life), {{Table::kMeta, "c", std::nullopt}}).ok());
    if (life == 0) under_test_->Crash();
  }
}

TEST_P(InstallContract, LeavesNothingWhenItIsGivenUpOrCrashes) {
  ASSERT_TRUE(Write(3, {Set(Table::kMeta, "a", "old")}).ok());
  for (const bool crash : {false, true}) {
    std::unique_ptr<EngineInstall> install = engine().BeginInstall(LogIndex(9));
    EXPECT_TRUE(
        Done([&](auto done) { install->Add({Set(Table::kKv, Key(5), std::string(20 << 20, 'x'))}, done); }).ok());
    install.reset();
    if (crash) under_test_->Crash();
    EXPECT_EQ(engine().flushed(), LogIndex(3));
    EXPECT_EQ(All(Table::kMeta), (Pairs{{"a", "old"}}));
    EXPECT_TRUE(All(Table::kKv).empty());
  }
}

}  // namespace quorate::store
