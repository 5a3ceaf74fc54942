#include "frontend/etcd/etcd_frontend.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "frontend/etcd/frontend_fixture.h"

namespace quorate::frontend::etcd {
namespace {

using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;

class EtcdFrontendTest : public FrontendTest {
 protected:
  Status Error(const std::string& method, const std::string& message = "") {
    FakeCall call;
    return CallOn<PutResponse>(&call, method, message).status();
  }
};

TEST_F(EtcdFrontendTest, EveryMethodOfEveryServiceOpens) {
  const auto* file = google::protobuf::DescriptorPool::generated_pool()->FindFileByName("etcd/rpc.proto");
  etcdserverpb::RangeRequest();  // keeps the generated file linked
  ASSERT_NE(file, nullptr);
  int methods = 0;
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m, ++methods) {
      const std::string path = "/" + file->service(s)->full_name() + "/" + file->service(s)->method(m)->name();
      FakeCall call;
      const std::unique_ptr<net::CallHandler> handler = frontend_.Open(path, call);
      ASSERT_NE(handler, nullptr) << path;
      handler->OnDone();
    }
  }
  EXPECT_EQ(methods, 41);
}

TEST_F(EtcdFrontendTest, UnknownPathsDoNotOpen) {
  for (const char* path : {"", "/", "/etcdserverpb.KV", "/etcdserverpb.KV/", "/etcdserverpb.KV/range", "KV/Range",
                           "/etcdserverpb.KV/Range/", "/other.KV/Range"}) {
    FakeCall call;
    EXPECT_EQ(frontend_.Open(path, call), nullptr) << path;
  }
}

TEST_F(EtcdFrontendTest, ItsServicesAreKnownByName) {
  EXPECT_TRUE(frontend_.HasService("etcdserverpb.KV"));
  EXPECT_TRUE(frontend_.HasService("etcdserverpb.Auth"));
  EXPECT_FALSE(frontend_.HasService("etcdserverpb.K"));
  EXPECT_FALSE(frontend_.HasService("KV"));
}

TEST_F(EtcdFrontendTest, WhatDoesNotExistYetIsAnsweredInWords) {
  for (const char* method : {"Maintenance/Downgrade", "Auth/AuthEnable", "Auth/UserList"}) {
    const Status status = Error(method);
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented) << method;
    EXPECT_TRUE(status.message().starts_with("quorate: ")) << status.message();
  }
}

TEST_F(EtcdFrontendTest, AMalformedMessageIsAnInternalErrorAsInGrpcGo) {
  for (const char* method :
       {"KV/Range", "KV/Put", "KV/DeleteRange", "KV/Txn", "KV/Compact", "Lease/LeaseGrant", "Lease/LeaseRevoke",
        "Lease/LeaseTimeToLive", "Lease/LeaseLeases", "Cluster/MemberList", "Maintenance/Alarm", "Maintenance/Status",
        "Maintenance/Hash", "Maintenance/HashKV", "Auth/AuthStatus", "Auth/Authenticate"}) {
    const Status status = Error(method, "\x0a\x05only");
    EXPECT_EQ(status.code(), StatusCode::kInternal) << method;
    EXPECT_TRUE(status.message().starts_with("grpc: error unmarshalling request: ")) << status.message();
  }
  EXPECT_EQ(backend_.proposals, 0);
}

TEST_F(EtcdFrontendTest, ACallThatEndsWithoutAMessageIsAnswered) {
  FakeCall call;
  const std::unique_ptr<net::CallHandler> handler = frontend_.Open("/etcdserverpb.KV/Put", call);
  handler->OnHalfClose();
  ASSERT_TRUE(call.finished.has_value());
  EXPECT_EQ(call.finished->code(), StatusCode::kInternal);
  handler->OnDone();
}

TEST_F(EtcdFrontendTest, ASecondMessageOfAUnaryCallIsPassedOver) {
  PutRequest request;
  request.set_key("a");
  FakeCall call;
  const std::unique_ptr<net::CallHandler> handler = frontend_.Open("/etcdserverpb.KV/Put", call);
  handler->OnMessage(request.SerializeAsString());
  handler->OnMessage(request.SerializeAsString());
  executor_.RunReady();
  EXPECT_EQ(call.sent.size(), 1u);
  EXPECT_EQ(backend_.proposals, 1);
  handler->OnDone();
}

TEST_F(EtcdFrontendTest, AnAnswerForAVanishedCallGoesNowhere) {
  PutRequest put;
  put.set_key("a");
  RangeRequest range;
  range.set_key("a");
  backend_.HoldAnswers();
  for (const auto& [method, message] : {std::pair<std::string, std::string>("KV/Put", put.SerializeAsString()),
                                        {"KV/Range", range.SerializeAsString()}}) {
    FakeCall call;
    std::unique_ptr<net::CallHandler> handler = frontend_.Open("/etcdserverpb." + method, call);
    handler->OnMessage(message);
    handler->OnDone();
    handler.reset();
  }
  backend_.ReleaseAnswers();
  executor_.RunReady();  // the calls are gone: touching one would be seen by the sanitizers
}

TEST_F(EtcdFrontendTest, ACallThatRequiresALeaderIsRefusedWithoutOne) {
  RangeRequest request;
  request.set_key("a");
  request.set_serializable(true);
  FakeCall requires_leader;
  requires_leader.headers["hasleader"] = "true";
  EXPECT_TRUE(CallOn<RangeResponse>(&requires_leader, "KV/Range", request.SerializeAsString()).ok());
  backend_.view().leader = ReplicaId();
  FakeCall again;
  again.headers["hasleader"] = "true";
  ExpectError(CallOn<RangeResponse>(&again, "KV/Range", request.SerializeAsString()).status(), StatusCode::kUnavailable,
              "etcdserver: no leader");
  FakeCall stream;
  stream.headers["hasleader"] = "true";
  ExpectError(CallOn<etcdserverpb::WatchResponse>(&stream, "Watch/Watch", "").status(), StatusCode::kUnavailable,
              "etcdserver: no leader");
  FakeCall plain;
  EXPECT_TRUE(CallOn<RangeResponse>(&plain, "KV/Range", request.SerializeAsString()).ok());
}

TEST_F(EtcdFrontendTest, ALearnerAnswersStatusAndSerializableRangesOnly) {
  backend_.view().self_is_learner = true;
  const std::string text = "etcdserver: rpc not supported for learner";
  RangeRequest request;
  request.set_key("a");
  ExpectError(Error("KV/Range", request.SerializeAsString()), StatusCode::kFailedPrecondition, text);
  ExpectError(Error("KV/Put"), StatusCode::kFailedPrecondition, text);
  ExpectError(Error("Watch/Watch"), StatusCode::kFailedPrecondition, text);
  request.set_serializable(true);
  EXPECT_TRUE(Call<RangeResponse>("KV/Range", request).ok());
  const auto status = Call<etcdserverpb::StatusResponse>("Maintenance/Status", etcdserverpb::StatusRequest()).value();
  EXPECT_TRUE(status.islearner());
}

}  // namespace
}  // namespace quorate::frontend::etcd
