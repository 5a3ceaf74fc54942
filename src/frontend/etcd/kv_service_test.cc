#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "frontend/etcd/frontend_fixture.h"

namespace quorate::frontend::etcd {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::DeleteRangeRequest;
using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::TxnRequest;
using etcdserverpb::TxnResponse;

class KvServiceTest : public FrontendTest {
 protected:
  Result<RangeResponse> Range(const RangeRequest& request) { return Call<RangeResponse>("KV/Range", request); }
  Result<TxnResponse> Txn(const TxnRequest& request) { return Call<TxnResponse>("KV/Txn", request); }
  Status TxnError(const TxnRequest& request) { return Txn(request).status(); }
};

RangeRequest RangeOf(const std::string& key, const std::string& end = "") {
  RangeRequest request;
  request.set_key(key);
  request.set_range_end(end);
  return request;
}

void AddPut(google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>* operations, const std::string& key) {
  PutRequest* put = operations->Add()->mutable_request_put();
  put->set_key(key);
  put->set_value("v");
}

TEST_F(KvServiceTest, EveryHeaderNamesClusterMemberTermAndRevision) {
  const PutResponse answer = Put("a", "1");
  EXPECT_EQ(answer.header().cluster_id(), 0xC1u);
  EXPECT_EQ(answer.header().member_id(), 0xAu);
  EXPECT_EQ(answer.header().raft_term(), 7u);
  EXPECT_EQ(answer.header().revision(), 2);
  EXPECT_EQ(Put("b", "1").header().revision(), 3);
}

TEST_F(KvServiceTest, AnEmptyStoreIsAtRevisionOne) {
  const RangeResponse answer = Range(RangeOf("a")).value();
  EXPECT_EQ(answer.header().revision(), 1);
  EXPECT_EQ(answer.count(), 0);
  EXPECT_EQ(answer.kvs_size(), 0);
}

TEST_F(KvServiceTest, RangeGivesEveryFieldOfAKey) {
  Put("a", "1");
  Put("a", "2");
  const RangeResponse answer = Range(RangeOf("a")).value();
  ASSERT_EQ(answer.kvs_size(), 1);
  EXPECT_EQ(answer.kvs(0).key(), "a");
  EXPECT_EQ(answer.kvs(0).value(), "2");
  EXPECT_EQ(answer.kvs(0).create_revision(), 2);
  EXPECT_EQ(answer.kvs(0).mod_revision(), 3);
  EXPECT_EQ(answer.kvs(0).version(), 2);
  EXPECT_EQ(answer.kvs(0).lease(), 0);
}

TEST_F(KvServiceTest, RangeOptionsReachTheStore) {
  for (const char* key : {"a", "b", "c"}) Put(key, key);
  RangeRequest request = RangeOf("a", std::string(1, '\0'));
  request.set_limit(2);
  request.set_sort_order(RangeRequest::DESCEND);
  request.set_sort_target(RangeRequest::MOD);
  RangeResponse answer = Range(request).value();
  ASSERT_EQ(answer.kvs_size(), 2);
  EXPECT_EQ(answer.kvs(0).key(), "c");
  EXPECT_TRUE(answer.more());
  EXPECT_EQ(answer.count(), 3);

  request = RangeOf("a", "z");
  request.set_keys_only(true);
  request.set_min_mod_revision(3);
  request.set_max_mod_revision(3);
  answer = Range(request).value();
  ASSERT_EQ(answer.kvs_size(), 1);
  EXPECT_EQ(answer.kvs(0).key(), "b");
  EXPECT_EQ(answer.kvs(0).value(), "");

  request = RangeOf("a", "z");
  request.set_count_only(true);
  answer = Range(request).value();
  EXPECT_EQ(answer.kvs_size(), 0);
  EXPECT_EQ(answer.count(), 3);
}

TEST_F(KvServiceTest, RangeAtAnOldRevisionAnswersWithTheCurrentOneInTheHeader) {
  Put("a", "1");
  Put("a", "2");
  RangeRequest request = RangeOf("a");
  request.set_revision(2);
  const RangeResponse answer = Range(request).value();
  EXPECT_EQ(answer.kvs(0).value(), "1");
  EXPECT_EQ(answer.header().revision(), 3);
}

TEST_F(KvServiceTest, OnlyALinearizableRangeTakesABarrier) {
  RangeRequest request = RangeOf("a");
  Range(request).value();
  EXPECT_EQ(backend_.barriers, 1);
  request.set_serializable(true);
  Range(request).value();
  EXPECT_EQ(backend_.barriers, 1);
}

TEST_F(KvServiceTest, RangeErrorsAreEtcds) {
  ExpectError(Range(RangeOf("")).status(), StatusCode::kInvalidArgument, "etcdserver: key is not provided");
  RangeRequest request = RangeOf("a");
  request.set_sort_order(static_cast<RangeRequest::SortOrder>(9));
  ExpectError(Range(request).status(), StatusCode::kInvalidArgument, "etcdserver: invalid sort option");
  request = RangeOf("a");
  request.set_sort_target(static_cast<RangeRequest::SortTarget>(256));
  ExpectError(Range(request).status(), StatusCode::kInvalidArgument, "etcdserver: invalid sort option");
  request = RangeOf("a");
  request.set_revision(9);
  ExpectError(Range(request).status(), StatusCode::kOutOfRange,
              "etcdserver: mvcc: required revision is a future revision");
  Put("a", "1");
  Put("a", "2");
  Compact(3).value();
  request.set_revision(2);
  ExpectError(Range(request).status(), StatusCode::kOutOfRange,
              "etcdserver: mvcc: required revision has been compacted");
}

TEST_F(KvServiceTest, PutReturnsThePreviousPairOnlyWhenAsked) {
  EXPECT_FALSE(Put("a", "1").has_prev_kv());
  PutRequest request;
  request.set_key("a");
  request.set_value("2");
  request.set_prev_kv(true);
  const PutResponse answer = Call<PutResponse>("KV/Put", request).value();
  EXPECT_EQ(answer.prev_kv().value(), "1");
  EXPECT_EQ(answer.prev_kv().mod_revision(), 2);
}

TEST_F(KvServiceTest, PutErrorsAreEtcds) {
  const auto error = [this](const PutRequest& request) { return Call<PutResponse>("KV/Put", request).status(); };
  PutRequest request;
  ExpectError(error(request), StatusCode::kInvalidArgument, "etcdserver: key is not provided");
  request.set_key("a");
  request.set_value("1");
  request.set_ignore_value(true);
  ExpectError(error(request), StatusCode::kInvalidArgument, "etcdserver: value is provided");
  request.clear_value();
  ExpectError(error(request), StatusCode::kInvalidArgument, "etcdserver: key not found");
  request.set_ignore_value(false);
  request.set_ignore_lease(true);
  request.set_lease(5);
  ExpectError(error(request), StatusCode::kInvalidArgument, "etcdserver: lease is provided");
  request.set_ignore_lease(false);
  ExpectError(error(request), StatusCode::kNotFound, "etcdserver: requested lease not found");
}

TEST_F(KvServiceTest, ARequestOverTheLimitIsRefusedAndNotProposed) {
  PutRequest request;
  request.set_key("a");
  request.set_value(std::string(Options().max_request_bytes, 'x'));
  ExpectError(Call<PutResponse>("KV/Put", request).status(), StatusCode::kInvalidArgument,
              "etcdserver: request is too large");
  TxnRequest txn;
  *txn.add_success()->mutable_request_put() = request;
  ExpectError(TxnError(txn), StatusCode::kInvalidArgument, "etcdserver: request is too large");
  EXPECT_EQ(backend_.proposals, 0);
}

TEST_F(KvServiceTest, DeleteRangeCountsAndReturnsWhatItDeleted) {
  Put("a", "1");
  Put("b", "2");
  DeleteRangeRequest request;
  request.set_key("a");
  request.set_range_end("z");
  request.set_prev_kv(true);
  DeleteRangeResponse answer = Call<DeleteRangeResponse>("KV/DeleteRange", request).value();
  EXPECT_EQ(answer.deleted(), 2);
  ASSERT_EQ(answer.prev_kvs_size(), 2);
  EXPECT_EQ(answer.prev_kvs(1).value(), "2");
  EXPECT_EQ(answer.header().revision(), 4);
  answer = Call<DeleteRangeResponse>("KV/DeleteRange", request).value();
  EXPECT_EQ(answer.deleted(), 0);
  EXPECT_EQ(answer.header().revision(), 4);
  ExpectError(Call<DeleteRangeResponse>("KV/DeleteRange", DeleteRangeRequest()).status(), StatusCode::kInvalidArgument,
              "etcdserver: key is not provided");
}

TEST_F(KvServiceTest, TxnRunsTheBranchThatItsComparesChoose) {
  Put("a", "1");
  TxnRequest request;
  Compare* compare = request.add_compare();
  compare->set_key("a");
  compare->set_target(Compare::VALUE);
  compare->set_value("1");
  AddPut(request.mutable_success(), "b");
  *request.add_success()->mutable_request_range() = RangeOf("b");
  *request.add_failure()->mutable_request_range() = RangeOf("a");
  TxnResponse answer = Txn(request).value();
  EXPECT_TRUE(answer.succeeded());
  EXPECT_EQ(answer.header().revision(), 3);
  ASSERT_EQ(answer.responses_size(), 2);
  EXPECT_EQ(answer.responses(0).response_put().header().revision(), 3);
  EXPECT_EQ(answer.responses(1).response_range().kvs(0).value(), "v");

  compare->set_value("other");
  answer = Txn(request).value();
  EXPECT_FALSE(answer.succeeded());
  EXPECT_EQ(answer.header().revision(), 3);
  EXPECT_EQ(answer.responses(0).response_range().kvs(0).value(), "1");
}

TEST_F(KvServiceTest, EveryCompareTargetAndResultReachesTheStore) {
  Put("a", "1");
  Put("a", "2");  // version 2, created at 2, modified at 3
  const auto holds = [this](Compare::CompareTarget target, Compare::CompareResult result, std::int64_t number) {
    TxnRequest request;
    Compare* compare = request.add_compare();
    compare->set_key("a");
    compare->set_target(target);
    compare->set_result(result);
    if (target == Compare::VERSION) compare->set_version(number);
    if (target == Compare::CREATE) compare->set_create_revision(number);
    if (target == Compare::MOD) compare->set_mod_revision(number);
    if (target == Compare::LEASE) compare->set_lease(number);
    return Txn(request).value().succeeded();
  };
  EXPECT_TRUE(holds(Compare::VERSION, Compare::EQUAL, 2));
  EXPECT_TRUE(holds(Compare::CREATE, Compare::GREATER, 1));
  EXPECT_TRUE(holds(Compare::MOD, Compare::LESS, 4));
  EXPECT_TRUE(holds(Compare::LEASE, Compare::NOT_EQUAL, 1));
  EXPECT_FALSE(holds(Compare::VERSION, Compare::EQUAL, 1));
  EXPECT_FALSE(holds(Compare::CREATE, Compare::GREATER, 2));
  EXPECT_FALSE(holds(Compare::MOD, Compare::LESS, 3));
  EXPECT_FALSE(holds(Compare::LEASE, Compare::NOT_EQUAL, 0));
  // What etcd does with enumerators of a newer API.
  EXPECT_TRUE(holds(Compare::VERSION, static_cast<Compare::CompareResult>(77), 9));
  EXPECT_TRUE(holds(static_cast<Compare::CompareTarget>(77), Compare::EQUAL, 9));
  EXPECT_FALSE(holds(static_cast<Compare::CompareTarget>(77), Compare::LESS, 9));
}

TEST_F(KvServiceTest, InnerHeadersTellTheRevisionAtTheirOperation) {
  Put("a", "1");
  TxnRequest request;
  *request.add_success()->mutable_request_range() = RangeOf("a");
  request.add_success()->mutable_request_delete_range()->set_key("missing");
  AddPut(request.add_success()->mutable_request_txn()->mutable_success(), "b");
  *request.add_success()->mutable_request_range() = RangeOf("a");
  const TxnResponse answer = Txn(request).value();
  EXPECT_EQ(answer.header().revision(), 3);
  EXPECT_EQ(answer.responses(0).response_range().header().revision(), 2);
  EXPECT_EQ(answer.responses(1).response_delete_range().header().revision(), 2);
  EXPECT_TRUE(answer.responses(2).response_txn().has_header());
  EXPECT_EQ(answer.responses(2).response_txn().header().revision(), 0);
  EXPECT_EQ(answer.responses(2).response_txn().responses(0).response_put().header().revision(), 3);
  EXPECT_EQ(answer.responses(3).response_range().header().revision(), 3);
}

TEST_F(KvServiceTest, AReadOnlyTxnIsNotProposed) {
  Put("a", "1");
  backend_.proposals = 0;
  TxnRequest request;
  *request.add_success()->mutable_request_range() = RangeOf("a");
  const TxnResponse answer = Txn(request).value();
  EXPECT_EQ(answer.responses(0).response_range().kvs(0).value(), "1");
  EXPECT_EQ(answer.responses(0).response_range().header().revision(), 2);
  EXPECT_EQ(answer.header().revision(), 2);
  EXPECT_EQ(backend_.barriers, 1);
  request.mutable_success(0)->mutable_request_range()->set_serializable(true);
  Txn(request).value();
  EXPECT_EQ(backend_.barriers, 1);
  EXPECT_EQ(backend_.proposals, 0);
  *request.add_failure()->mutable_request_range() = RangeOf("a");
  Txn(request).value();
  EXPECT_EQ(backend_.barriers, 2);
  request.add_failure()->mutable_request_txn();
  Txn(request).value();
  EXPECT_EQ(backend_.proposals, 1);
}

TEST_F(KvServiceTest, TxnErrorsAreEtcds) {
  TxnRequest request;
  request.add_compare();
  ExpectError(TxnError(request), StatusCode::kInvalidArgument, "etcdserver: key is not provided");
  request.Clear();
  request.add_success();
  ExpectError(TxnError(request), StatusCode::kInvalidArgument, "etcdserver: key not found");
  request.Clear();
  AddPut(request.mutable_success(), "a");
  AddPut(request.mutable_success(), "a");
  ExpectError(TxnError(request), StatusCode::kInvalidArgument, "etcdserver: duplicate key given in txn request");
  request.Clear();
  for (int i = 0; i <= 128; ++i) AddPut(request.mutable_failure(), Numbered("k", i));
  ExpectError(TxnError(request), StatusCode::kInvalidArgument, "etcdserver: too many operations in txn request");
  request.Clear();
  AddPut(request.mutable_success(), "a");
  request.mutable_success(0)->mutable_request_put()->set_lease(404);
  ExpectError(TxnError(request), StatusCode::kNotFound, "etcdserver: requested lease not found");
  request.Clear();
  *request.add_success()->mutable_request_range() = RangeOf("a");
  request.mutable_success(0)->mutable_request_range()->set_revision(99);
  ExpectError(TxnError(request), StatusCode::kOutOfRange, "etcdserver: mvcc: required revision is a future revision");
  AddPut(request.mutable_success(), "a");
  ExpectError(TxnError(request), StatusCode::kOutOfRange, "etcdserver: mvcc: required revision is a future revision");
  request.mutable_success(0)->mutable_request_range()->set_revision(-2);
  ExpectError(TxnError(request), StatusCode::kOutOfRange, "etcdserver: mvcc: required revision has been compacted");
}

// A store that was never compacted is, to etcd, compacted at -1.
TEST_F(KvServiceTest, RevisionMinusOneInATxnIsTheNewestUntilACompaction) {
  Put("a", "1");
  TxnRequest request;
  *request.add_success()->mutable_request_range() = RangeOf("a");
  request.mutable_success(0)->mutable_request_range()->set_revision(-1);
  EXPECT_EQ(Txn(request).value().responses(0).response_range().count(), 1);
  Compact(2).value();
  ExpectError(TxnError(request), StatusCode::kOutOfRange, "etcdserver: mvcc: required revision has been compacted");
}

TEST_F(KvServiceTest, TransactionsNestAsDeepAsTheirBudgetAllows) {
  const auto nested = [](int depth) {
    TxnRequest request;
    TxnRequest* level = &request;
    for (int i = 1; i < depth; ++i) level = level->add_success()->mutable_request_txn();
    AddPut(level->mutable_success(), "deep");
    return request;
  };
  EXPECT_TRUE(Txn(nested(128)).ok());
  ExpectError(TxnError(nested(129)), StatusCode::kInvalidArgument, "etcdserver: too many operations in txn request");
}

TEST_F(KvServiceTest, CompactErrorsAreEtcds) {
  Put("a", "1");
  EXPECT_EQ(Compact(2).value().header().revision(), 2);
  ExpectError(Compact(2).status(), StatusCode::kOutOfRange, "etcdserver: mvcc: required revision has been compacted");
  ExpectError(Compact(9).status(), StatusCode::kOutOfRange, "etcdserver: mvcc: required revision is a future revision");
}

TEST_F(KvServiceTest, TheBackendsErrorReachesTheClient) {
  backend_.refuse_with = Status::Unavailable("etcdserver: request timed out");
  PutRequest request;
  request.set_key("a");
  ExpectError(Call<PutResponse>("KV/Put", request).status(), StatusCode::kUnavailable, "etcdserver: request timed out");
  ExpectError(Range(RangeOf("a")).status(), StatusCode::kUnavailable, "etcdserver: request timed out");
}

// A client that takes nothing must not have its answers made: neither those of reads whose barrier was passed long ago,
// nor those of commands that answer with what they read.
TEST_F(KvServiceTest, NoAnswerIsMadeBeforeTheConnectionHasRoomForIt) {
  Put("a", std::string(100'000, 'x'));
  const auto waits = [this](const std::string& method, const google::protobuf::MessageLite& request) {
    FakeCall call;
    call.room = false;
    const std::unique_ptr<net::CallHandler> handler = frontend_.Open("/etcdserverpb.KV/" + method, call);
    handler->OnMessage(request.SerializeAsString());
    executor_.RunReady();
    const bool waited = call.waiting != nullptr && !call.finished && call.sent.empty();
    if (waited) call.waiting();
    executor_.RunReady();
    EXPECT_TRUE(call.finished.has_value() && call.finished->ok()) << method;
    handler->OnDone();
    return waited;
  };
  EXPECT_TRUE(waits("Range", RangeOf("a", "b")));
  RangeRequest serializable = RangeOf("a");
  serializable.set_serializable(true);
  EXPECT_TRUE(waits("Range", serializable));
  PutRequest put;
  put.set_key("a");
  EXPECT_FALSE(waits("Put", put)) << "its answer is nothing to wait for";
}

TEST_F(KvServiceTest, ACommandThatAnswersWithWhatItReadWaitsForRoomAndReservesIt) {
  Put("a", std::string(100'000, 'x'));
  FakeCall call;
  call.room = false;
  DeleteRangeRequest erase;
  erase.set_key("a");
  erase.set_prev_kv(true);
  const std::unique_ptr<net::CallHandler> handler = frontend_.Open("/etcdserverpb.KV/DeleteRange", call);
  handler->OnMessage(erase.SerializeAsString());
  executor_.RunReady();
  ASSERT_TRUE(call.waiting);
  EXPECT_EQ(Range(RangeOf("a"))->count(), 1) << "it was executed before its answer had room";
  call.waiting();
  EXPECT_GE(call.reserved, 100'000u);
  executor_.RunReady();
  EXPECT_TRUE(call.finished.has_value() && call.finished->ok());
  EXPECT_EQ(Range(RangeOf("a"))->count(), 0);
  handler->OnDone();
}

TEST_F(KvServiceTest, TheCallsDeadlineReachesTheBackend) {
  FakeCall call;
  call.deadline = 12345;
  EXPECT_TRUE(CallOn<RangeResponse>(&call, "KV/Range", RangeOf("a").SerializeAsString()).ok());
  EXPECT_EQ(backend_.last_context.deadline_ns, 12345u);
}

}  // namespace
}  // namespace quorate::frontend::etcd
