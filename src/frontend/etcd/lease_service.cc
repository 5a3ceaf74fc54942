#include "frontend/etcd/lease_service.h"

#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "frontend/etcd/convert.h"
#include "frontend/etcd/errors.h"

namespace quorate::frontend::etcd {
namespace {

// One stream renews any number of leases; each message is one renewal, proposed at once, so the log batches them.
class KeepAliveStream final : public net::CallHandler, public LeaderDependent {
 public:
  KeepAliveStream(const Wiring& wiring, LeaderMonitor& leader_monitor, net::ServerCall& call)
      : wiring_(wiring), leader_monitor_(leader_monitor), call_(std::make_shared<net::ServerCall*>(&call)) {
    if (LeaderMonitor::Requires(call)) leader_monitor_.Add(this);
  }
  ~KeepAliveStream() override { Close(); }

  void OnMessage(std::string_view message) override {
    if (!open()) return;
    etcdserverpb::LeaseKeepAliveRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return End(MalformedRequest(request.GetTypeName()));
    }
    if (in_flight_ >= wiring_.options.keep_alives_per_stream) return End(TooManyRequests());
    Renew(request.id());
  }
  void OnHalfClose() override {
    half_closed_ = true;
    EndWhenAnswered();
  }
  void OnDone() override { Close(); }
  void OnNoLeader() override { End(NoLeader()); }

 private:
  bool open() const { return *call_ != nullptr; }
  void Close() {
    *call_ = nullptr;
    leader_monitor_.Remove(this);
  }
  void End(const Status& status) {
    net::ServerCall* call = *call_;
    Close();
    if (call != nullptr) call->Finish(status);
  }
  void EndWhenAnswered() {
    if (half_closed_ && in_flight_ == 0 && open()) End(Status::Ok());
  }

  void Renew(std::int64_t id) {
    // The header is made before the renewal: a lease revoked at revision 3 must not be seen alive at revision 4.
    etcdserverpb::LeaseKeepAliveResponse response;
    FillHeader(wiring_.backend, wiring_.backend.machine().revision(), response.mutable_header());
    response.set_id(id);
    ++in_flight_;
    // `call` outlives the stream, which may be gone by the time of the answer.
    wiring_.backend.Propose(
        {}, coord::Command{.envelope = {}, .body = coord::LeaseRenewRequest{.id = id}},
        [this, call = call_, response = std::move(response)](const Result<coord::CommandOutcome>& outcome) mutable {
          if (*call == nullptr) return;
          --in_flight_;
          Answer(outcome, std::move(response));
        });
  }

  void Answer(const Result<coord::CommandOutcome>& outcome, etcdserverpb::LeaseKeepAliveResponse response) {
    if (!outcome.ok()) return End(outcome.status());
    const bool missing = outcome->status.code() == StatusCode::kNotFound;
    if (!missing && !outcome->status.ok()) return End(outcome->status);
    if (!missing) response.set_ttl(std::get<coord::LeaseRenewResponse>(outcome->body).ttl);
    (*call_)->Send(response.SerializeAsString());
    EndWhenAnswered();
  }

  const Wiring& wiring_;
  LeaderMonitor& leader_monitor_;
  std::shared_ptr<net::ServerCall*> call_;  // the pointer is null once the call is over
  std::size_t in_flight_ = 0;
  bool half_closed_ = false;
};

}  // namespace

std::int64_t LeaseService::ChooseId() {
  for (;;) {
    const auto id = static_cast<std::int64_t>(wiring_.random.Next() &
                                              static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    if (id != 0 && !wiring_.backend.machine().Lease(id, false).has_value()) return id;
  }
}

void LeaseService::Grant(std::string_view message, const Reply& reply) {
  etcdserverpb::LeaseGrantRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  const coord::LeaseGrantRequest request{.id = wire.id() != 0 ? wire.id() : ChooseId(), .ttl = wire.ttl()};
  ProposeThen(wiring_.backend, request, reply, [this, reply](const coord::CommandOutcome& outcome) {
    const auto& granted = std::get<coord::LeaseGrantResponse>(outcome.body);
    etcdserverpb::LeaseGrantResponse answer;
    FillHeader(wiring_.backend, outcome.revision, answer.mutable_header());
    answer.set_id(granted.id);
    answer.set_ttl(granted.ttl);
    reply.Send(answer);
  });
}

void LeaseService::Revoke(std::string_view message, const Reply& reply) {
  etcdserverpb::LeaseRevokeRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  ProposeThen(wiring_.backend, coord::LeaseRevokeRequest{.id = wire.id()}, reply,
              [this, reply](const coord::CommandOutcome& outcome) {
                etcdserverpb::LeaseRevokeResponse answer;
                FillHeader(wiring_.backend, outcome.revision, answer.mutable_header());
                reply.Send(answer);
              });
}

void LeaseService::TimeToLive(std::string_view message, const Reply& reply) {
  etcdserverpb::LeaseTimeToLiveRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  WhenReadable(wiring_.backend, false, net::AnswerSize::kSmall, reply,
               [this, reply, id = wire.id(), with_keys = wire.keys()] {
                 const coord::Machine& machine = wiring_.backend.machine();
                 etcdserverpb::LeaseTimeToLiveResponse answer;
                 FillHeader(wiring_.backend, machine.revision(), answer.mutable_header());
                 answer.set_id(id);
                 std::optional<coord::LeaseInfo> lease = machine.Lease(id, with_keys);
                 if (lease.has_value()) {
                   answer.set_ttl(lease->remaining_ttl);
                   answer.set_grantedttl(lease->granted_ttl);
                   for (std::string& key : lease->keys) answer.add_keys(std::move(key));
                 } else {
                   answer.set_ttl(-1);
                 }
                 reply.Send(answer);
               });
}

void LeaseService::Leases(std::string_view message, const Reply& reply) {
  etcdserverpb::LeaseLeasesRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  WhenReadable(wiring_.backend, false, net::AnswerSize::kSmall, reply, [this, reply] {
    const coord::Machine& machine = wiring_.backend.machine();
    etcdserverpb::LeaseLeasesResponse answer;
    FillHeader(wiring_.backend, machine.revision(), answer.mutable_header());
    for (const std::int64_t id : machine.Leases()) answer.add_leases()->set_id(id);
    reply.Send(answer);
  });
}

std::unique_ptr<net::CallHandler> LeaseService::OpenKeepAlive(net::ServerCall& call) {
  return std::make_unique<KeepAliveStream>(wiring_, leader_monitor_, call);
}

}  // namespace quorate::frontend::etcd
