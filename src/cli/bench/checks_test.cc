// The load and the availability check against a server that lies on request: every lie must be seen, and an honest
// server must not be accused.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cli/bench/availability.h"
#include "cli/bench/load.h"
#include "net/test_server.h"

namespace quorate::cli {
namespace {

// A keyspace in memory behind etcd's Put and Range.
struct FakeServer : net::GrpcService {
  enum class Lie { kNone, kLose, kHideOnce, kAlter, kReuseRevision, kRefuse, kHang, kGoBack };

  class Handler : public net::CallHandler {
   public:
    Handler(FakeServer& server, std::string_view path, net::ServerCall& call)
        : server_(server), put_(path == client::path::kPut), call_(call) {}
    void OnMessage(std::string_view message) override {
      answer_ = put_ ? server_.Put(message) : server_.Range(message);
      hangs_ = put_ && server_.Lies(Lie::kHang);
    }
    void OnHalfClose() override {
      if (hangs_) return;
      if (answer_.empty()) return call_.Finish(Status::ResourceExhausted("etcdserver: too many requests"));
      call_.Send(answer_);
      call_.Finish(Status::Ok());
    }
    void OnDone() override {}

   private:
    FakeServer& server_;
    const bool put_;
    net::ServerCall& call_;
    std::string answer_;
    bool hangs_ = false;
  };

  std::unique_ptr<net::CallHandler> Open(std::string_view path, net::ServerCall& call) override {
    return std::make_unique<Handler>(*this, path, call);
  }

  // True for one write in ten.
  bool Lies(Lie kind) const { return lie == kind && writes % 10 == 5; }

  std::string Put(std::string_view message) {
    etcdserverpb::PutRequest request;
    CHECK(request.ParseFromArray(message.data(), static_cast<int>(message.size())));
    ++writes;
    if (Lies(Lie::kRefuse)) return {};
    if (!Lies(Lie::kReuseRevision)) ++revision;
    if (Lies(Lie::kHideOnce)) hidden[request.key()] = true;
    if (!Lies(Lie::kLose)) {
      mvccpb::KeyValue& kv = store[request.key()];
      kv.set_key(request.key());
      kv.set_value(Lies(Lie::kAlter) ? "altered" : request.value());
      kv.set_mod_revision(revision);
      kv.set_version(kv.version() + 1);
    }
    etcdserverpb::PutResponse response;
    response.mutable_header()->set_revision(Lies(Lie::kGoBack) ? 1 : revision);
    return response.SerializeAsString();
  }

  std::string Range(std::string_view message) {
    etcdserverpb::RangeRequest request;
    CHECK(request.ParseFromArray(message.data(), static_cast<int>(message.size())));
    etcdserverpb::RangeResponse response;
    response.mutable_header()->set_revision(revision);
    const auto found = store.find(request.key());
    const auto hide = hidden.find(request.key());
    if (hide != hidden.end() && std::exchange(hide->second, false)) return response.SerializeAsString();
    if (found != store.end()) *response.add_kvs() = found->second;
    return response.SerializeAsString();
  }

  Lie lie = Lie::kNone;
  std::map<std::string, mvccpb::KeyValue> store;
  std::map<std::string, bool> hidden;
  std::int64_t revision = 1;
  std::uint64_t writes = 0;
};

std::vector<client::Endpoint> At(const net::TestServer& server) {
  return {{"127.0.0.1", server.port()}};
}

AvailabilityReport Check(FakeServer::Lie lie, double timeout_seconds = 30) {
  FakeServer fake;
  fake.lie = lie;
  net::TestServer server(&fake);
  AvailabilityOptions options;
  options.endpoints = At(server);
  options.seconds = 0.2;
  options.rate = 500;
  options.timeout_seconds = timeout_seconds;
  const Result<AvailabilityReport> report = RunAvailability(options);
  EXPECT_TRUE(report.ok());
  return report.ok() ? *report : AvailabilityReport();
}

TEST(AvailabilityTest, AnHonestServerIsNotAccused) {
  const AvailabilityReport report = Check(FakeServer::Lie::kNone);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.Count(WriteOutcome::kAcked), 100u);
  EXPECT_EQ(report.unverifiable, 0u);
}

TEST(AvailabilityTest, AcknowledgedWritesThatAreNotThereAreLost) {
  EXPECT_EQ(Check(FakeServer::Lie::kLose).lost, 10u);
}

TEST(AvailabilityTest, WritesThatAppearOnALaterLookAreStaleReads) {
  const AvailabilityReport report = Check(FakeServer::Lie::kHideOnce);
  EXPECT_EQ(report.stale, 10u);
  EXPECT_EQ(report.lost, 0u);
}

TEST(AvailabilityTest, ChangedValuesAreSeen) {
  EXPECT_EQ(Check(FakeServer::Lie::kAlter).altered, 10u);
}

TEST(AvailabilityTest, RevisionsUsedTwiceAreSeen) {
  const AvailabilityReport report = Check(FakeServer::Lie::kReuseRevision);
  EXPECT_EQ(report.reused_revisions, 10u);
  EXPECT_FALSE(report.good());
}

TEST(AvailabilityTest, RefusedWritesAreNeitherLostNorUnknown) {
  const AvailabilityReport report = Check(FakeServer::Lie::kRefuse);
  EXPECT_EQ(report.Count(WriteOutcome::kFailed), 10u);
  EXPECT_EQ(report.Count(WriteOutcome::kAcked), 90u);
  EXPECT_TRUE(report.good());
}

TEST(AvailabilityTest, WritesThatAreNotAnsweredInTimeAreUnknown) {
  const AvailabilityReport report = Check(FakeServer::Lie::kHang, 0.2);
  EXPECT_GE(report.Count(WriteOutcome::kUnknown), 10u);
  EXPECT_EQ(report.Count(WriteOutcome::kWaiting), 0u);
  EXPECT_TRUE(report.good());
}

TEST(AvailabilityTest, NobodyThereIsAFailureToRun) {
  std::uint16_t port = 0;
  {
    FakeServer fake;
    net::TestServer server(&fake);
    port = server.port();
  }
  AvailabilityOptions options;
  options.endpoints = {{"127.0.0.1", port}};
  options.seconds = 0.1;
  options.timeout_seconds = 0.1;
  const Result<AvailabilityReport> report = RunAvailability(options);
  ASSERT_FALSE(report.ok());
  EXPECT_TRUE(report.status().message().starts_with("connect: ")) << report.status().message();
}

TEST(AvailabilityTest, HistoryHoldsEveryWriteAndRead) {
  FakeServer fake;
  net::TestServer server(&fake);
  AvailabilityOptions options;
  options.endpoints = At(server);
  options.seconds = 0.1;
  options.rate = 100;
  options.timeout_seconds = 30;
  options.history_file = (std::filesystem::path(testing::TempDir()) / "availability-history.jsonl").string();
  ASSERT_TRUE(RunAvailability(options).ok());
  std::ifstream file(options.history_file);
  int puts = 0, gets = 0;
  for (std::string line; std::getline(file, line);) {
    EXPECT_NE(line.find("\"complete_ns\":"), std::string::npos);
    EXPECT_NE(line.find("\"result\":\"ok\""), std::string::npos) << line;
    ++(line.find("\"op\":\"put\"") != std::string::npos ? puts : gets);
  }
  EXPECT_EQ(puts, 10);
  EXPECT_EQ(gets, 10);
  std::filesystem::remove(options.history_file);
}

LoadReport RunAgainst(FakeServer::Lie lie, LoadKind kind) {
  FakeServer fake;
  net::TestServer server(&fake);
  server.Run([&] { fake.lie = lie; });
  LoadOptions options;
  options.endpoints = At(server);
  options.kind = kind;
  options.conns = 3;
  options.inflight = 2;
  options.keys = 100;
  options.seconds = 0.5;
  options.warmup_seconds = 0.1;
  const Result<LoadReport> report = RunLoad(options);
  EXPECT_TRUE(report.ok()) << report.status().message();
  return report.ok() ? *report : LoadReport();
}

TEST(LoadTest, AnHonestServerIsMeasured) {
  for (const LoadKind kind : {LoadKind::kPut, LoadKind::kGet}) {
    const LoadReport report = RunAgainst(FakeServer::Lie::kNone, kind);
    EXPECT_GT(report.ops, 0u);
    EXPECT_EQ(report.wrong, 0u);
    EXPECT_TRUE(report.errors.empty());
    EXPECT_LE(report.p50_ns, report.p99_ns);
    EXPECT_LE(report.p99_ns, report.max_ns);
  }
}

TEST(LoadTest, WrongAnswersAreCountedByKind) {
  EXPECT_GT(RunAgainst(FakeServer::Lie::kAlter, LoadKind::kGet).errors["wrong answer: another value"], 0u);
  EXPECT_GT(RunAgainst(FakeServer::Lie::kLose, LoadKind::kGet).errors["wrong answer: key not found"], 0u);
  EXPECT_GT(RunAgainst(FakeServer::Lie::kGoBack, LoadKind::kPut).wrong, 0u);
}

TEST(LoadTest, RefusalsAreErrorsAndNotWrong) {
  const LoadReport report = RunAgainst(FakeServer::Lie::kRefuse, LoadKind::kPut);
  EXPECT_EQ(report.wrong, 0u);
  ASSERT_EQ(report.errors.size(), 1u);
  EXPECT_EQ(report.errors.begin()->first, "code 8: etcdserver: too many requests");
}

}  // namespace
}  // namespace quorate::cli
