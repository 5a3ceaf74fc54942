#include "client/etcd_client.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <vector>

#include "net/test_server.h"

namespace quorate::client {
namespace {

using etcdserverpb::PutRequest;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using etcdserverpb::WatchRequest;
using etcdserverpb::WatchResponse;

// A member that answers every put with a revision and hands out one watch event per request; `fault` says otherwise.
struct Member : net::GrpcService {
  enum class Fault { kNone, kHang, kFail };

  class Handler : public net::CallHandler {
   public:
    Handler(Member& member, std::string_view path, net::ServerCall& call) : member_(member), path_(path), call_(call) {}
    void OnMessage(std::string_view message) override {
      ++member_.requests;
      if (member_.fault == Fault::kHang) return;
      if (member_.fault == Fault::kFail) {
        return call_.Finish(Status::Unavailable("etcdserver: no leader"));
      }
      if (path_ == path::kWatch) return Watch(message);
      if (path_ == path::kPut) {
        PutResponse response;
        response.mutable_header()->set_revision(7);
        call_.Send(response.SerializeAsString());
      } else {
        RangeResponse response;
        response.set_count(3);
        call_.Send(response.SerializeAsString());
      }
    }
    void OnHalfClose() override {
      if (member_.fault == Fault::kNone) call_.Finish(Status::Ok());
    }
    void OnDone() override {}

   private:
    void Watch(std::string_view message) {
      WatchRequest request;
      CHECK(request.ParseFromArray(message.data(), static_cast<int>(message.size())));
      const std::int64_t start = request.create_request().start_revision();
      WatchResponse created;
      created.set_created(true);
      created.mutable_header()->set_revision(10);
      call_.Send(created.SerializeAsString());
      WatchResponse event;
      event.mutable_header()->set_revision(20);
      event.add_events()->mutable_kv()->set_mod_revision(start == 0 ? 11 : start);
      call_.Send(event.SerializeAsString());
      if (member_.watch_ends) call_.Finish(Status::Unavailable("going down"));
    }

    Member& member_;
    const std::string path_;
    net::ServerCall& call_;
  };

  std::unique_ptr<net::CallHandler> Open(std::string_view path, net::ServerCall& call) override {
    return std::make_unique<Handler>(*this, path, call);
  }

  Fault fault = Fault::kNone;
  bool watch_ends = false;
  int requests = 0;
};

Endpoint At(std::uint16_t port) {
  return {"127.0.0.1", port};
}

// A port where nobody listens.
std::uint16_t DeadPort() {
  boost::asio::io_context context;
  boost::asio::ip::tcp::acceptor acceptor(context, {boost::asio::ip::make_address("127.0.0.1"), 0});
  return acceptor.local_endpoint().port();
}

TEST(ParseEndpointsTest, TakesEtcdsForms) {
  const auto endpoints = ParseEndpoints("127.0.0.1:2379,http://n2:2479/,[::1]:2579");
  ASSERT_TRUE(endpoints.ok());
  EXPECT_EQ(*endpoints, (std::vector<Endpoint>{{"127.0.0.1", 2379}, {"n2", 2479}, {"::1", 2579}}));
  EXPECT_EQ((*endpoints)[2].ToString(), "[::1]:2579");
}

TEST(ParseEndpointsTest, NamesThePartThatIsWrong) {
  for (const std::string bad : {"localhost", "host:", ":2379", "host:port", "host:99999", "https://host:2379"}) {
    const auto endpoints = ParseEndpoints("a:1," + bad);
    ASSERT_FALSE(endpoints.ok()) << bad;
    EXPECT_NE(endpoints.status().message().find("\"" + bad + "\""), std::string::npos);
  }
  EXPECT_FALSE(ParseEndpoints("").ok());
}

TEST(EtcdClientTest, CallGoesToTheNextMemberWhenOneRefusesTheConnection) {
  Member member;
  net::TestServer server(&member);
  EtcdClient client({At(DeadPort()), At(server.port())}, {});
  const auto put = client.Put(PutRequest());
  ASSERT_TRUE(put.ok()) << put.status().message();
  EXPECT_EQ(put->header().revision(), 7);
  EXPECT_EQ(client.current(), At(server.port()));
}

TEST(EtcdClientTest, NoMemberToReachIsUnavailableWithTheReason) {
  const std::uint16_t port = DeadPort();
  EtcdClient client({At(port)}, {});
  const auto put = client.Put(PutRequest());
  EXPECT_EQ(put.status(), Status::Unavailable("connect: 127.0.0.1:" + std::to_string(port) + ": Connection refused"));
}

TEST(EtcdClientTest, WriteOfUnknownOutcomeIsNotSentAgain) {
  Member dying;
  dying.fault = Member::Fault::kHang;
  net::TestServer first(&dying);
  Member other;
  net::TestServer second(&other);
  EtcdClient client({At(first.port()), At(second.port())}, {.timeout_ns = 60'000'000'000});
  std::thread killer([&] {
    first.Eventually([&] { return dying.requests == 1; });
    first.Run([&] { first.listener().Close(); });
  });
  const auto put = client.Put(PutRequest());
  killer.join();
  EXPECT_EQ(put.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(put.status().message().find("unknown whether"), std::string::npos);
  EXPECT_EQ(second.Run([&] { return other.requests; }), 0);
  EXPECT_TRUE(client.Put(PutRequest()).ok());  // a new call goes to the other member
}

TEST(EtcdClientTest, ReadOfUnknownOutcomeGoesToTheNextMember) {
  Member dying;
  dying.fault = Member::Fault::kHang;
  net::TestServer first(&dying);
  Member other;
  net::TestServer second(&other);
  EtcdClient client({At(first.port()), At(second.port())}, {.timeout_ns = 60'000'000'000});
  std::thread killer([&] {
    first.Eventually([&] { return dying.requests == 1; });
    first.Run([&] { first.listener().Close(); });
  });
  const auto range = client.Range(RangeRequest());
  killer.join();
  ASSERT_TRUE(range.ok()) << range.status().message();
  EXPECT_EQ(range->count(), 3);
}

TEST(EtcdClientTest, AnswerOfTheServerIsFinalEvenWhenItSaysUnavailable) {
  Member failing;
  failing.fault = Member::Fault::kFail;
  net::TestServer server(&failing);
  Member other;
  net::TestServer second(&other);
  EtcdClient client({At(server.port()), At(second.port())}, {});
  EXPECT_EQ(client.Put(PutRequest()).status(), Status::Unavailable("etcdserver: no leader"));
  EXPECT_EQ(second.Run([&] { return other.requests; }), 0);
}

TEST(EtcdClientTest, CallEndsAtItsTimeout) {
  Member hanging;
  hanging.fault = Member::Fault::kHang;
  net::TestServer server(&hanging);
  EtcdClient client({At(server.port())}, {.timeout_ns = 100'000'000});
  EXPECT_EQ(client.Put(PutRequest()).status().code(), StatusCode::kDeadlineExceeded);
}

TEST(EtcdClientTest, WatchGoesOnAtAnotherMemberAfterTheLastRevisionSeen) {
  Member dying;
  dying.watch_ends = true;
  net::TestServer first(&dying);
  Member other;
  net::TestServer second(&other);
  EtcdClient client({At(first.port()), At(second.port())}, {.timeout_ns = 60'000'000'000});
  std::vector<std::int64_t> revisions;
  const Status status = client.Watch({}, [&](const WatchResponse& response) {
    for (const auto& event : response.events()) revisions.push_back(event.kv().mod_revision());
    return revisions.size() < 2;
  });
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(revisions, (std::vector<std::int64_t>{11, 12}));
  EXPECT_EQ(client.current(), At(second.port()));
}

}  // namespace
}  // namespace quorate::client
