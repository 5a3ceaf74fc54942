#include "server/config.h"

#include <gtest/gtest.h>

#include <string>

#include "server/data_directory.h"
#include "server/join.h"

namespace quorate::server {
namespace {

ServeFlags Three(const std::string& name) {
  ServeFlags flags;
  flags.name = name;
  flags.initial_cluster = "n1=127.0.0.1:1001,n2=127.0.0.1:1002,n3=127.0.0.1:1003";
  return flags;
}

TEST(ServeConfigTest, WithoutFlagsItIsALoneServerOnEtcdsPort) {
  const Result<ServeConfig> config = Validate({});
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->listen_etcd.ToString(), "127.0.0.1:2379");
  EXPECT_EQ(config->listen_admin.ToString(), "127.0.0.1:7070");
  EXPECT_EQ(config->listen_peer.port, 0);
  EXPECT_EQ(config->members.size(), 1u);
}

TEST(ServeConfigTest, OnceAListenerIsNamedOnlyThoseNamedAreOpened) {
  ServeFlags flags;
  flags.listen_etcd = "127.0.0.1:5";
  EXPECT_EQ(Validate(flags)->listen_admin.port, 0);
}

TEST(ServeConfigTest, EveryMemberComputesTheSameIdsAndATokenKeepsClustersApart) {
  const Result<ServeConfig> one = Validate(Three("n1"));
  const Result<ServeConfig> two = Validate(Three("n2"));
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(one->members, two->members);
  EXPECT_EQ(MakeClusterId(one->members, one->token), MakeClusterId(two->members, two->token));
  EXPECT_NE(MakeClusterId(one->members, "a"), MakeClusterId(one->members, "b"));
  EXPECT_EQ(one->listen_peer.port, 1001);
}

TEST(ServeConfigTest, EachMistakeNamesItsFlag) {
  struct Case {
    std::string ServeFlags::*field;
    const char* value;
    const char* flag;
  };
  const Case cases[] = {
      {&ServeFlags::protocol, "vsr", "--protocol"},
      {&ServeFlags::listen_etcd, "2379", "--listen-etcd"},
      {&ServeFlags::listen_etcd, "0.0.0.0:2379", "--advertise-etcd"},
      {&ServeFlags::listen_etcd, "https://127.0.0.1:2379", "--listen-etcd"},
      {&ServeFlags::listen_admin, "127.0.0.1:70000", "--listen-admin"},
      {&ServeFlags::initial_cluster, "n1", "--initial-cluster"},
      {&ServeFlags::initial_cluster, "n1=127.0.0.1:1,n2=127.0.0.1:1", "--initial-cluster"},
      {&ServeFlags::initial_cluster, "n1=0.0.0.0:1", "--initial-cluster"},
      {&ServeFlags::name, "", "--name"},
  };
  for (const Case& mistake : cases) {
    ServeFlags flags;
    flags.*mistake.field = mistake.value;
    const Status status = Validate(flags).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << mistake.value;
    EXPECT_NE(status.message().find(mistake.flag), std::string::npos) << status.message();
  }
}

TEST(DataDirectoryTest, TheClusterFileRoundTripsAndNoFlippedBitIsBelieved) {
  const Result<ServeConfig> config = Validate(Three("n1"));
  const std::string file = EncodeClusterFile(
      {config->token, config->members, 77, true, config->cluster, config->self, config->initial_voters});
  const Result<ClusterFile> back = DecodeClusterFile(file);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->members, config->members);
  EXPECT_EQ(back->directory, 77u);
  EXPECT_TRUE(back->log_exists);
  EXPECT_EQ(back->cluster, MakeClusterId(config->members, config->token));
  EXPECT_EQ(back->self, config->self);
  EXPECT_EQ(back->initial_voters.size(), 3u);
  for (std::size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_EQ(DecodeClusterFile(damaged).status().code(), StatusCode::kDataLoss) << i;
    EXPECT_FALSE(DecodeClusterFile(file.substr(0, i)).ok()) << i;
  }
}

TEST(ServeConfigTest, AJoinerAsksTheOthersAndIsNobodyYet) {
  ServeFlags flags;
  flags.name = "n4";
  flags.initial_cluster = "n1=127.0.0.1:1001,127.0.0.1:1002,n4=127.0.0.1:1004";
  flags.initial_cluster_state = "existing";
  const Result<ServeConfig> config = Validate(flags);
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_EQ(config->join.size(), 2u);
  EXPECT_EQ(config->join[1].port, 1002);
  EXPECT_EQ(config->advertise_peer.port, 1004);
  EXPECT_EQ(config->listen_peer.port, 1004);
  EXPECT_FALSE(config->cluster);
  flags.initial_cluster = "n1=127.0.0.1:1001";
  EXPECT_EQ(Validate(flags).status().code(), StatusCode::kInvalidArgument) << "nobody could reach it";
  flags.listen_peer = "127.0.0.1:1004";
  EXPECT_TRUE(Validate(flags).ok());
  flags.initial_cluster = "";
  EXPECT_EQ(Validate(flags).status().code(), StatusCode::kInvalidArgument);
  flags.initial_cluster_state = "old";
  EXPECT_EQ(Validate(flags).status().code(), StatusCode::kInvalidArgument);
}

TEST(ServeConfigTest, TheQuotaIsEtcds) {
  ServeFlags flags;
  EXPECT_EQ(Validate(flags)->quota_bytes, std::int64_t{2} << 30);
  flags.quota_backend_bytes = "0";
  EXPECT_EQ(Validate(flags)->quota_bytes, std::int64_t{2} << 30);
  flags.quota_backend_bytes = "-1";
  EXPECT_EQ(Validate(flags)->quota_bytes, 0);
  flags.quota_backend_bytes = "4096";
  EXPECT_EQ(Validate(flags)->quota_bytes, 4096);
  flags.quota_backend_bytes = "4k";
  EXPECT_EQ(Validate(flags).status().code(), StatusCode::kInvalidArgument);
}

JoinHost HostOfThree() {
  return {ClusterId(7),
          "token",
          "raft",
          2,
          {{ReplicaId(1), "n1", {"http://127.0.0.1:1001"}, {}, false},
           {ReplicaId(4), "", {"http://127.0.0.1:1004"}, {}, true}}};
}

JoinRequest Question(const char* name, std::uint16_t port, const char* protocol = "raft", std::uint32_t level = 2) {
  JoinRequest request;
  request.name = name;
  request.peer.host = "127.0.0.1";
  request.peer.port = port;
  request.protocol = protocol;
  request.feature_level = level;
  return request;
}

TEST(JoinTest, WhoIsInTheTableIsToldWhoItIs) {
  const JoinAnswer answer = AnswerJoin(Question("n4", 1004), HostOfThree());
  EXPECT_EQ(answer.refusal, "");
  const std::optional<JoinAnswer> back = DecodeJoinAnswer(EncodeJoinAnswer(answer));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->self, ReplicaId(4));
  EXPECT_EQ(back->cluster, ClusterId(7));
  EXPECT_EQ(back->token, "token");
  ASSERT_EQ(back->members.size(), 2u);
  EXPECT_EQ(back->members[0].peer.ToString(), "127.0.0.1:1001");
}

TEST(JoinTest, EveryRefusalSaysWhatToDo) {
  const auto refusal = [](const JoinRequest& request) { return AnswerJoin(request, HostOfThree()).refusal; };
  EXPECT_EQ(refusal(Question("n5", 1005)),
            "you are not a member: run quorate member add n5 --peer 127.0.0.1:1005 first");
  EXPECT_NE(refusal(Question("n1", 1001)).find("quorate member replace n1"), std::string::npos);
  EXPECT_NE(refusal(Question("n4", 1004, "zab")).find("--protocol raft"), std::string::npos);
  EXPECT_NE(refusal(Question("n4", 1004, "raft", 1)).find("feature level 2"), std::string::npos);
}

TEST(JoinTest, QuestionsRoundTripAndGarbageIsNone) {
  const std::string wire = EncodeJoinRequest(Question("n4", 1004));
  EXPECT_EQ(DecodeJoinRequest(wire)->peer.ToString(), "127.0.0.1:1004");
  for (std::size_t size = 0; size < wire.size(); ++size) {
    EXPECT_FALSE(DecodeJoinRequest(std::string_view(wire).substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(DecodeJoinAnswer("garbage").has_value());
}

TEST(DataDirectoryTest, ThePeersFileRoundTrips) {
  const PeerDirectories peers{{ReplicaId(1), 10}, {ReplicaId(2), 20}};
  EXPECT_EQ(*DecodePeersFile(EncodePeersFile(peers)), peers);
  EXPECT_FALSE(DecodePeersFile("").ok());
}

}  // namespace
}  // namespace quorate::server
