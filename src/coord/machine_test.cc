// The kv model as the machine executes it: revisions, transactions, refusals, ranges, compaction, hash.
#include "coord/machine.h"

#include <gmock/gmock.h>

#include "coord/machine_test_util.h"

namespace quorate::coord {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Harness = MachineHarness;

const std::string kOpen("\0", 1);

std::vector<std::string> Keys(const RangeResponse& response) {
  std::vector<std::string> keys;
  for (const store::KeyValue& kv : response.kvs) keys.push_back(kv.key.ToString());
  return keys;
}
Compare When(std::string key, Compare::Target target, Compare::Result result, std::int64_t number) {
  Compare compare;
  compare.key = std::move(key);
  compare.target = target;
  compare.result = result;
  compare.number = number;
  return compare;
}
Compare WhenValue(std::string key, Compare::Result result, std::string value) {
  Compare compare = When(std::move(key), Compare::Target::kValue, result, 0);
  compare.value = std::move(value);
  return compare;
}
RangeRequest Get(std::string key, std::string end = {}) {
  RangeRequest range;
  range.key = std::move(key);
  range.end = std::move(end);
  return range;
}
std::shared_ptr<const TxnRequest> Nested(TxnRequest txn) {
  return std::make_shared<const TxnRequest>(std::move(txn));
}

TEST(MachineTest, AnEmptyStoreIsAtRevisionOneAndTheFirstWriteReturnsTwo) {
  Harness m;
  EXPECT_EQ(m->revision(), 1);
  EXPECT_EQ(m.Put("k", "v"), 2);
  EXPECT_EQ(m->revision(), 2);
  EXPECT_EQ(m.Value("k"), "v");
}

TEST(MachineTest, NoopAndMembershipEntriesMoveOnlyTheAppliedIndex) {
  Harness m;
  m.Put("k", "v");
  const std::uint64_t hash = m->StateHash();
  for (const auto kind : {consensus::EntryKind::kNoop, consensus::EntryKind::kMembership}) {
    consensus::Entry entry;
    entry.index = m->applied().Next();
    entry.kind = kind;
    EXPECT_NE(m->Apply(entry), nullptr);
    EXPECT_EQ(m->applied(), entry.index);
    m.Flush();
    EXPECT_EQ(m->flushed(), entry.index);
    EXPECT_EQ(m.engine().flushed(), entry.index);
  }
  EXPECT_EQ(m->revision(), 2);
  EXPECT_EQ(m->StateHash(), hash);
}

TEST(MachineTest, AnUnknownCommandHaltsApply) {
  Harness m;
  std::string encoded = EncodeCommand({Envelope{}, AdvanceTime{}});
  encoded[0] = 99;
  EXPECT_DEATH(m.ApplyEncoded(Bytes(encoded)), "format version 99 is unknown");
}

TEST(MachineTest, ADeletionOfNothingTakesNoRevision) {
  Harness m;
  m.Put("k", "v");
  const CommandOutcome none = m.Delete("other");
  EXPECT_EQ(none.revision, 2);
  EXPECT_EQ(std::get<DeleteRangeResponse>(none.body).deleted, 0);
  const CommandOutcome one = m.Delete("k");
  EXPECT_EQ(one.revision, 3);
  EXPECT_EQ(std::get<DeleteRangeResponse>(one.body).deleted, 1);
}

TEST(MachineTest, DeleteRangeReturnsWhatItDeletedOnRequest) {
  Harness m;
  m.Put("a", "1");
  m.Put("b", "2");
  m.Put("c", "3");
  const CommandOutcome outcome = m.Delete("a", "c", true);
  const auto& response = std::get<DeleteRangeResponse>(outcome.body);
  EXPECT_EQ(response.deleted, 2);
  ASSERT_EQ(response.prev_kvs.size(), 2u);
  EXPECT_EQ(response.prev_kvs[1].value.view(), "2");
  EXPECT_EQ(std::get<DeleteRangeResponse>(m.Delete("a", kOpen).body).deleted, 1);
}

TEST(MachineTest, PutReturnsThePreviousPairOnRequestAndNothingOnCreation) {
  Harness m;
  PutRequest put = Harness::MakePut("k", "1");
  put.prev_kv = true;
  EXPECT_FALSE(std::get<PutResponse>(m.Apply(put).body).prev_kv);
  put.value = Bytes(std::string("2"));
  const CommandOutcome outcome = m.Apply(put);
  const auto& previous = std::get<PutResponse>(outcome.body).prev_kv;
  ASSERT_TRUE(previous);
  EXPECT_EQ(previous->value.view(), "1");
  EXPECT_EQ(previous->mod_revision, 2);
}

TEST(MachineTest, IgnoreValueAndIgnoreLeaseKeepWhatIsThereAndNeedAKey) {
  Harness m;
  m.Apply(LeaseGrantRequest{7, 60});
  PutRequest put = Harness::MakePut("k", "");
  put.ignore_value = true;
  EXPECT_EQ(m.Apply(put).status, Status::InvalidArgument("etcdserver: key not found"));
  m.Put("k", "v", 7);
  EXPECT_TRUE(m.Apply(put).status.ok());
  EXPECT_EQ(m.Value("k"), "v");
  EXPECT_THAT(m->Lease(7, true)->keys, IsEmpty());
  m.Put("k", "v", 7);
  PutRequest keep_lease = Harness::MakePut("k", "w");
  keep_lease.ignore_lease = true;
  EXPECT_TRUE(m.Apply(keep_lease).status.ok());
  EXPECT_EQ(m.Value("k"), "w");
  EXPECT_THAT(m->Lease(7, true)->keys, ElementsAre("k"));
}

TEST(MachineTest, ARefusedCommandChangesNoTableButTime) {
  Harness m;
  m.Put("k", "v");
  const std::uint64_t before = m->StateHash();
  TxnRequest txn;
  txn.success.push_back(Harness::MakePut("a", "1"));
  txn.success.push_back(Harness::MakePut("b", "1", 404));
  const CommandOutcome outcome = m.Apply(txn);
  EXPECT_EQ(outcome.status, Status::NotFound("etcdserver: requested lease not found"));
  EXPECT_TRUE(std::holds_alternative<std::monostate>(outcome.body));
  EXPECT_EQ(outcome.revision, 2);
  EXPECT_EQ(m->StateHash(), before);
  EXPECT_EQ(m.Value("a"), "(none)");
}

TEST(MachineTest, AllOperationsOfATransactionShareOneRevision) {
  Harness m;
  TxnRequest txn;
  for (const char* key : {"a", "b", "c"}) txn.success.push_back(Harness::MakePut(key, "1"));
  EXPECT_EQ(m.Apply(txn).revision, 2);
  const Result<RangeResponse> all = m->Range(Get("a", kOpen));
  for (const store::KeyValue& kv : all->kvs) EXPECT_EQ(kv.mod_revision, 2);
}

TEST(MachineTest, ATransactionThatWritesNothingTakesNoRevision) {
  Harness m;
  m.Put("k", "v");
  TxnRequest txn;
  txn.compares.push_back(WhenValue("k", Compare::Result::kEqual, "other"));
  txn.success.push_back(Harness::MakePut("k", "w"));
  const CommandOutcome outcome = m.Apply(txn);
  EXPECT_EQ(outcome.revision, 2);
  EXPECT_FALSE(std::get<TxnResponse>(outcome.body).succeeded);
}

TEST(MachineTest, AMissingKeyComparesAsZeroAndItsValueEqualsNothing) {
  Harness m;
  using T = Compare::Target;
  using R = Compare::Result;
  const auto holds = [&](Compare compare) {
    TxnRequest txn;
    txn.compares.push_back(std::move(compare));
    return m->ReadTxn(txn)->succeeded;
  };
  for (const T target : {T::kVersion, T::kCreate, T::kMod, T::kLease}) {
    EXPECT_TRUE(holds(When("x", target, R::kEqual, 0)));
    EXPECT_TRUE(holds(When("x", target, R::kLess, 1)));
    EXPECT_FALSE(holds(When("x", target, R::kGreater, 0)));
  }
  for (const R result : {R::kEqual, R::kNotEqual, R::kLess, R::kGreater})
    EXPECT_FALSE(holds(WhenValue("x", result, "")));
}

TEST(MachineTest, AllKeysOfARangeMustSatisfyACompare) {
  Harness m;
  m.Put("a", "1");
  m.Put("b", "1");
  TxnRequest txn;
  Compare compare = WhenValue("a", Compare::Result::kEqual, "1");
  compare.end = "z";
  txn.compares.push_back(compare);
  EXPECT_TRUE(m->ReadTxn(txn)->succeeded);
  m.Put("c", "2");
  EXPECT_FALSE(m->ReadTxn(txn)->succeeded);
}

TEST(MachineTest, ComparesOfNestedTransactionsLookAtTheStateBefore) {
  Harness m;
  TxnRequest inner;
  inner.compares.push_back(When("k", Compare::Target::kVersion, Compare::Result::kEqual, 0));
  inner.success.push_back(Harness::MakePut("inner", "absent"));
  inner.failure.push_back(Harness::MakePut("inner", "present"));
  TxnRequest outer;
  outer.success.push_back(Harness::MakePut("k", "v"));
  outer.success.push_back(Nested(inner));
  const CommandOutcome outcome = m.Apply(outer);
  EXPECT_TRUE(outcome.status.ok());
  const auto& response = std::get<TxnResponse>(outcome.body);
  EXPECT_TRUE(std::get<std::shared_ptr<const TxnResponse>>(response.responses[1])->succeeded);
  EXPECT_EQ(m.Value("inner"), "absent");
}

TEST(MachineTest, OperationsSeeWhatEarlierOnesOfTheirTransactionWrote) {
  Harness m;
  m.Put("k", "old");
  PutRequest put = Harness::MakePut("k", "new");
  put.prev_kv = true;
  RangeRequest pinned = Get("k");
  pinned.revision = 2;
  TxnRequest txn;
  txn.success = {put, Get("k"), pinned};
  const CommandOutcome outcome = m.Apply(txn);
  const auto& ops = std::get<TxnResponse>(outcome.body).responses;
  EXPECT_EQ(std::get<PutResponse>(ops[0]).prev_kv->value.view(), "old");
  EXPECT_EQ(std::get<RangeResponse>(ops[1]).kvs[0].value.view(), "new");
  EXPECT_EQ(std::get<RangeResponse>(ops[1]).kvs[0].mod_revision, 3);
  EXPECT_EQ(std::get<RangeResponse>(ops[2]).kvs[0].value.view(), "old");
}

TEST(MachineTest, OnlyTheChosenBranchIsValidated) {
  Harness m;
  TxnRequest txn;
  txn.failure.push_back(Harness::MakePut("k", "v", 404));
  txn.success.push_back(Harness::MakePut("k", "v"));
  EXPECT_TRUE(m.Apply(txn).status.ok());
}

TEST(MachineTest, RevisionsWithinTransactionsAreCheckedBeforeAnythingRuns) {
  Harness m;
  m.Put("k", "1");
  m.Put("k", "2");
  ASSERT_TRUE(m.Apply(CompactRequest{3}).status.ok());
  for (const auto& [revision, text] : std::vector<std::pair<Revision, std::string>>{
           {2, "has been compacted"}, {-1, "has been compacted"}, {4, "is a future revision"}}) {
    RangeRequest range = Get("k");
    range.revision = revision;
    TxnRequest txn;
    txn.success = {Harness::MakePut("k", "3"), range};
    const Status expected = Status::OutOfRange("etcdserver: mvcc: required revision " + text);
    EXPECT_EQ(m.Apply(txn).status, expected);
    txn.success = {range};
    EXPECT_EQ(m->ReadTxn(txn).status(), expected);
  }
  EXPECT_EQ(m.Value("k"), "2");
}

TEST(MachineTest, APutAfterAnOpenDeletionOfTheSameTransactionKeepsNothing) {
  Harness m;
  m.Put("k", "v");
  PutRequest put = Harness::MakePut("k", "");
  put.ignore_value = true;
  TxnRequest txn;
  txn.success = {DeleteRangeRequest{"a", kOpen, false}, put};
  EXPECT_TRUE(m.Apply(txn).status.ok());
  EXPECT_EQ(m.Value("k"), "");
  EXPECT_EQ(m->revision(), 3);
}

// ---- ranges ----

class RangeTest : public ::testing::Test {
 protected:
  RangeTest() {
    m_.Put("a", "3");  // revision 2
    m_.Put("b", "2");
    m_.Put("c", "1");
    m_.Put("a", "4");  // revision 5, version 2
  }
  RangeResponse Range(RangeRequest request) {
    Result<RangeResponse> response = m_->Range(request);
    EXPECT_TRUE(response.ok());
    return std::move(response).value();
  }
  Harness m_;
};

TEST_F(RangeTest, TheEndIsExclusiveAndZeroByteMeansEverythingFromTheKeyOn) {
  EXPECT_THAT(Keys(Range(Get("a", "c"))), ElementsAre("a", "b"));
  EXPECT_THAT(Keys(Range(Get("b", kOpen))), ElementsAre("b", "c"));
  EXPECT_THAT(Keys(Range(Get(kOpen, kOpen))), ElementsAre("a", "b", "c"));
}

TEST_F(RangeTest, CountIgnoresTheLimitAndMoreTellsThatSomeWereLeftOut) {
  RangeRequest request = Get("a", kOpen);
  request.limit = 2;
  RangeResponse response = Range(request);
  EXPECT_THAT(Keys(response), ElementsAre("a", "b"));
  EXPECT_EQ(response.count, 3);
  EXPECT_TRUE(response.more);
  request.limit = 3;
  EXPECT_FALSE(Range(request).more);
}

TEST_F(RangeTest, CountIgnoresRevisionBoundsAndBoundsAreInclusive) {
  RangeRequest request = Get("a", kOpen);
  request.min_mod = 4;
  RangeResponse response = Range(request);
  EXPECT_THAT(Keys(response), ElementsAre("a", "c"));
  EXPECT_EQ(response.count, 3);
  request.max_mod = 4;
  EXPECT_THAT(Keys(Range(request)), ElementsAre("c"));
  request = Get("a", kOpen);
  request.min_create = 3;
  EXPECT_THAT(Keys(Range(request)), ElementsAre("b", "c"));
  request.max_create = 3;
  EXPECT_THAT(Keys(Range(request)), ElementsAre("b"));
}

TEST_F(RangeTest, LimitAppliesAfterSortingAndFiltering) {
  RangeRequest request = Get("a", kOpen);
  request.order = RangeRequest::SortOrder::kDescend;
  request.limit = 1;
  RangeResponse response = Range(request);
  EXPECT_THAT(Keys(response), ElementsAre("c"));
  EXPECT_TRUE(response.more);
  request = Get("a", kOpen);
  request.max_mod = 4;
  request.limit = 2;
  response = Range(request);
  EXPECT_THAT(Keys(response), ElementsAre("b", "c"));
  EXPECT_FALSE(response.more);
}

TEST_F(RangeTest, WithoutAnOrderTheLimitCutsInKeyOrderAndThenSorts) {
  RangeRequest request = Get("a", kOpen);
  request.target = RangeRequest::SortTarget::kMod;
  request.limit = 1;
  RangeResponse response = Range(request);
  EXPECT_TRUE(response.more);
  EXPECT_THAT(Keys(response), ElementsAre("b"));  // of a and b, one more than the limit, b is the older
  request.order = RangeRequest::SortOrder::kDescend;
  EXPECT_THAT(Keys(Range(request)), ElementsAre("a"));
}

TEST_F(RangeTest, SortsByEveryTargetAndWithoutAnOrderAscends) {
  using T = RangeRequest::SortTarget;
  RangeRequest request = Get("a", kOpen);
  request.target = T::kValue;
  EXPECT_THAT(Keys(Range(request)), ElementsAre("c", "b", "a"));
  request.target = T::kMod;
  EXPECT_THAT(Keys(Range(request)), ElementsAre("b", "c", "a"));
  request.target = T::kCreate;
  request.order = RangeRequest::SortOrder::kDescend;
  EXPECT_THAT(Keys(Range(request)), ElementsAre("c", "b", "a"));
  request.target = T::kVersion;
  EXPECT_THAT(Keys(Range(request)), ElementsAre("a", "b", "c"));
}

TEST_F(RangeTest, KeysOnlyDropsValuesAlsoWhenSortedByValue) {
  RangeRequest request = Get("a", kOpen);
  request.keys_only = true;
  for (const auto target : {RangeRequest::SortTarget::kKey, RangeRequest::SortTarget::kValue}) {
    request.target = target;
    for (const store::KeyValue& kv : Range(request).kvs) EXPECT_TRUE(kv.value.empty());
  }
  EXPECT_THAT(Keys(Range(request)), ElementsAre("c", "b", "a"));
}

TEST_F(RangeTest, CountOnlyGivesNoPairs) {
  RangeRequest request = Get("a", kOpen);
  request.count_only = true;
  request.limit = 1;
  const RangeResponse response = Range(request);
  EXPECT_EQ(response.count, 3);
  EXPECT_THAT(response.kvs, IsEmpty());
  EXPECT_FALSE(response.more);
}

TEST_F(RangeTest, AnOldRevisionIsReadUntilItIsCompactedAndTheCompactedOneStays) {
  RangeRequest request = Get("a");
  request.revision = 2;
  EXPECT_EQ(Range(request).kvs[0].value.view(), "3");
  request.revision = 6;
  EXPECT_EQ(m_->Range(request).status(),
            Status::OutOfRange("etcdserver: mvcc: required revision is a future revision"));
  request.revision = -4;
  EXPECT_EQ(Range(request).kvs[0].value.view(), "4");
  EXPECT_TRUE(m_.Apply(CompactRequest{4}).status.ok());
  request.revision = 4;
  EXPECT_EQ(Range(request).kvs[0].value.view(), "3");
  request.revision = 3;
  EXPECT_EQ(m_->Range(request).status(), Status::OutOfRange("etcdserver: mvcc: required revision has been compacted"));
}

TEST_F(RangeTest, CompactionRefusesWhatIsCompactedAndWhatIsInTheFuture) {
  const std::uint64_t size = m_->size_bytes();
  EXPECT_EQ(m_.Apply(CompactRequest{6}).status,
            Status::OutOfRange("etcdserver: mvcc: required revision is a future revision"));
  const CommandOutcome outcome = m_.Apply(CompactRequest{5});
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.revision, 5);
  EXPECT_LT(m_->size_bytes(), size);
  EXPECT_EQ(m_->compact_revision(), 5);
  for (const Revision revision : {5, 4, 0, -1}) {
    EXPECT_EQ(m_.Apply(CompactRequest{revision}).status,
              Status::OutOfRange("etcdserver: mvcc: required revision has been compacted"));
  }
}

TEST_F(RangeTest, CompactionAtZeroIsGoodWhileNothingWasCompacted) {
  const std::uint64_t hash = m_->StateHash();
  EXPECT_TRUE(m_.Apply(CompactRequest{0}).status.ok());
  EXPECT_FALSE(m_.Apply(CompactRequest{-1}).status.ok());
  EXPECT_EQ(m_->StateHash(), hash);
}

TEST_F(RangeTest, HashNamesItsRevisionAndRefusesUnreadableOnes) {
  const Result<HashKv> newest = m_->Hash(0);
  EXPECT_EQ(newest->hash_revision, 5);
  EXPECT_EQ(m_->Hash(5)->hash, newest->hash);
  EXPECT_NE(m_->Hash(4)->hash, newest->hash);
  EXPECT_EQ(m_->Hash(6).status(), Status::OutOfRange("etcdserver: mvcc: required revision is a future revision"));
  EXPECT_TRUE(m_.Apply(CompactRequest{4}).status.ok());
  EXPECT_EQ(m_->Hash(0)->compact_revision, 4);
  EXPECT_EQ(m_->Hash(3).status(), Status::OutOfRange("etcdserver: mvcc: required revision has been compacted"));
}

TEST(MachineTest, WhatMembersPublishIsReplacedAndSurvivesReopening) {
  Harness m;
  m.Apply(PublishMember{ReplicaId(2), "n2", {"http://b:1"}, {}});
  m.Apply(PublishMember{ReplicaId(1), "n1", {"http://a:1"}, {"http://a:2"}});
  EXPECT_EQ(m.Apply(PublishMember{ReplicaId(2), "n2", {"http://b:1"}, {"http://b:2"}}).revision, 1);
  const std::uint64_t hash = m->StateHash();
  m.Reopen();
  EXPECT_EQ(m->StateHash(), hash);
  const std::vector<MemberInfo> members = m->members();
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].name, "n1");
  EXPECT_THAT(members[1].client_urls, ElementsAre("http://b:2"));
}

}  // namespace
}  // namespace quorate::coord
