#include "net/grpc_client.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <map>
#include <string>
#include <vector>

#include "net/test_server.h"

namespace quorate::net {
namespace {

// "/t.T/Echo" answers a message with itself and ends when the client does; "/t.T/Fail" fails with the message's words;
// "/t.T/Hang" never answers.
class Handler : public CallHandler {
 public:
  Handler(ServerCall& call, std::string method, int& done) : call_(call), method_(std::move(method)), done_(done) {}
  void OnMessage(std::string_view message) override {
    if (method_ == "Fail") return call_.Finish({StatusCode::kAborted, std::string(message)});
    if (method_ == "Echo") call_.Send(std::string(message));
  }
  void OnHalfClose() override {
    if (method_ == "Echo") call_.Finish(Status::Ok());
  }
  void OnDone() override { ++done_; }

 private:
  ServerCall& call_;
  const std::string method_;
  int& done_;
};

class Service : public GrpcService {
 public:
  std::unique_ptr<CallHandler> Open(std::string_view path, ServerCall& call) override {
    last_token = call.metadata("token").value_or("");
    return std::make_unique<Handler>(call, std::string(path.substr(path.rfind('/') + 1)), done);
  }
  int done = 0;
  std::string last_token;
};

struct Call : ClientCallHandler {
  void OnMessage(std::string_view message) override { messages.emplace_back(message); }
  void OnDone(const CallEnd& ended) override {
    ++done;
    end = ended;
  }
  std::vector<std::string> messages;
  CallEnd end;
  int done = 0;
};

class GrpcClientTest : public testing::Test {
 protected:
  // Runs the client's loop until the condition holds; false after a minute.
  template <class Condition>
  bool RunUntil(Condition condition) {
    const std::uint64_t limit = Reactor::NowNs() + 60'000'000'000;
    while (!condition()) {
      if (Reactor::NowNs() > limit) return false;
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds(100));
    }
    return true;
  }
  void Begin(std::uint16_t port) {
    channel_ = std::make_unique<GrpcChannel>(reactor_, ChannelOptions{}, [this](ChannelState state, const Status& why) {
      states_.push_back(state);
      why_ = why;
    });
    channel_->Connect("127.0.0.1", port);
  }
  bool Connect(std::uint16_t port) {
    Begin(port);
    return RunUntil([&] { return channel_->state() == ChannelState::kReady; });
  }

  Service service_;
  TestServer server_{&service_};
  boost::asio::io_context context_{1};
  Reactor reactor_{context_};
  std::vector<ChannelState> states_;
  Status why_;
  std::unique_ptr<GrpcChannel> channel_;
};

TEST_F(GrpcClientTest, UnaryCallBringsTheAnswer) {
  ASSERT_TRUE(Connect(server_.port()));
  Call call;
  const CallMetadata metadata = {{"token", "secret"}};
  ASSERT_NE(channel_->Unary("/t.T/Echo", "hello", &call, 0, &metadata), nullptr);
  ASSERT_TRUE(RunUntil([&] { return call.done > 0; }));
  EXPECT_TRUE(call.end.status.ok());
  EXPECT_EQ(call.messages, std::vector<std::string>{"hello"});
  EXPECT_EQ(server_.Run([&] { return service_.last_token; }), "secret");
}

TEST_F(GrpcClientTest, ThousandsOfCallsShareAConnectionBeyondTheStreamLimit) {
  ASSERT_TRUE(Connect(server_.port()));
  std::vector<Call> calls(10'000);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    ASSERT_NE(channel_->Unary("/t.T/Echo", std::to_string(i), &calls[i], 60'000'000'000), nullptr);
  }
  ASSERT_TRUE(RunUntil([&] { return channel_->metrics().calls_open == 0; }));
  for (std::size_t i = 0; i < calls.size(); ++i) {
    ASSERT_TRUE(calls[i].end.status.ok()) << i << ": " << calls[i].end.status.message();
    ASSERT_EQ(calls[i].messages, std::vector<std::string>{std::to_string(i)});
  }
}

TEST_F(GrpcClientTest, LargeMessagesBothWays) {
  ASSERT_TRUE(Connect(server_.port()));
  Call call;
  ClientCall* stream = channel_->Start("/t.T/Echo", &call, 0);
  for (int i = 0; i < 8; ++i) stream->Send(std::string(2'000'000, static_cast<char>('a' + i)));
  stream->HalfClose();
  ASSERT_TRUE(RunUntil([&] { return call.done > 0; }));
  EXPECT_TRUE(call.end.status.ok()) << call.end.status.message();
  ASSERT_EQ(call.messages.size(), 8u);
  EXPECT_EQ(call.messages[7], std::string(2'000'000, 'h'));
}

TEST_F(GrpcClientTest, ErrorOfTheServerIsFinal) {
  ASSERT_TRUE(Connect(server_.port()));
  Call call;
  channel_->Unary("/t.T/Fail", "50% \xc3\xa9\n", &call, 0);
  ASSERT_TRUE(RunUntil([&] { return call.done > 0; }));
  EXPECT_EQ(call.end.status, Status(StatusCode::kAborted, "50% \xc3\xa9\n"));
  EXPECT_TRUE(call.end.may_have_run);
}

TEST_F(GrpcClientTest, DeadlineEndsTheCallOnBothSides) {
  ASSERT_TRUE(Connect(server_.port()));
  Call call;
  channel_->Unary("/t.T/Hang", "x", &call, 50'000'000);
  ASSERT_TRUE(RunUntil([&] { return call.done > 0; }));
  EXPECT_EQ(call.end.status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(call.end.may_have_run);
  EXPECT_TRUE(RunUntil([&] { return server_.Run([&] { return service_.done; }) == 1; }));
}

TEST_F(GrpcClientTest, CancelEndsTheCallOnBothSides) {
  ASSERT_TRUE(Connect(server_.port()));
  Call call;
  ClientCall* stream = channel_->Start("/t.T/Echo", &call, 0);
  stream->Send("one");
  ASSERT_TRUE(RunUntil([&] { return call.messages.size() == 1; }));
  stream->Cancel();
  EXPECT_EQ(call.done, 0);
  ASSERT_TRUE(RunUntil([&] { return call.done > 0; }));
  EXPECT_EQ(call.end.status.code(), StatusCode::kCancelled);
  EXPECT_TRUE(RunUntil([&] { return server_.Run([&] { return service_.done; }) == 1; }));
}

TEST_F(GrpcClientTest, LostConnectionLeavesTheOutcomeUnknown) {
  ASSERT_TRUE(Connect(server_.port()));
  Call sent;
  channel_->Unary("/t.T/Hang", "x", &sent, 0);
  ASSERT_TRUE(RunUntil([&] { return server_.metrics().calls_open == 1; }));
  server_.Run([&] { server_.listener().Close(); });
  ASSERT_TRUE(RunUntil([&] { return channel_->state() == ChannelState::kClosed; }));
  EXPECT_EQ(sent.end.status.code(), StatusCode::kUnavailable);
  EXPECT_TRUE(sent.end.may_have_run);
  Call late;
  EXPECT_EQ(channel_->Unary("/t.T/Echo", "x", &late, 0), nullptr);
}

TEST_F(GrpcClientTest, GoawayLetsOpenCallsEnd) {
  ASSERT_TRUE(Connect(server_.port()));
  Call call;
  ClientCall* stream = channel_->Start("/t.T/Echo", &call, 0);
  stream->Send("one");
  ASSERT_TRUE(RunUntil([&] { return call.messages.size() == 1; }));
  server_.Run([&] { server_.listener().Drain([] {}); });
  ASSERT_TRUE(RunUntil([&] { return channel_->state() == ChannelState::kDraining; }));
  Call refused;
  EXPECT_EQ(channel_->Unary("/t.T/Echo", "x", &refused, 0), nullptr);
  stream->Send("two");
  stream->HalfClose();
  ASSERT_TRUE(RunUntil([&] { return call.done > 0; }));
  EXPECT_TRUE(call.end.status.ok()) << call.end.status.message();
  EXPECT_EQ(call.messages.size(), 2u);
  EXPECT_TRUE(RunUntil([&] { return channel_->state() == ChannelState::kClosed; }));
}

TEST_F(GrpcClientTest, RefusedConnectionIsToldWithItsAddress) {
  boost::asio::io_context other;
  boost::asio::ip::tcp::acceptor acceptor(other, {boost::asio::ip::make_address("127.0.0.1"), 0});
  const std::uint16_t port = acceptor.local_endpoint().port();
  acceptor.close();
  Begin(port);
  ASSERT_TRUE(RunUntil([&] { return channel_->state() == ChannelState::kClosed; }));
  EXPECT_EQ(why_.code(), StatusCode::kUnavailable);
  EXPECT_EQ(why_.message(), "connect: 127.0.0.1:" + std::to_string(port) + ": Connection refused");
  channel_->Connect("127.0.0.1", server_.port());
  EXPECT_TRUE(RunUntil([&] { return channel_->state() == ChannelState::kReady; }));
}

TEST_F(GrpcClientTest, DestroyingTheChannelEndsItsCalls) {
  ASSERT_TRUE(Connect(server_.port()));
  Call call;
  channel_->Unary("/t.T/Hang", "x", &call, 0);
  channel_ = nullptr;
  EXPECT_EQ(call.done, 1);
  EXPECT_EQ(call.end.status.code(), StatusCode::kUnavailable);
  EXPECT_FALSE(call.end.may_have_run);  // it never left
}

}  // namespace
}  // namespace quorate::net
