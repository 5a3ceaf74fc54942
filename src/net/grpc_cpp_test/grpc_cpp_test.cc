// gRPC C++'s client against net/'s server, over loopback.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "echo.grpc.pb.h"
#include "net/test_server.h"

namespace quorate::net {
namespace {

using test::Echo;
using test::Note;
using test::Nowhere;

constexpr char kStrange[] = "50% caf\xc3\xa9\nsecond line";

struct Seen {  // on the server's thread
  int opened = 0;
  int done = 0;
  std::size_t largest_queue = 0;
  std::string token;
};

class UnaryHandler : public CallHandler {
 public:
  UnaryHandler(ServerCall& call, Seen& seen) : call_(call), seen_(seen) {}
  void OnMessage(std::string_view message) override {
    CHECK(request_.ParseFromArray(message.data(), static_cast<int>(message.size())));
  }
  void OnHalfClose() override {
    seen_.token = call_.metadata("token").value_or("");
    if (request_.text() == "hang") return;
    if (request_.text() == "fail") return call_.Finish({StatusCode::kFailedPrecondition, kStrange});
    Note answer;
    answer.set_text(request_.text());
    answer.set_data(std::string(static_cast<std::size_t>(request_.size()), 'x'));
    answer.set_count(static_cast<int>(request_.data().size()));
    call_.Send(answer.SerializeAsString());
    call_.Finish(Status::Ok());
  }
  void OnDone() override { ++seen_.done; }

 private:
  ServerCall& call_;
  Seen& seen_;
  Note request_;
};

// Answers each note with `count` notes of `size` bytes, as fast as the queue's cap lets it.
class ChatHandler : public CallHandler {
 public:
  ChatHandler(ServerCall& call, Seen& seen) : call_(call), seen_(seen) {}
  void OnMessage(std::string_view message) override {
    Note note;
    CHECK(note.ParseFromArray(message.data(), static_cast<int>(message.size())));
    owed_ += note.count();
    answer_.set_text(note.text());
    answer_.set_data(std::string(static_cast<std::size_t>(note.size()), 'y'));
    Produce();
  }
  void OnHalfClose() override {
    half_closed_ = true;
    Produce();
  }
  void OnWritable() override { Produce(); }
  void OnDone() override { ++seen_.done; }

 private:
  void Produce() {
    for (; owed_ > 0 && call_.queued_bytes() <= kCallQueueCapBytes; --owed_) call_.Send(answer_.SerializeAsString());
    seen_.largest_queue = std::max(seen_.largest_queue, call_.queued_bytes());
    if (half_closed_ && owed_ == 0) call_.Finish(Status::Ok());
  }
  ServerCall& call_;
  Seen& seen_;
  Note answer_;
  int owed_ = 0;
  bool half_closed_ = false;
};

class EchoService : public GrpcService {
 public:
  std::unique_ptr<CallHandler> Open(std::string_view path, ServerCall& call) override {
    ++seen.opened;
    if (path == "/quorate.test.Echo/Unary") return std::make_unique<UnaryHandler>(call, seen);
    if (path == "/quorate.test.Echo/Chat") return std::make_unique<ChatHandler>(call, seen);
    return nullptr;
  }
  bool HasService(std::string_view service) const override { return service == "quorate.test.Echo"; }
  Seen seen;
};

class GrpcCppTest : public testing::Test {
 protected:
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(server_.address(), grpc::InsecureChannelCredentials(), arguments);
  }
  grpc::Status Unary(const Note& request, Note* answer, void (*prepare)(grpc::ClientContext&) = nullptr) {
    grpc::ClientContext context;
    if (prepare != nullptr) prepare(context);
    return stub_->Unary(&context, request, answer);
  }

  EchoService service_;
  TestServer server_{&service_};
  std::shared_ptr<grpc::Channel> channel_ = NewChannel();
  std::unique_ptr<Echo::Stub> stub_ = Echo::NewStub(channel_);
};

TEST_F(GrpcCppTest, UnaryCallIsAnsweredWithTheMessage) {
  Note request;
  request.set_text("hello");
  Note answer;
  const grpc::Status status =
      Unary(request, &answer, [](grpc::ClientContext& context) { context.AddMetadata("token", "abc"); });
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(answer.text(), "hello");
  EXPECT_EQ(server_.Run([&] { return service_.seen.token; }), "abc");
  EXPECT_TRUE(server_.Eventually([&] { return service_.seen.done == 1; }));
}

TEST_F(GrpcCppTest, ManyCallsOnOneConnection) {
  for (int i = 0; i < 2000; ++i) {
    Note request;
    request.set_text(std::to_string(i));
    Note answer;
    ASSERT_TRUE(Unary(request, &answer).ok());
    ASSERT_EQ(answer.text(), request.text());
  }
  EXPECT_EQ(server_.metrics().connections_accepted, 1u);
  EXPECT_EQ(server_.metrics().protocol_errors, 0u);
}

TEST_F(GrpcCppTest, ErrorTextArrivesWithPercentAndLineBreakAndNonAscii) {
  Note request;
  request.set_text("fail");
  Note answer;
  const grpc::Status status = Unary(request, &answer);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), kStrange);
}

TEST_F(GrpcCppTest, LargeMessagesPassBothWaysThroughFlowControl) {
  Note request;
  request.set_data(std::string(2'000'000, 'z'));
  request.set_size(20'000'000);
  Note answer;
  const grpc::Status status = Unary(request, &answer);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(answer.count(), 2'000'000);
  EXPECT_EQ(answer.data().size(), 20'000'000u);
}

TEST_F(GrpcCppTest, MessageOverTheLimitIsRefusedInGrpcGoWords) {
  Note request;
  request.set_data(std::string(3'000'000, 'z'));
  Note answer;
  const grpc::Status status = Unary(request, &answer);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "grpc: received message larger than max (3000005 vs. 2097152)");
  request.clear_data();
  EXPECT_TRUE(Unary(request, &answer).ok());
}

TEST_F(GrpcCppTest, DeadlineEndsACallThatIsNeverAnswered) {
  Note request;
  request.set_text("hang");
  Note answer;
  const grpc::Status status = Unary(request, &answer, [](grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(server_.Eventually([&] { return service_.seen.done == 1; }));
}

TEST_F(GrpcCppTest, CancelReachesTheHandler) {
  grpc::ClientContext context;
  auto chat = stub_->Chat(&context);
  Note note;
  note.set_text("hi");
  note.set_count(1);
  ASSERT_TRUE(chat->Write(note));
  Note answer;
  ASSERT_TRUE(chat->Read(&answer));
  EXPECT_EQ(server_.Run([&] { return service_.seen.done; }), 0);
  context.TryCancel();
  EXPECT_EQ(chat->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(server_.Eventually([&] { return service_.seen.done == 1; }));
}

TEST_F(GrpcCppTest, BidirectionalStreamEndsInOrder) {
  grpc::ClientContext context;
  auto chat = stub_->Chat(&context);
  for (int i = 0; i < 100; ++i) {
    Note note;
    note.set_text(std::to_string(i));
    note.set_count(1);
    ASSERT_TRUE(chat->Write(note));
    Note answer;
    ASSERT_TRUE(chat->Read(&answer));
    ASSERT_EQ(answer.text(), note.text());
  }
  chat->WritesDone();
  Note answer;
  EXPECT_FALSE(chat->Read(&answer));
  EXPECT_TRUE(chat->Finish().ok());
}

TEST_F(GrpcCppTest, StreamingHandlerIsHeldBackByItsQueueCap) {
  grpc::ClientContext context;
  auto chat = stub_->Chat(&context);
  Note note;
  note.set_count(1000);
  note.set_size(50'000);
  ASSERT_TRUE(chat->Write(note));
  chat->WritesDone();
  Note answer;
  int received = 0;
  while (chat->Read(&answer)) ++received;
  EXPECT_TRUE(chat->Finish().ok());
  EXPECT_EQ(received, 1000);
  EXPECT_LE(server_.Run([&] { return service_.seen.largest_queue; }), kCallQueueCapBytes + 51'000);
}

TEST_F(GrpcCppTest, CompressedRequestIsRefusedAsUnimplemented) {
  Note request;
  request.set_data(std::string(100'000, 'z'));
  Note answer;
  const grpc::Status status = Unary(
      request, &answer, [](grpc::ClientContext& context) { context.set_compression_algorithm(GRPC_COMPRESS_GZIP); });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(), "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
}

TEST_F(GrpcCppTest, UnknownMethodAndServiceAreNamed) {
  Note request;
  Note answer;
  grpc::ClientContext first;
  grpc::Status status = stub_->Absent(&first, request, &answer);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(), "unknown method Absent for service quorate.test.Echo");
  grpc::ClientContext second;
  status = Nowhere::NewStub(channel_)->Call(&second, request, &answer);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(), "unknown service quorate.test.Nowhere");
}

TEST_F(GrpcCppTest, DrainLetsOpenCallsEndAndRefusesNewOnes) {
  grpc::ClientContext context;
  auto chat = stub_->Chat(&context);
  Note note;
  note.set_count(1);
  ASSERT_TRUE(chat->Write(note));
  Note answer;
  ASSERT_TRUE(chat->Read(&answer));
  std::atomic<bool> drained = false;
  server_.Run([&] { server_.listener().Drain([&] { drained = true; }); });
  ASSERT_TRUE(chat->Write(note));
  ASSERT_TRUE(chat->Read(&answer));
  EXPECT_FALSE(drained);
  chat->WritesDone();
  EXPECT_FALSE(chat->Read(&answer));
  EXPECT_TRUE(chat->Finish().ok());
  EXPECT_TRUE(server_.Eventually([&] { return drained.load(); }));
  grpc::Status status = Unary(note, &answer);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcCppTest, ClosingTheListenerEndsOpenCalls) {
  grpc::ClientContext context;
  auto chat = stub_->Chat(&context);
  Note note;
  note.set_count(1);
  ASSERT_TRUE(chat->Write(note));
  Note answer;
  ASSERT_TRUE(chat->Read(&answer));
  server_.Run([&] { server_.listener().Close(); });
  EXPECT_EQ(server_.Run([&] { return service_.seen.done; }), 1);
  EXPECT_FALSE(chat->Read(&answer));
  EXPECT_EQ(chat->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace quorate::net
