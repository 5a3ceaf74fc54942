#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "frontend/etcd/frontend_fixture.h"

namespace quorate::frontend::etcd {
namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchRequest;
using etcdserverpb::WatchResponse;
using mvccpb::Event;

constexpr std::uint64_t kMinute = 60'000'000'000;

// One watch stream as a client sees it.
class Stream {
 public:
  Stream(EtcdFrontend& frontend, ManualExecutor& executor, bool requires_leader = false) : executor_(executor) {
    if (requires_leader) call_.headers["hasleader"] = "true";
    handler_ = frontend.Open("/etcdserverpb.Watch/Watch", call_);
  }
  ~Stream() {
    if (handler_ != nullptr) handler_->OnDone();
  }

  void Send(const WatchRequest& request) { handler_->OnMessage(request.SerializeAsString()); }
  void Create(const std::function<void(WatchCreateRequest*)>& fill) {
    WatchRequest request;
    request.mutable_create_request()->set_key("a");
    fill(request.mutable_create_request());
    Send(request);
    executor_.RunReady();
  }
  void Cancel(std::int64_t id) {
    WatchRequest request;
    request.mutable_cancel_request()->set_watch_id(id);
    Send(request);
    executor_.RunReady();
  }
  void RequestProgress() {
    WatchRequest request;
    request.mutable_progress_request();
    Send(request);
  }
  bool Quiet() const { return call_.sent.empty(); }
  WatchResponse Next() {
    WatchResponse response;
    EXPECT_FALSE(call_.sent.empty()) << "no reply on the stream";
    if (call_.sent.empty()) return response;
    EXPECT_TRUE(response.ParseFromString(call_.sent.front()));
    call_.sent.pop_front();
    return response;
  }

  FakeCall& call() { return call_; }
  net::CallHandler& handler() { return *handler_; }
  void Vanish() {
    handler_->OnDone();
    handler_.reset();
  }

 private:
  ManualExecutor& executor_;
  FakeCall call_;
  std::unique_ptr<net::CallHandler> handler_;
};

class WatchStreamTest : public FrontendTest {
 protected:
  explicit WatchStreamTest(Options options = {}) : FrontendTest(std::move(options)) {}
};

void Default(WatchCreateRequest*) {}
void FromStart(WatchCreateRequest* request) {
  request->set_start_revision(1);
}

TEST_F(WatchStreamTest, CreatedComesFirstThenEventsAsTheyHappen) {
  Stream stream(frontend_, executor_);
  stream.Create(Default);
  WatchResponse reply = stream.Next();
  EXPECT_TRUE(reply.created());
  EXPECT_FALSE(reply.canceled());
  EXPECT_EQ(reply.watch_id(), 0);
  EXPECT_EQ(reply.header().revision(), 1);
  EXPECT_EQ(reply.header().cluster_id(), 0xC1u);
  EXPECT_TRUE(stream.Quiet());

  Put("a", "1");
  Put("other", "1");
  Delete("a");
  reply = stream.Next();
  EXPECT_EQ(reply.watch_id(), 0);
  EXPECT_EQ(reply.header().revision(), 2);
  ASSERT_EQ(reply.events_size(), 1);
  EXPECT_EQ(reply.events(0).type(), Event::PUT);
  EXPECT_EQ(reply.events(0).kv().key(), "a");
  EXPECT_EQ(reply.events(0).kv().value(), "1");
  EXPECT_EQ(reply.events(0).kv().mod_revision(), 2);
  EXPECT_FALSE(reply.events(0).has_prev_kv());
  reply = stream.Next();
  ASSERT_EQ(reply.events_size(), 1);
  EXPECT_EQ(reply.events(0).type(), Event::DELETE);
  EXPECT_EQ(reply.events(0).kv().mod_revision(), 4);
  EXPECT_EQ(reply.events(0).kv().version(), 0);
  EXPECT_TRUE(stream.Quiet());
}

TEST_F(WatchStreamTest, HistoryIsDeliveredWithoutAWriteToWakeIt) {
  Put("a", "1");
  Put("a", "2");
  Stream stream(frontend_, executor_);
  stream.Create(FromStart);
  EXPECT_TRUE(stream.Next().created());
  int events = 0;
  while (!stream.Quiet()) events += stream.Next().events_size();
  EXPECT_EQ(events, 2);
}

TEST_F(WatchStreamTest, AFutureStartIsSilentUntilItIsReached) {
  Stream stream(frontend_, executor_);
  stream.Create([](WatchCreateRequest* request) { request->set_start_revision(4); });
  EXPECT_TRUE(stream.Next().created());
  Put("a", "1");
  Put("a", "2");
  stream.RequestProgress();
  EXPECT_TRUE(stream.Quiet());
  Put("a", "3");
  EXPECT_EQ(stream.Next().events(0).kv().value(), "3");
}

TEST_F(WatchStreamTest, PrevKvComesWhenAskedAndWhenThereWasOne) {
  Stream stream(frontend_, executor_);
  stream.Create([](WatchCreateRequest* request) { request->set_prev_kv(true); });
  stream.Next();
  Put("a", "1");
  Put("a", "2");
  EXPECT_FALSE(stream.Next().events(0).has_prev_kv());
  const WatchResponse reply = stream.Next();
  EXPECT_EQ(reply.events(0).prev_kv().value(), "1");
  EXPECT_EQ(reply.events(0).prev_kv().mod_revision(), 2);
}

TEST_F(WatchStreamTest, FiltersLeaveOut) {
  Stream stream(frontend_, executor_);
  stream.Create([](WatchCreateRequest* request) { request->add_filters(WatchCreateRequest::NOPUT); });
  stream.Create([](WatchCreateRequest* request) { request->add_filters(WatchCreateRequest::NODELETE); });
  stream.Next();
  stream.Next();
  Put("a", "1");
  WatchResponse reply = stream.Next();
  EXPECT_EQ(reply.watch_id(), 1);
  EXPECT_TRUE(stream.Quiet());
  Delete("a");
  reply = stream.Next();
  EXPECT_EQ(reply.watch_id(), 0);
  EXPECT_EQ(reply.events(0).type(), Event::DELETE);
  EXPECT_TRUE(stream.Quiet());
}

TEST_F(WatchStreamTest, RangesAreEtcds) {
  Stream stream(frontend_, executor_);
  stream.Create([](WatchCreateRequest* request) { request->set_range_end("c"); });                   // 0: [a, c)
  stream.Create([](WatchCreateRequest* request) { request->set_range_end(std::string(1, '\0')); });  // 1: [a, oo)
  stream.Create(
      [](WatchCreateRequest* request) { request->set_key(""), request->set_range_end(std::string(1, '\0')); });
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(stream.Next().created());
  const auto watchers = [&] {
    std::vector<std::int64_t> ids;
    while (!stream.Quiet()) ids.push_back(stream.Next().watch_id());
    std::sort(ids.begin(), ids.end());
    return ids;
  };
  Put("b", "1");
  EXPECT_EQ(watchers(), (std::vector<std::int64_t>{0, 1, 2}));
  Put("c", "1");
  EXPECT_EQ(watchers(), (std::vector<std::int64_t>{1, 2}));
  Put("A", "1");
  EXPECT_EQ(watchers(), (std::vector<std::int64_t>{2}));
}

TEST_F(WatchStreamTest, IdsAreTheClientsOrCountedAroundThem) {
  Stream stream(frontend_, executor_);
  stream.Create([](WatchCreateRequest* request) { request->set_watch_id(1); });
  EXPECT_EQ(stream.Next().watch_id(), 1);
  stream.Create(Default);
  EXPECT_EQ(stream.Next().watch_id(), 0);
  stream.Create(Default);
  EXPECT_EQ(stream.Next().watch_id(), 2);
  stream.Create([](WatchCreateRequest* request) { request->set_watch_id(1); });
  const WatchResponse reply = stream.Next();
  EXPECT_TRUE(reply.created());
  EXPECT_TRUE(reply.canceled());
  EXPECT_EQ(reply.watch_id(), -1);
  EXPECT_EQ(reply.cancel_reason(), "mvcc: duplicate watch ID provided on the WatchStream");
  EXPECT_EQ(backend_.machine().watches().size(), 3u);
}

TEST_F(WatchStreamTest, RefusedWatchesSayWhyAndTheStreamGoesOn) {
  Stream stream(frontend_, executor_);
  stream.Create([](WatchCreateRequest* request) { request->set_range_end("a"); });
  WatchResponse reply = stream.Next();
  EXPECT_TRUE(reply.created());
  EXPECT_TRUE(reply.canceled());
  EXPECT_EQ(reply.watch_id(), -1);
  EXPECT_EQ(reply.cancel_reason(), "mvcc: watcher range is empty");
  stream.Create([](WatchCreateRequest* request) { request->set_start_revision(-1); });
  reply = stream.Next();
  EXPECT_TRUE(reply.created());
  EXPECT_TRUE(reply.canceled());
  EXPECT_EQ(reply.watch_id(), -1);
  EXPECT_EQ(reply.cancel_reason(), "etcdserver: mvcc: required revision has been compacted");
  stream.Create(Default);
  reply = stream.Next();
  EXPECT_FALSE(reply.canceled());
  EXPECT_EQ(reply.watch_id(), 0);
}

TEST_F(WatchStreamTest, AStartBelowTheCompactionIsCreatedThenCanceled) {
  for (const char* value : {"1", "2", "3"}) Put("a", value);
  Compact(3).value();
  Stream stream(frontend_, executor_);
  stream.Create(FromStart);
  WatchResponse reply = stream.Next();
  EXPECT_TRUE(reply.created());
  EXPECT_FALSE(reply.canceled());
  reply = stream.Next();
  EXPECT_FALSE(reply.created());
  EXPECT_TRUE(reply.canceled());
  EXPECT_EQ(reply.watch_id(), 0);
  EXPECT_EQ(reply.compact_revision(), 3);
  EXPECT_EQ(reply.cancel_reason(), "");
  EXPECT_EQ(reply.events_size(), 0);
  stream.Cancel(0);
  EXPECT_TRUE(stream.Quiet());
  stream.Create([](WatchCreateRequest* request) { request->set_start_revision(3); });
  EXPECT_TRUE(stream.Next().created());
  EXPECT_EQ(stream.Next().events(0).kv().value(), "2");
}

TEST_F(WatchStreamTest, CancelIsConfirmedOnceAndUnknownIdsAreIgnored) {
  Stream stream(frontend_, executor_);
  stream.Create(Default);
  stream.Next();
  stream.Cancel(7);
  EXPECT_TRUE(stream.Quiet());
  stream.Cancel(0);
  const WatchResponse reply = stream.Next();
  EXPECT_TRUE(reply.canceled());
  EXPECT_FALSE(reply.created());
  EXPECT_EQ(reply.watch_id(), 0);
  EXPECT_EQ(reply.header().revision(), 1);
  stream.Cancel(0);
  Put("a", "1");
  EXPECT_TRUE(stream.Quiet());
  EXPECT_EQ(backend_.machine().watches().size(), 0u);
}

TEST_F(WatchStreamTest, RequestedProgressSpeaksForAllWatchesAfterTheirEvents) {
  Stream stream(frontend_, executor_);
  stream.RequestProgress();
  EXPECT_TRUE(stream.Quiet()) << "there is no watch to speak for";
  stream.Create(Default);
  stream.Create([](WatchCreateRequest* request) { request->set_key("b"); });
  stream.Next();
  stream.Next();
  Put("a", "1");
  stream.RequestProgress();
  EXPECT_EQ(stream.Next().events_size(), 1);
  const WatchResponse reply = stream.Next();
  EXPECT_EQ(reply.watch_id(), -1);
  EXPECT_EQ(reply.events_size(), 0);
  EXPECT_EQ(reply.header().revision(), 2);
  EXPECT_FALSE(reply.created());
  EXPECT_FALSE(reply.canceled());
}

TEST_F(WatchStreamTest, RequestedProgressIsNotAnsweredWhileAWatchIsBehind) {
  Stream stream(frontend_, executor_);
  stream.Create(Default);
  stream.Next();
  stream.call().queued = 1 << 30;
  Put("a", "1");
  stream.RequestProgress();
  EXPECT_TRUE(stream.Quiet());
}

TEST_F(WatchStreamTest, IdleWatchesThatAskedForItReportProgress) {
  Stream stream(frontend_, executor_);
  stream.Create([](WatchCreateRequest* request) { request->set_progress_notify(true); });
  stream.Create(Default);
  stream.Next();
  stream.Next();
  Put("other", "1");
  executor_.Advance(9 * kMinute);
  EXPECT_TRUE(stream.Quiet());
  executor_.Advance(2 * kMinute);
  WatchResponse reply = stream.Next();
  EXPECT_EQ(reply.watch_id(), 0);
  EXPECT_EQ(reply.events_size(), 0);
  EXPECT_EQ(reply.header().revision(), 2);
  EXPECT_TRUE(stream.Quiet());

  Put("a", "1");
  stream.Next();
  stream.Next();
  executor_.Advance(11 * kMinute);
  EXPECT_TRUE(stream.Quiet()) << "it was not idle";
  executor_.Advance(11 * kMinute);
  EXPECT_EQ(stream.Next().watch_id(), 0);
}

TEST_F(WatchStreamTest, AVanishedStreamLeavesNothingBehind) {
  Stream stream(frontend_, executor_, true);
  stream.Create([](WatchCreateRequest* request) { request->set_progress_notify(true); });
  EXPECT_EQ(backend_.machine().watches().size(), 1u);
  stream.Vanish();
  EXPECT_EQ(backend_.machine().watches().size(), 0u);
  Put("a", "1");
  executor_.Advance(30 * kMinute);
  EXPECT_EQ(executor_.timers(), 0u);
}

TEST_F(WatchStreamTest, AHalfClosedStreamGoesOnDelivering) {
  Stream stream(frontend_, executor_);
  stream.Create(Default);
  stream.Next();
  stream.handler().OnHalfClose();
  Put("a", "1");
  EXPECT_EQ(stream.Next().events_size(), 1);
  EXPECT_FALSE(stream.call().finished.has_value());
}

TEST_F(WatchStreamTest, AFullConnectionIsFedAgainFromHistory) {
  Stream stream(frontend_, executor_);
  stream.Create(Default);
  stream.Next();
  stream.call().queued = 1 << 30;
  for (int i = 0; i < 5; ++i) Put("a", std::to_string(i));
  EXPECT_TRUE(stream.Quiet());
  stream.call().queued = 0;
  stream.call().room = false;  // other calls of the connection have filled it
  for (int i = 5; i < 10; ++i) Put("a", std::to_string(i));
  EXPECT_TRUE(stream.Quiet());
  stream.call().room = true;
  stream.handler().OnWritable();
  executor_.RunReady();
  std::vector<std::string> values;
  while (!stream.Quiet()) {
    const WatchResponse reply = stream.Next();
    for (const Event& event : reply.events()) values.push_back(event.kv().value());
  }
  EXPECT_EQ(values.size(), 10u);
  EXPECT_TRUE(std::is_sorted(values.begin(), values.end()));
}

TEST_F(WatchStreamTest, AStreamThatRequiresALeaderEndsAfterThreeElectionTimeoutsWithoutOne) {
  const std::uint64_t timeout = Options().election_timeout_ns;
  Stream stream(frontend_, executor_, true);
  Stream patient(frontend_, executor_, false);
  stream.Create(Default);
  patient.Create(Default);
  executor_.Advance(10 * timeout);
  EXPECT_FALSE(stream.call().finished.has_value());
  backend_.view().leader = ReplicaId();
  executor_.Advance(2 * timeout);
  backend_.view().leader = ReplicaId(0xB);
  executor_.Advance(timeout);
  backend_.view().leader = ReplicaId();
  executor_.Advance(2 * timeout);
  EXPECT_FALSE(stream.call().finished.has_value());
  executor_.Advance(timeout);
  ASSERT_TRUE(stream.call().finished.has_value());
  ExpectError(*stream.call().finished, StatusCode::kUnavailable, "etcdserver: no leader");
  EXPECT_FALSE(patient.call().finished.has_value());
  EXPECT_EQ(backend_.machine().watches().size(), 1u);
}

TEST_F(WatchStreamTest, AMalformedRequestEndsTheStreamAndAnEmptyOneDoesNot) {
  Stream stream(frontend_, executor_);
  stream.Send(WatchRequest());
  EXPECT_FALSE(stream.call().finished.has_value());
  stream.Create(Default);
  stream.handler().OnMessage("\xff\xff");
  ASSERT_TRUE(stream.call().finished.has_value());
  EXPECT_EQ(stream.call().finished->code(), StatusCode::kInternal);
  EXPECT_EQ(backend_.machine().watches().size(), 0u);
  stream.Create(Default);
}

// Limits small enough to reach.
class NarrowWatchStreamTest : public WatchStreamTest {
 protected:
  NarrowWatchStreamTest() : WatchStreamTest({.max_request_bytes = 100'000, .watches_per_stream = 2}) {}
};

TEST_F(NarrowWatchStreamTest, LargeRepliesAreFragmentedOnRequestOnly) {
  Stream stream(frontend_, executor_);
  const auto all = [](bool fragment) {
    return [fragment](WatchCreateRequest* request) {
      request->set_range_end("b");
      request->set_start_revision(2);
      request->set_fragment(fragment);
    };
  };
  stream.Create(all(true));
  stream.Create(all(false));
  stream.Next();
  stream.Next();
  // 20 values of 99,000 bytes each, each of which is a request of its own.
  for (int i = 0; i < 20; ++i) Put(Numbered("a", i), std::string(99'000, 'x'));
  int fragmented_events = 0;
  while (!stream.Quiet()) {
    const WatchResponse reply = stream.Next();
    if (reply.watch_id() == 0) fragmented_events += reply.events_size();
    EXPECT_FALSE(reply.fragment());
  }
  EXPECT_EQ(fragmented_events, 20);

  // Read from history, they come in one delivery.
  Stream late(frontend_, executor_);
  late.Create(all(true));
  late.Next();
  int events = 0;
  bool open = false;
  while (!late.Quiet()) {
    EXPECT_LT(late.call().sent.front().size(), 100'000u + (512u << 10));
    const WatchResponse reply = late.Next();
    events += reply.events_size();
    EXPECT_EQ(reply.header().revision(), 21);
    open = reply.fragment();
  }
  EXPECT_EQ(events, 20);
  EXPECT_FALSE(open) << "the last fragment says that it is the last";
  Stream whole(frontend_, executor_);
  whole.Create(all(false));
  whole.Next();
  EXPECT_EQ(whole.Next().events_size(), 20);
}

TEST_F(NarrowWatchStreamTest, TheWatchesOfAStreamAreBounded) {
  Stream stream(frontend_, executor_);
  stream.Create(Default);
  stream.Create(Default);
  stream.Create(Default);
  stream.Next();
  stream.Next();
  const WatchResponse reply = stream.Next();
  EXPECT_TRUE(reply.canceled());
  EXPECT_EQ(reply.watch_id(), -1);
  EXPECT_EQ(reply.cancel_reason(), "etcdserver: too many requests");
}

}  // namespace
}  // namespace quorate::frontend::etcd
