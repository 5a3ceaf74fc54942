#include "frontend/etcd/maintenance_service.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "frontend/etcd/convert.h"
#include "frontend/etcd/errors.h"

namespace quorate::frontend::etcd {
namespace {

// As Go's protobuf prints the message, the space at the end included.
std::string AlarmText(const coord::Alarm& alarm) {
  std::string text = "memberID:" + std::to_string(alarm.member.value) + " ";
  if (alarm.type != coord::AlarmType::kNone) text += "alarm:" + std::string(AlarmName(alarm.type)) + " ";
  return text;
}

}  // namespace

void MaintenanceService::Status(std::string_view message, const Reply& reply) {
  etcdserverpb::StatusRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  const coord::ClusterView view = wiring_.backend.cluster();
  const coord::Machine& machine = wiring_.backend.machine();
  etcdserverpb::StatusResponse answer;
  FillHeader(wiring_.backend, machine.revision(), answer.mutable_header());
  answer.set_version(wiring_.options.server_version);
  answer.set_dbsize(static_cast<std::int64_t>(machine.size_bytes()));
  answer.set_dbsizeinuse(static_cast<std::int64_t>(machine.size_in_use_bytes()));
  answer.set_dbsizequota(wiring_.options.quota_bytes);
  answer.set_leader(view.leader.value);
  answer.set_raftterm(view.term);
  answer.set_raftindex(view.commit.value);
  answer.set_raftappliedindex(view.applied.value);
  answer.set_islearner(view.self_is_learner);
  answer.set_storageversion(wiring_.options.storage_version);
  answer.mutable_downgradeinfo();
  if (!view.leader) answer.add_errors(NoLeader().message());
  for (const coord::Alarm& alarm : machine.alarms()) answer.add_errors(AlarmText(alarm));
  reply.Send(answer);
}

void MaintenanceService::Alarm(std::string_view message, const Reply& reply) {
  etcdserverpb::AlarmRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  const auto type = static_cast<coord::AlarmType>(wire.alarm());
  const auto answer = [this, reply](Revision revision, const std::vector<coord::Alarm>& alarms) {
    etcdserverpb::AlarmResponse out;
    FillHeader(wiring_.backend, revision, out.mutable_header());
    for (const coord::Alarm& alarm : alarms) {
      etcdserverpb::AlarmMember* listed = out.add_alarms();
      listed->set_memberid(alarm.member.value);
      listed->set_alarm(static_cast<etcdserverpb::AlarmType>(alarm.type));
    }
    reply.Send(out);
  };
  const bool changes = wire.action() != etcdserverpb::AlarmRequest::GET && type != coord::AlarmType::kNone;
  if (changes) {
    coord::AlarmRequest request;
    request.activate = wire.action() == etcdserverpb::AlarmRequest::ACTIVATE;
    request.alarm = {ReplicaId(wire.memberid()), type};
    return ProposeThen(wiring_.backend, request, reply, [answer](const coord::CommandOutcome& outcome) {
      answer(outcome.revision, std::get<coord::AlarmResponse>(outcome.body).alarms);
    });
  }
  // The barrier is there because etcd's clients take this call as a sign that the cluster decides.
  const bool lists = wire.action() == etcdserverpb::AlarmRequest::GET;
  WhenReadable(wiring_.backend, false, net::AnswerSize::kSmall, reply, [this, answer, type, lists] {
    std::vector<coord::Alarm> alarms;
    for (const coord::Alarm& alarm : wiring_.backend.machine().alarms()) {
      if (lists && (type == coord::AlarmType::kNone || alarm.type == type)) alarms.push_back(alarm);
    }
    answer(wiring_.backend.machine().revision(), alarms);
  });
}

void MaintenanceService::Defragment(std::string_view message, const Reply& reply) {
  etcdserverpb::DefragmentRequest wire;
  if (ParseRequest(message, &wire, reply)) reply.Send(etcdserverpb::DefragmentResponse());
}

void MaintenanceService::MoveLeader(std::string_view message, const Reply& reply) {
  etcdserverpb::MoveLeaderRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  wiring_.backend.MoveLeader(reply.context(), ReplicaId(wire.targetid()), [reply](const quorate::Status& status) {
    if (!reply.live()) return;
    if (!status.ok()) return reply.Fail(status);
    reply.Send(etcdserverpb::MoveLeaderResponse());
  });
}

void MaintenanceService::Hash(std::string_view message, const Reply& reply) {
  etcdserverpb::HashRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  wiring_.backend.machine().ReadHash(0, [this, reply](const Result<coord::HashKv>& hash) {
    if (!hash.ok()) return reply.Fail(hash.status());
    etcdserverpb::HashResponse answer;
    FillHeader(wiring_.backend, wiring_.backend.machine().revision(), answer.mutable_header());
    answer.set_hash(hash->hash);
    reply.Send(answer);
  });
}

void MaintenanceService::HashKv(std::string_view message, const Reply& reply) {
  etcdserverpb::HashKVRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  wiring_.backend.machine().ReadHash(wire.revision(), [this, reply](const Result<coord::HashKv>& hash) {
    if (!hash.ok()) return reply.Fail(hash.status());
    etcdserverpb::HashKVResponse answer;
    FillHeader(wiring_.backend, wiring_.backend.machine().revision(), answer.mutable_header());
    answer.set_hash(hash->hash);
    answer.set_compact_revision(hash->compact_revision > 0 ? hash->compact_revision : -1);  // -1: never compacted
    answer.set_hash_revision(hash->hash_revision);
    reply.Send(answer);
  });
}

void MaintenanceService::AuthStatus(std::string_view message, const Reply& reply) {
  etcdserverpb::AuthStatusRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  WhenReadable(wiring_.backend, false, net::AnswerSize::kSmall, reply, [this, reply] {
    etcdserverpb::AuthStatusResponse answer;
    FillHeader(wiring_.backend, wiring_.backend.machine().revision(), answer.mutable_header());
    answer.set_enabled(false);
    answer.set_authrevision(1);  // etcd's, before any user or role was made
    reply.Send(answer);
  });
}

// A client that was given a user name tries this first, and goes on without a token when auth is off.
void MaintenanceService::Authenticate(std::string_view message, const Reply& reply) {
  etcdserverpb::AuthenticateRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  reply.Fail(AuthenticationNotEnabled());
}

}  // namespace quorate::frontend::etcd
