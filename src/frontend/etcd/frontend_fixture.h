// For the frontend's tests: calls without a network. FrontendTest opens them on an EtcdFrontend over a FakeBackend.
//
// Thread rule: the test's thread.
#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "etcd/rpc.pb.h"
#include "frontend/etcd/etcd_frontend.h"
#include "frontend/etcd/fake_backend.h"
#include "net/grpc_server.h"

namespace quorate::frontend::etcd {

class FakeCall final : public net::ServerCall {
 public:
  void Send(std::string message) override {
    EXPECT_FALSE(finished.has_value()) << "a message after the trailers";
    sent.push_back(std::move(message));
  }
  void Finish(const Status& status) override {
    EXPECT_FALSE(finished.has_value()) << "finished twice";
    finished = status;
  }
  std::size_t queued_bytes() const override { return queued; }
  bool HasRoom(net::AnswerSize) const override { return room; }
  void WhenRoom(net::AnswerSize, std::function<void()> start) override { waiting = std::move(start); }
  void Reserve(std::size_t bytes) override { reserved += bytes; }
  std::optional<std::string> metadata(std::string_view name) const override {
    const auto found = headers.find(name);
    return found == headers.end() ? std::nullopt : std::optional(found->second);
  }
  std::uint64_t deadline_ns() const override { return deadline; }
  std::string peer() const override { return "test"; }

  std::deque<std::string> sent;
  std::optional<Status> finished;
  std::map<std::string, std::string, std::less<>> headers;
  std::size_t queued = 0;
  bool room = true;
  std::function<void()> waiting;
  std::size_t reserved = 0;
  std::uint64_t deadline = 0;
};

class FrontendTest : public testing::Test {
 protected:
  explicit FrontendTest(Options options = {}) : frontend_(backend_, executor_, random_, std::move(options)) {}

  // One call with one request, run to its end.
  template <class Answer>
  Result<Answer> Call(const std::string& method, const google::protobuf::MessageLite& request) {
    FakeCall call;
    return CallOn<Answer>(&call, method, request.SerializeAsString());
  }
  template <class Answer>
  Result<Answer> CallOn(FakeCall* call, const std::string& method, const std::string& message) {
    const std::unique_ptr<net::CallHandler> handler = frontend_.Open("/etcdserverpb." + method, *call);
    if (handler == nullptr) return Status(StatusCode::kUnimplemented, "no such method");
    handler->OnMessage(message);
    if (!call->finished.has_value()) handler->OnHalfClose();
    executor_.RunReady();
    handler->OnDone();
    if (!call->finished.has_value()) return Status::Internal("no answer");
    if (!call->finished->ok()) return *call->finished;
    Answer answer;
    EXPECT_EQ(call->sent.size(), 1u);
    google::protobuf::io::CodedInputStream input(reinterpret_cast<const std::uint8_t*>(call->sent.front().data()),
                                                 static_cast<int>(call->sent.front().size()));
    input.SetRecursionLimit(1000);  // transactions may be nested deeper than the library's default
    EXPECT_TRUE(answer.ParseFromCodedStream(&input));
    return answer;
  }

  etcdserverpb::PutResponse Put(const std::string& key, const std::string& value, std::int64_t lease = 0) {
    etcdserverpb::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    request.set_lease(lease);
    return Call<etcdserverpb::PutResponse>("KV/Put", request).value();
  }
  etcdserverpb::DeleteRangeResponse Delete(const std::string& key) {
    etcdserverpb::DeleteRangeRequest request;
    request.set_key(key);
    return Call<etcdserverpb::DeleteRangeResponse>("KV/DeleteRange", request).value();
  }
  Result<etcdserverpb::CompactionResponse> Compact(Revision revision) {
    etcdserverpb::CompactionRequest request;
    request.set_revision(revision);
    return Call<etcdserverpb::CompactionResponse>("KV/Compact", request);
  }

  ManualExecutor executor_;
  CountingRandom random_;
  FakeBackend backend_{executor_};
  EtcdFrontend frontend_;
};

// Not `+`: g++ 12 warns of overlapping memory there, wrongly.
inline std::string Numbered(std::string name, int number) {
  return name.append(std::to_string(number));
}

inline void ExpectError(const Status& status, StatusCode code, const std::string& message) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_EQ(status.message(), message);
}

}  // namespace quorate::frontend::etcd
