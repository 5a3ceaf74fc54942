#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>

#include "frontend/etcd/frontend_fixture.h"

namespace quorate::frontend::etcd {
namespace {

using etcdserverpb::LeaseGrantRequest;
using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseKeepAliveRequest;
using etcdserverpb::LeaseKeepAliveResponse;
using etcdserverpb::LeaseLeasesRequest;
using etcdserverpb::LeaseLeasesResponse;
using etcdserverpb::LeaseRevokeRequest;
using etcdserverpb::LeaseRevokeResponse;
using etcdserverpb::LeaseTimeToLiveRequest;
using etcdserverpb::LeaseTimeToLiveResponse;

constexpr std::uint64_t kSecond = 1'000'000'000;

class LeaseServiceTest : public FrontendTest {
 protected:
  Result<LeaseGrantResponse> Grant(std::int64_t id, std::int64_t ttl) {
    LeaseGrantRequest request;
    request.set_id(id);
    request.set_ttl(ttl);
    return Call<LeaseGrantResponse>("Lease/LeaseGrant", request);
  }
  Result<LeaseRevokeResponse> Revoke(std::int64_t id) {
    LeaseRevokeRequest request;
    request.set_id(id);
    return Call<LeaseRevokeResponse>("Lease/LeaseRevoke", request);
  }
  LeaseTimeToLiveResponse TimeToLive(std::int64_t id, bool keys = false) {
    LeaseTimeToLiveRequest request;
    request.set_id(id);
    request.set_keys(keys);
    return Call<LeaseTimeToLiveResponse>("Lease/LeaseTimeToLive", request).value();
  }

  // A keep-alive stream.
  void OpenStream() { stream_ = frontend_.Open("/etcdserverpb.Lease/LeaseKeepAlive", stream_call_); }
  void KeepAlive(std::int64_t id) {
    LeaseKeepAliveRequest request;
    request.set_id(id);
    stream_->OnMessage(request.SerializeAsString());
  }
  LeaseKeepAliveResponse NextKeepAlive() {
    LeaseKeepAliveResponse response;
    EXPECT_FALSE(stream_call_.sent.empty()) << "no answer on the stream";
    if (stream_call_.sent.empty()) return response;
    EXPECT_TRUE(response.ParseFromString(stream_call_.sent.front()));
    stream_call_.sent.pop_front();
    return response;
  }

  FakeCall stream_call_;
  std::unique_ptr<net::CallHandler> stream_;
};

TEST_F(LeaseServiceTest, GrantKeepsTheClientsIdAndTakesNoRevision) {
  const LeaseGrantResponse answer = Grant(77, 60).value();
  EXPECT_EQ(answer.id(), 77);
  EXPECT_EQ(answer.ttl(), 60);
  EXPECT_EQ(answer.error(), "");
  EXPECT_EQ(answer.header().revision(), 1);
}

TEST_F(LeaseServiceTest, GrantWithoutAnIdChoosesAPositiveOneThatIsFree) {
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  Grant(5, 60).value();
  random_.Restart(std::uint64_t{1} << 63);  // 0 once the sign is cut off, which is no id
  EXPECT_EQ(Grant(0, 60).value().id(), 1);
  random_.Restart(5);
  EXPECT_EQ(Grant(0, 60).value().id(), 6);
  random_.Restart(std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(Grant(0, 60).value().id(), kLargest);
}

TEST_F(LeaseServiceTest, AShortTtlIsRaisedToTheMinimum) {
  EXPECT_EQ(Grant(1, 0).value().ttl(), 2);
}

TEST_F(LeaseServiceTest, GrantAndRevokeErrorsAreEtcds) {
  Grant(1, 60).value();
  ExpectError(Grant(1, 60).status(), StatusCode::kFailedPrecondition, "etcdserver: lease already exists");
  ExpectError(Grant(2, 9'000'000'001).status(), StatusCode::kOutOfRange, "etcdserver: too large lease TTL");
  ExpectError(Revoke(404).status(), StatusCode::kNotFound, "etcdserver: requested lease not found");
}

TEST_F(LeaseServiceTest, RevokeDeletesTheKeysInOneRevision) {
  Grant(1, 60).value();
  Put("a", "1", 1);
  Put("b", "1", 1);
  EXPECT_EQ(Revoke(1).value().header().revision(), 4);
  etcdserverpb::RangeRequest range;
  range.set_key("a");
  range.set_range_end("z");
  EXPECT_EQ(Call<etcdserverpb::RangeResponse>("KV/Range", range).value().count(), 0);
}

TEST_F(LeaseServiceTest, TimeToLiveTellsTheRestAndTheKeysWhenAsked) {
  Grant(1, 60).value();
  Put("b", "1", 1);
  Put("a", "1", 1);
  LeaseTimeToLiveResponse answer = TimeToLive(1, true);
  EXPECT_EQ(answer.id(), 1);
  EXPECT_EQ(answer.grantedttl(), 60);
  EXPECT_GE(answer.ttl(), 59);
  EXPECT_LE(answer.ttl(), 60);
  ASSERT_EQ(answer.keys_size(), 2);
  EXPECT_EQ(answer.keys(0), "a");
  EXPECT_EQ(TimeToLive(1).keys_size(), 0);
  EXPECT_GT(backend_.barriers, 0);
}

TEST_F(LeaseServiceTest, TimeToLiveOfAMissingLeaseIsMinusOneAndNoError) {
  const LeaseTimeToLiveResponse answer = TimeToLive(404);
  EXPECT_EQ(answer.id(), 404);
  EXPECT_EQ(answer.ttl(), -1);
  EXPECT_EQ(answer.grantedttl(), 0);
}

TEST_F(LeaseServiceTest, LeasesListsThemAllTheOneThatEndsFirstFirst) {
  Grant(1, 90).value();
  Grant(2, 60).value();
  Grant(3, 75).value();
  const auto answer = Call<LeaseLeasesResponse>("Lease/LeaseLeases", LeaseLeasesRequest()).value();
  ASSERT_EQ(answer.leases_size(), 3);
  EXPECT_EQ(answer.leases(0).id(), 2);
  EXPECT_EQ(answer.leases(1).id(), 3);
  EXPECT_EQ(answer.leases(2).id(), 1);
  EXPECT_EQ(backend_.barriers, 1);
}

TEST_F(LeaseServiceTest, KeepAliveRenewsAndAnswersInOrder) {
  Grant(1, 10).value();
  Grant(2, 20).value();
  OpenStream();
  KeepAlive(1);
  KeepAlive(2);
  executor_.RunReady();
  LeaseKeepAliveResponse answer = NextKeepAlive();
  EXPECT_EQ(answer.id(), 1);
  EXPECT_EQ(answer.ttl(), 10);
  EXPECT_EQ(answer.header().revision(), 1);
  answer = NextKeepAlive();
  EXPECT_EQ(answer.id(), 2);
  EXPECT_EQ(answer.ttl(), 20);
  EXPECT_FALSE(stream_call_.finished.has_value());
  stream_->OnDone();
}

TEST_F(LeaseServiceTest, KeepAliveKeepsALeaseBeyondItsTtl) {
  Grant(1, 10).value();
  Put("a", "1", 1);
  OpenStream();
  for (int i = 0; i < 5; ++i) {
    executor_.Advance(8 * kSecond);
    backend_.Tick();
    KeepAlive(1);
    executor_.RunReady();
    EXPECT_EQ(NextKeepAlive().ttl(), 10);
  }
  executor_.Advance(11 * kSecond);
  backend_.Tick();
  executor_.RunReady();
  EXPECT_EQ(TimeToLive(1).ttl(), -1);
  KeepAlive(1);
  executor_.RunReady();
  EXPECT_EQ(NextKeepAlive().ttl(), 0) << "a missing lease is not an error";
  EXPECT_FALSE(stream_call_.finished.has_value());
  stream_->OnDone();
}

TEST_F(LeaseServiceTest, KeepAlivesHeaderIsOlderThanTheRenewal) {
  Grant(1, 10).value();
  OpenStream();
  backend_.HoldAnswers();
  KeepAlive(1);
  backend_.ReleaseAnswers();
  Put("a", "1");
  executor_.RunReady();
  EXPECT_EQ(NextKeepAlive().header().revision(), 1);
  stream_->OnDone();
}

TEST_F(LeaseServiceTest, KeepAliveEndsAfterTheLastAnswerOnceTheClientHasHalfClosed) {
  Grant(1, 10).value();
  OpenStream();
  KeepAlive(1);
  stream_->OnHalfClose();
  EXPECT_FALSE(stream_call_.finished.has_value());
  executor_.RunReady();
  EXPECT_EQ(NextKeepAlive().ttl(), 10);
  ASSERT_TRUE(stream_call_.finished.has_value());
  EXPECT_TRUE(stream_call_.finished->ok());
  stream_->OnDone();
}

TEST_F(LeaseServiceTest, KeepAliveEndsWithTheBackendsError) {
  backend_.refuse_with = Status::Unavailable("etcdserver: request timed out");
  OpenStream();
  KeepAlive(1);
  KeepAlive(2);
  executor_.RunReady();
  ASSERT_TRUE(stream_call_.finished.has_value());
  ExpectError(*stream_call_.finished, StatusCode::kUnavailable, "etcdserver: request timed out");
  KeepAlive(3);
  stream_->OnDone();
}

TEST_F(LeaseServiceTest, AnAnswerForAVanishedStreamGoesNowhere) {
  OpenStream();
  KeepAlive(1);
  stream_->OnDone();
  stream_.reset();
  executor_.RunReady();
  EXPECT_TRUE(stream_call_.sent.empty());
  EXPECT_FALSE(stream_call_.finished.has_value());
}

TEST_F(LeaseServiceTest, AMalformedKeepAliveEndsTheStream) {
  OpenStream();
  stream_->OnMessage("\xff");
  ASSERT_TRUE(stream_call_.finished.has_value());
  EXPECT_EQ(stream_call_.finished->code(), StatusCode::kInternal);
  stream_->OnDone();
}

class NarrowLeaseServiceTest : public FrontendTest {
 protected:
  NarrowLeaseServiceTest() : FrontendTest({.keep_alives_per_stream = 2}) {}
};

TEST_F(NarrowLeaseServiceTest, UnansweredKeepAlivesAreBounded) {
  FakeCall call;
  const std::unique_ptr<net::CallHandler> stream = frontend_.Open("/etcdserverpb.Lease/LeaseKeepAlive", call);
  LeaseKeepAliveRequest request;
  request.set_id(1);
  for (int i = 0; i < 2; ++i) stream->OnMessage(request.SerializeAsString());
  EXPECT_FALSE(call.finished.has_value());
  stream->OnMessage(request.SerializeAsString());
  ASSERT_TRUE(call.finished.has_value());
  ExpectError(*call.finished, StatusCode::kResourceExhausted, "etcdserver: too many requests");
  stream->OnDone();
}

}  // namespace
}  // namespace quorate::frontend::etcd
