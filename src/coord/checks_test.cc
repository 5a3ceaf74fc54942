// The checks that need no state: texts, order, budgets of nested transactions, overlap of puts and deletions.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "coord/machine.h"

namespace quorate::coord {
namespace {

const Status kEmptyKey = Status::InvalidArgument("etcdserver: key is not provided");
const Status kKeyNotFound = Status::InvalidArgument("etcdserver: key not found");
const Status kDuplicate = Status::InvalidArgument("etcdserver: duplicate key given in txn request");
const Status kTooMany = Status::InvalidArgument("etcdserver: too many operations in txn request");
const Status kSort = Status::InvalidArgument("etcdserver: invalid sort option");
const Status kOk;
const std::string kOpen("\0", 1);

PutRequest Put(std::string key) {
  PutRequest put;
  put.key = std::move(key);
  return put;
}
DeleteRangeRequest Delete(std::string key, std::string end = {}) {
  return {std::move(key), std::move(end), false};
}
RequestOp Nested(std::vector<RequestOp> success, std::vector<RequestOp> failure = {}) {
  TxnRequest txn;
  txn.success = std::move(success);
  txn.failure = std::move(failure);
  return std::make_shared<const TxnRequest>(std::move(txn));
}
Status Check(std::vector<RequestOp> success, std::vector<RequestOp> failure = {}) {
  TxnRequest txn;
  txn.success = std::move(success);
  txn.failure = std::move(failure);
  return CheckTxn(txn);
}

TEST(ChecksTest, EveryRequestNeedsAKey) {
  EXPECT_EQ(CheckRange({}), kEmptyKey);
  EXPECT_EQ(CheckPut({}), kEmptyKey);
  EXPECT_EQ(CheckDeleteRange({}), kEmptyKey);
  EXPECT_EQ(Check({Put("")}), kEmptyKey);
  EXPECT_EQ(Check({}, {Delete("")}), kEmptyKey);
  TxnRequest txn;
  txn.compares.emplace_back();
  EXPECT_EQ(CheckTxn(txn), kEmptyKey);
}

TEST(ChecksTest, IgnoringAValueOrALeaseExcludesGivingOne) {
  PutRequest put = Put("k");
  put.value = Bytes(std::string("v"));
  put.lease = 1;
  EXPECT_EQ(CheckPut(put), kOk);
  put.ignore_lease = true;
  EXPECT_EQ(CheckPut(put), Status::InvalidArgument("etcdserver: lease is provided"));
  put.ignore_value = true;
  EXPECT_EQ(CheckPut(put), Status::InvalidArgument("etcdserver: value is provided"));
}

TEST(ChecksTest, UnknownSortOptionsAreRefusedAfterTheKey) {
  RangeRequest range;
  range.order = static_cast<RangeRequest::SortOrder>(3);
  EXPECT_EQ(CheckRange(range), kEmptyKey);
  range.key = "k";
  EXPECT_EQ(CheckRange(range), kSort);
  range.order = RangeRequest::SortOrder::kNone;
  range.target = static_cast<RangeRequest::SortTarget>(5);
  EXPECT_EQ(CheckRange(range), kSort);
  EXPECT_EQ(Check({range}), kSort);
}

TEST(ChecksTest, AnEmptyOperationIsKeyNotFound) {
  EXPECT_EQ(Check({std::shared_ptr<const TxnRequest>()}), kKeyNotFound);
}

TEST(ChecksTest, TheLargestOfComparesSuccessAndFailureCountsAgainstTheLimit) {
  std::vector<RequestOp> deletions(128, Delete("k"));
  EXPECT_EQ(Check(deletions, deletions), kOk);
  deletions.push_back(Delete("k"));
  EXPECT_EQ(Check(deletions), kTooMany);
  EXPECT_EQ(Check({}, deletions), kTooMany);
  TxnRequest txn;
  txn.compares.resize(129);
  EXPECT_EQ(CheckTxn(txn), kTooMany);  // before their empty keys
  txn.compares.resize(3);
  EXPECT_EQ(CheckTxn(txn, 2), kTooMany);
}

TEST(ChecksTest, NestedTransactionsGetTheRemainingBudget) {
  const auto with_nested = [](std::size_t own, std::size_t inner) {
    std::vector<RequestOp> ops(own - 1, Delete("k"));
    ops.push_back(Nested(std::vector<RequestOp>(inner, Delete("k"))));
    return Check(ops);
  };
  EXPECT_EQ(with_nested(100, 28), kOk);
  EXPECT_EQ(with_nested(100, 29), kTooMany);
}

TEST(ChecksTest, NestingIsBoundedWhateverTheLimit) {
  RequestOp op = Nested({});
  for (std::size_t depth = 2; depth < kTxnDepthMax; ++depth) op = Nested({op});
  TxnRequest txn;
  txn.success = {op};  // now kTxnDepthMax levels
  EXPECT_EQ(CheckTxn(txn, 1'000'000), kOk);
  txn.success = {Nested({op})};
  EXPECT_EQ(CheckTxn(txn, 1'000'000), kTooMany);
}

TEST(ChecksTest, OneBranchMayPutAKeyOnce) {
  EXPECT_EQ(Check({Put("a"), Put("b")}), kOk);
  EXPECT_EQ(Check({Put("a"), Put("b"), Put("a")}), kDuplicate);
  EXPECT_EQ(Check({}, {Put("a"), Put("a")}), kDuplicate);
  EXPECT_EQ(Check({Put("a")}, {Put("a")}), kOk);
}

TEST(ChecksTest, APutMayNotMeetADeletionInWhicheverOrder) {
  EXPECT_EQ(Check({Put("a"), Delete("a")}), kDuplicate);
  EXPECT_EQ(Check({Delete("a"), Put("a")}), kDuplicate);
  EXPECT_EQ(Check({Put("b"), Delete("a", "c")}), kDuplicate);
  EXPECT_EQ(Check({Put("a"), Delete("a", "c")}), kDuplicate);
  EXPECT_EQ(Check({Put("c"), Delete("a", "c")}), kOk);
  EXPECT_EQ(Check({Put("aa"), Delete("a")}), kOk);
  EXPECT_EQ(Check({Delete("a", "c"), Delete("b", "d"), Put("d")}), kOk);
  EXPECT_EQ(Check({Delete("a", "c"), Delete("b", "d"), Put("cc")}), kDuplicate);
  EXPECT_EQ(Check({Delete("m", "n"), Delete("a", "z"), Delete("b", "c"), Put("y")}), kDuplicate);
}

TEST(ChecksTest, DeletionsMayOverlapEachOther) {
  EXPECT_EQ(Check({Delete("a"), Delete("a"), Delete("a", "c"), Delete("b", "d")}), kOk);
}

TEST(ChecksTest, AnOpenDeletionMeetsNoPutAsInEtcd) {
  EXPECT_EQ(Check({Put("b"), Delete("a", kOpen)}), kOk);
}

TEST(ChecksTest, BranchesOfANestedTransactionExcludeEachOther) {
  EXPECT_EQ(Check({Nested({Put("a")}, {Put("a")})}), kOk);
  EXPECT_EQ(Check({Nested({Put("a")}, {Put("a")}), Put("a")}), kDuplicate);
  EXPECT_EQ(Check({Nested({Put("a")}), Nested({}, {Put("a")})}), kDuplicate);
  EXPECT_EQ(Check({Nested({Put("a"), Put("a")})}), kDuplicate);
  EXPECT_EQ(Check({Nested({}, {Nested({Delete("a"), Put("a")})})}), kDuplicate);
}

TEST(ChecksTest, NestedPutsAndDeletionsMeetThoseOfTheLevelAbove) {
  EXPECT_EQ(Check({Nested({Put("a")}), Delete("a")}), kDuplicate);
  EXPECT_EQ(Check({Nested({}, {Delete("a", "c")}), Put("b")}), kDuplicate);
  EXPECT_EQ(Check({Put("b"), Nested({Nested({Delete("a", "c")})})}), kDuplicate);
}

// etcd gathers nested deletions while it walks the nested transactions, so only an earlier one meets a later put.
TEST(ChecksTest, AmongNestedTransactionsOnlyAnEarlierDeletionMeetsALaterPut) {
  EXPECT_EQ(Check({Nested({Delete("a")}), Nested({Put("a")})}), kDuplicate);
  EXPECT_EQ(Check({Nested({Put("a")}), Nested({Delete("a")})}), kOk);
}

TEST(ChecksTest, BudgetsAreCheckedBeforeOverlap) {
  std::vector<RequestOp> ops(2, Put("a"));
  ops.push_back(Put(""));
  EXPECT_EQ(Check(ops), kEmptyKey);
}

TEST(ChecksTest, ReadOnlyMeansPlainRangesOnly) {
  RangeRequest range;
  range.key = "k";
  TxnRequest txn;
  EXPECT_TRUE(IsReadOnly(txn));
  txn.success = {range};
  txn.failure = {range, range};
  EXPECT_TRUE(IsReadOnly(txn));
  txn.failure.push_back(Nested({range}));
  EXPECT_FALSE(IsReadOnly(txn));
  txn.failure = {Put("k")};
  EXPECT_FALSE(IsReadOnly(txn));
}

}  // namespace
}  // namespace quorate::coord
