#include <gtest/gtest.h>

#include "frontend/etcd/frontend_fixture.h"
#include "quorate/cluster.pb.h"

namespace quorate::frontend::etcd {
namespace {

using etcdserverpb::MemberAddRequest;
using etcdserverpb::MemberAddResponse;

class ClusterServiceTest : public FrontendTest {
 protected:
  ClusterServiceTest() { backend_.RaiseFeatureLevel({{ReplicaId(0xA), "n1", {"http://p1:1"}}}); }

  Result<MemberAddResponse> Add(const std::string& url, bool learner = false) {
    MemberAddRequest request;
    request.add_peerurls(url);
    request.set_islearner(learner);
    return Call<MemberAddResponse>("Cluster/MemberAdd", request);
  }
  template <class Request, class Answer>
  Result<Answer> WithId(const std::string& method, std::uint64_t id) {
    Request request;
    request.set_id(id);
    return Call<Answer>(method, request);
  }
};

TEST_F(ClusterServiceTest, AnAddedMemberGetsAnIdAndIsListedUnstarted) {
  const MemberAddResponse answer = Add("http://p2:1").value();
  EXPECT_EQ(answer.header().revision(), 0);
  EXPECT_NE(answer.member().id(), 0u);
  EXPECT_EQ(answer.member().name(), "");
  EXPECT_EQ(answer.member().peerurls(0), "http://p2:1");
  EXPECT_FALSE(answer.member().islearner());
  EXPECT_EQ(answer.members_size(), 2);
  ExpectError(Add("http://p1:1", true).status(), StatusCode::kFailedPrecondition,
              "etcdserver: Peer URLs already exists");
}

TEST_F(ClusterServiceTest, PeerUrlsAreChecked) {
  for (const char* url : {"", "p2:1", "http://p2", "http://p2:", "http://:1", "http://p2:1/path", "ftp://p2:1",
                          "https://p2:1", "http://p2:123456"}) {
    ExpectError(Add(url).status(), StatusCode::kInvalidArgument, "etcdserver: given member URLs are invalid");
  }
  ExpectError(Call<MemberAddResponse>("Cluster/MemberAdd", MemberAddRequest()).status(), StatusCode::kInvalidArgument,
              "etcdserver: given member URLs are invalid");
  EXPECT_TRUE(Add("http://[::1]:2380").ok());
}

TEST_F(ClusterServiceTest, RemoveUpdateAndPromoteAnswerWithTheMembers) {
  const std::uint64_t learner = Add("http://p2:1", true).value().member().id();
  ExpectError(
      WithId<etcdserverpb::MemberPromoteRequest, etcdserverpb::MemberPromoteResponse>("Cluster/MemberPromote", learner)
          .status(),
      StatusCode::kFailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader");
  etcdserverpb::MemberUpdateRequest update;
  update.set_id(learner);
  update.add_peerurls("http://p3:1");
  const auto updated = Call<etcdserverpb::MemberUpdateResponse>("Cluster/MemberUpdate", update).value();
  ASSERT_EQ(updated.members_size(), 2);
  const auto removed =
      WithId<etcdserverpb::MemberRemoveRequest, etcdserverpb::MemberRemoveResponse>("Cluster/MemberRemove", learner)
          .value();
  EXPECT_EQ(removed.members_size(), 1);
  ExpectError(
      WithId<etcdserverpb::MemberRemoveRequest, etcdserverpb::MemberRemoveResponse>("Cluster/MemberRemove", learner)
          .status(),
      StatusCode::kNotFound, "etcdserver: member not found");
  ExpectError(WithId<etcdserverpb::MemberRemoveRequest, etcdserverpb::MemberRemoveResponse>("Cluster/MemberRemove", 0xA)
                  .status(),
              StatusCode::kFailedPrecondition, "etcdserver: re-configuration failed due to not enough started members");
}

TEST_F(ClusterServiceTest, ReplacingIsQuoratesOwnMethod) {
  const std::uint64_t old = Add("http://p2:1").value().member().id();
  quoratepb::MemberReplaceRequest request;
  request.set_old_id(old);
  request.add_peer_urls("http://p2:1");
  FakeCall call;
  const std::unique_ptr<net::CallHandler> handler = frontend_.Open("/quoratepb.Cluster/MemberReplace", call);
  ASSERT_NE(handler, nullptr);
  handler->OnMessage(request.SerializeAsString());
  executor_.RunReady();
  ASSERT_TRUE(call.finished.has_value() && call.finished->ok());
  MemberAddResponse answer;
  ASSERT_TRUE(answer.ParseFromString(call.sent.front()));
  EXPECT_NE(answer.member().id(), old);
  EXPECT_EQ(answer.members_size(), 2);
  EXPECT_TRUE(frontend_.HasService("quoratepb.Cluster"));
  handler->OnDone();
}

TEST_F(ClusterServiceTest, ALearnerRefuses) {
  backend_.view().self_is_learner = true;
  ExpectError(Add("http://p2:1").status(), StatusCode::kFailedPrecondition,
              "etcdserver: rpc not supported for learner");
}

}  // namespace
}  // namespace quorate::frontend::etcd
