#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "frontend/etcd/frontend_fixture.h"

namespace quorate::frontend::etcd {
namespace {

class HttpEndpointsTest : public FrontendTest {
 protected:
  net::HttpResponse Get(const std::string& target, const std::string& method = "GET") {
    std::optional<net::HttpResponse> answer;
    frontend_.Handle({.method = method, .target = target, .body = ""}, [&](net::HttpResponse response) {
      EXPECT_FALSE(answer.has_value());
      answer = std::move(response);
    });
    executor_.RunReady();
    return answer.value();
  }
};

TEST_F(HttpEndpointsTest, HealthAsksTheCluster) {
  const net::HttpResponse answer = Get("/health");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"health":"true","reason":""})");
  EXPECT_EQ(backend_.barriers, 1);
  EXPECT_EQ(Get("/health?exclude=NOSPACE").status, 200);
}

TEST_F(HttpEndpointsTest, HealthWithoutALeaderOrAnAnswerIs503WithTheReason) {
  backend_.refuse_with = Status::Unavailable("etcdserver: request timed out");
  net::HttpResponse answer = Get("/health");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body, "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: request timed out\"}\n");
  backend_.view().leader = ReplicaId();
  answer = Get("/health?serializable=false");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n");
}

TEST_F(HttpEndpointsTest, SerializableHealthIsThisMembersAlone) {
  backend_.view().leader = ReplicaId();
  EXPECT_EQ(Get("/health?serializable=true").status, 200);
  EXPECT_EQ(Get("/health?exclude=NOSPACE&serializable=true").status, 200);
  EXPECT_EQ(backend_.barriers, 0);
}

TEST_F(HttpEndpointsTest, VersionIsEtcds) {
  const net::HttpResponse answer = Get("/version");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(answer.body, R"({"etcdserver":"3.5.21","etcdcluster":"3.5.0"})");
}

TEST_F(HttpEndpointsTest, OtherPathsAndMethodsAreRefused) {
  EXPECT_EQ(Get("/").status, 404);
  EXPECT_EQ(Get("/healthy").status, 404);
  EXPECT_EQ(Get("").status, 404);
  EXPECT_EQ(Get("/v3/kv/range", "POST").status, 404);
  EXPECT_EQ(Get("/health", "POST").status, 405);
  EXPECT_EQ(Get("/version", "PUT").status, 405);
}

}  // namespace
}  // namespace quorate::frontend::etcd
