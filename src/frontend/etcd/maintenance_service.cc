#include "frontend/etcd/maintenance_service.h"

#include "frontend/etcd/convert.h"
#include "frontend/etcd/errors.h"

namespace quorate::frontend::etcd {

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
  reply.Send(answer);
}

void MaintenanceService::Alarm(std::string_view message, const Reply& reply) {
  etcdserverpb::AlarmRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  if (wire.action() == etcdserverpb::AlarmRequest::ACTIVATE && wire.alarm() != etcdserverpb::NONE) {
    return reply.Fail(NotAvailable("alarms cannot be raised by hand: this server does not have alarms yet"));
  }
  // No alarm is ever active, so none is listed and there is none to take back. The barrier is there because etcd's
  // clients take this call as a sign that the cluster decides.
  WhenReadable(wiring_.backend, false, reply, [this, reply] {
    etcdserverpb::AlarmResponse answer;
    FillHeader(wiring_.backend, wiring_.backend.machine().revision(), answer.mutable_header());
    reply.Send(answer);
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
  WhenReadable(wiring_.backend, false, reply, [this, reply] {
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
