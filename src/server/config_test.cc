#include "server/config.h"

#include <gtest/gtest.h>

#include <string>

#include "server/data_directory.h"

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
  const std::string file = EncodeClusterFile({config->token, config->members, 77, true});
  const Result<ClusterFile> back = DecodeClusterFile(file);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->members, config->members);
  EXPECT_EQ(back->directory, 77u);
  EXPECT_TRUE(back->log_exists);
  for (std::size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_EQ(DecodeClusterFile(damaged).status().code(), StatusCode::kDataLoss) << i;
    EXPECT_FALSE(DecodeClusterFile(file.substr(0, i)).ok()) << i;
  }
}

TEST(DataDirectoryTest, ThePeersFileRoundTrips) {
  const PeerDirectories peers{{ReplicaId(1), 10}, {ReplicaId(2), 20}};
  EXPECT_EQ(*DecodePeersFile(EncodePeersFile(peers)), peers);
  EXPECT_FALSE(DecodePeersFile("").ok());
}

}  // namespace
}  // namespace quorate::server
