#include <gtest/gtest.h>

#include "frontend/etcd/frontend_fixture.h"

namespace quorate::frontend::etcd {
namespace {

using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmResponse;
using etcdserverpb::HashKVRequest;
using etcdserverpb::HashKVResponse;
using etcdserverpb::MemberListRequest;
using etcdserverpb::MemberListResponse;
using etcdserverpb::StatusRequest;
using etcdserverpb::StatusResponse;

class MaintenanceServiceTest : public FrontendTest {
 protected:
  StatusResponse GetStatus() { return Call<StatusResponse>("Maintenance/Status", StatusRequest()).value(); }
  Result<HashKVResponse> HashKv(Revision revision) {
    HashKVRequest request;
    request.set_revision(revision);
    return Call<HashKVResponse>("Maintenance/HashKV", request);
  }
};

TEST_F(MaintenanceServiceTest, StatusSpeaksOfThisMember) {
  Put("a", "1");
  const StatusResponse answer = GetStatus();
  EXPECT_EQ(answer.header().revision(), 2);
  EXPECT_EQ(answer.version(), "3.5.21");
  EXPECT_EQ(answer.storageversion(), "3.5.0");
  EXPECT_EQ(answer.leader(), 0xAu);
  EXPECT_EQ(answer.raftterm(), 7u);
  EXPECT_EQ(answer.raftindex(), 1u);
  EXPECT_EQ(answer.raftappliedindex(), 1u);
  EXPECT_GT(answer.dbsize(), 0);
  EXPECT_GT(answer.dbsizeinuse(), 0);
  EXPECT_EQ(answer.dbsizequota(), std::int64_t{2} << 30);
  EXPECT_FALSE(answer.islearner());
  EXPECT_EQ(answer.errors_size(), 0);
  EXPECT_EQ(backend_.barriers, 0);
}

TEST_F(MaintenanceServiceTest, StatusWithoutALeaderSaysSo) {
  backend_.view().leader = ReplicaId();
  const StatusResponse answer = GetStatus();
  EXPECT_EQ(answer.leader(), 0u);
  ASSERT_EQ(answer.errors_size(), 1);
  EXPECT_EQ(answer.errors(0), "etcdserver: no leader");
}

TEST_F(MaintenanceServiceTest, HashKvHashesUpToARevision) {
  Put("a", "1");
  const HashKVResponse before = HashKv(0).value();
  EXPECT_EQ(before.hash_revision(), 2);
  EXPECT_EQ(before.compact_revision(), -1);  // nothing was compacted
  EXPECT_EQ(before.header().revision(), 2);
  Put("b", "1");
  EXPECT_EQ(HashKv(2).value().hash(), before.hash());
  EXPECT_NE(HashKv(0).value().hash(), before.hash());
  const auto whole = Call<etcdserverpb::HashResponse>("Maintenance/Hash", etcdserverpb::HashRequest()).value();
  EXPECT_EQ(whole.hash(), HashKv(0).value().hash());
}

TEST_F(MaintenanceServiceTest, HashKvErrorsAreEtcds) {
  ExpectError(HashKv(5).status(), StatusCode::kOutOfRange, "etcdserver: mvcc: required revision is a future revision");
  Put("a", "1");
  Put("a", "2");
  Compact(3).value();
  ExpectError(HashKv(2).status(), StatusCode::kOutOfRange, "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(HashKv(0).value().compact_revision(), 3);
}

TEST_F(MaintenanceServiceTest, AlarmsAreListedRaisedAndTakenBack) {
  backend_.RaiseFeatureLevel({});
  const auto alarm = [this](AlarmRequest::AlarmAction action, std::uint64_t member, etcdserverpb::AlarmType type) {
    AlarmRequest request;
    request.set_action(action);
    request.set_memberid(member);
    request.set_alarm(type);
    return Call<AlarmResponse>("Maintenance/Alarm", request).value();
  };
  const AlarmResponse none = alarm(AlarmRequest::GET, 0, etcdserverpb::NONE);
  EXPECT_EQ(none.alarms_size(), 0);
  EXPECT_EQ(none.header().revision(), 1);
  EXPECT_EQ(backend_.barriers, 1);
  EXPECT_EQ(alarm(AlarmRequest::DEACTIVATE, 7, etcdserverpb::NOSPACE).alarms_size(), 0);
  EXPECT_EQ(alarm(AlarmRequest::ACTIVATE, 7, etcdserverpb::NONE).alarms_size(), 0);
  const AlarmResponse raised = alarm(AlarmRequest::ACTIVATE, 7, etcdserverpb::NOSPACE);
  ASSERT_EQ(raised.alarms_size(), 1);
  EXPECT_EQ(raised.alarms(0).memberid(), 7u);
  EXPECT_EQ(raised.alarms(0).alarm(), etcdserverpb::NOSPACE);
  EXPECT_EQ(alarm(AlarmRequest::GET, 0, etcdserverpb::NONE).alarms_size(), 1);
  EXPECT_EQ(alarm(AlarmRequest::GET, 0, etcdserverpb::CORRUPT).alarms_size(), 0);
  ASSERT_EQ(GetStatus().errors_size(), 1);
  EXPECT_EQ(GetStatus().errors(0), "memberID:7 alarm:NOSPACE ");
  etcdserverpb::PutRequest put;
  put.set_key("a");
  ExpectError(Call<etcdserverpb::PutResponse>("KV/Put", put).status(), StatusCode::kResourceExhausted,
              "etcdserver: mvcc: database space exceeded");
  EXPECT_EQ(alarm(AlarmRequest::DEACTIVATE, 7, etcdserverpb::NOSPACE).alarms_size(), 1);
  Put("a", "1");
}

TEST_F(MaintenanceServiceTest, DefragmentAnswersAtOnceAndMoveLeaderWhenItIsDone) {
  EXPECT_TRUE(Call<etcdserverpb::DefragmentResponse>("Maintenance/Defragment", etcdserverpb::DefragmentRequest()).ok());
  etcdserverpb::MoveLeaderRequest move;
  move.set_targetid(0xB);
  const auto moved = Call<etcdserverpb::MoveLeaderResponse>("Maintenance/MoveLeader", move).value();
  EXPECT_FALSE(moved.has_header()) << "as etcd's";
  EXPECT_EQ(backend_.moved_to, ReplicaId(0xB));
  backend_.refuse_with = Status::FailedPrecondition("etcdserver: bad leader transferee");
  ExpectError(Call<etcdserverpb::MoveLeaderResponse>("Maintenance/MoveLeader", move).status(),
              StatusCode::kFailedPrecondition, "etcdserver: bad leader transferee");
}

TEST_F(MaintenanceServiceTest, AuthIsOff) {
  const auto status =
      Call<etcdserverpb::AuthStatusResponse>("Auth/AuthStatus", etcdserverpb::AuthStatusRequest()).value();
  EXPECT_FALSE(status.enabled());
  EXPECT_EQ(status.authrevision(), 1u);
  ExpectError(
      Call<etcdserverpb::AuthenticateResponse>("Auth/Authenticate", etcdserverpb::AuthenticateRequest()).status(),
      StatusCode::kFailedPrecondition, "etcdserver: authentication is not enabled");
}

TEST_F(MaintenanceServiceTest, MemberListNamesEveryMember) {
  backend_.member_list = {
      {.id = ReplicaId(0xA), .name = "n1", .peer_urls = {"http://p1"}, .client_urls = {"http://c1", "http://c2"}},
      {.id = ReplicaId(0xB), .name = "", .peer_urls = {"http://p2"}, .client_urls = {}, .learner = true}};
  MemberListRequest request;
  const auto answer = Call<MemberListResponse>("Cluster/MemberList", request).value();
  EXPECT_EQ(answer.header().revision(), 0) << "etcd's member replies carry no revision";
  EXPECT_EQ(answer.header().member_id(), 0xAu);
  ASSERT_EQ(answer.members_size(), 2);
  EXPECT_EQ(answer.members(0).id(), 0xAu);
  EXPECT_EQ(answer.members(0).name(), "n1");
  EXPECT_EQ(answer.members(0).peerurls(0), "http://p1");
  EXPECT_EQ(answer.members(0).clienturls(1), "http://c2");
  EXPECT_FALSE(answer.members(0).islearner());
  EXPECT_TRUE(answer.members(1).islearner());
  EXPECT_EQ(backend_.barriers, 0);
  request.set_linearizable(true);
  Call<MemberListResponse>("Cluster/MemberList", request).value();
  EXPECT_EQ(backend_.barriers, 1);
}

}  // namespace
}  // namespace quorate::frontend::etcd
