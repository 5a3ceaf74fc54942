#include "client/etcd_client.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "base/check.h"
#include "net/grpc_client.h"
#include "net/reactor.h"

namespace quorate::client {
namespace {

using net::ChannelState;
using net::Reactor;

constexpr std::uint64_t kPauseBetweenRoundsNs = 100'000'000;  // when no member answers
constexpr std::uint64_t kLongestWaitNs = 1'000'000'000;       // a wait without limit must not overflow the clock
constexpr std::uint64_t kNoLimit = UINT64_MAX;

Result<Endpoint> ParseEndpoint(std::string_view text) {
  const std::string whole(text);
  if (text.starts_with("https://")) return Status::InvalidArgument("endpoint \"" + whole + "\": TLS is not supported");
  if (text.starts_with("http://")) text.remove_prefix(7);
  while (text.ends_with('/')) text.remove_suffix(1);
  const std::size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, std::min(colon, text.size()));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Endpoint endpoint{std::string(host), 0};
  if (colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (error != std::errc() || end != port.data() + port.size()) endpoint.port = 0;
  }
  if (host.empty() || endpoint.port == 0) {
    return Status::InvalidArgument("endpoint \"" + whole + "\": expected host:port");
  }
  return endpoint;
}

// One call's collected answer.
struct Collector : net::ClientCallHandler {
  void OnMessage(std::string_view message) override {
    answer.assign(message);
    ++messages;
  }
  void OnDone(const net::CallEnd& ended) override {
    end = ended;
    done = true;
  }
  std::string answer;
  int messages = 0;
  net::CallEnd end;
  bool done = false;
};

struct WatchCollector : net::ClientCallHandler {
  explicit WatchCollector(std::function<void(std::string_view)> message) : on_message(std::move(message)) {}
  void OnMessage(std::string_view message) override { on_message(message); }
  void OnDone(const net::CallEnd& ended) override {
    end = ended;
    done = true;
  }
  std::function<void(std::string_view)> on_message;
  net::CallEnd end;
  bool done = false;
};

}  // namespace

std::string Endpoint::ToString() const {
  return (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<std::vector<Endpoint>> ParseEndpoints(std::string_view list) {
  std::vector<Endpoint> endpoints;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    Result<Endpoint> endpoint = ParseEndpoint(list.substr(0, comma));
    if (!endpoint.ok()) return endpoint.status();
    endpoints.push_back(std::move(endpoint).value());
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  if (endpoints.empty()) return Status::InvalidArgument("no endpoint given: expected host:port,...");
  return endpoints;
}

class EtcdClient::Impl {
 public:
  Impl(std::vector<Endpoint> endpoints, ClientOptions options)
      : endpoints_(std::move(endpoints)), options_(options), reactor_(context_) {
    CHECK(!endpoints_.empty());
  }

  const Endpoint& current() const { return endpoints_[current_]; }
  const ClientOptions& options() const { return options_; }
  net::GrpcChannel& channel() { return *channel_; }

  template <class Condition>
  bool RunUntil(std::uint64_t limit_ns, Condition condition) {
    while (!condition()) {
      const std::uint64_t now = Reactor::NowNs();
      if (now >= limit_ns) return false;
      context_.restart();
      context_.run_one_for(std::chrono::nanoseconds(std::min(limit_ns - now, kLongestWaitNs)));
    }
    return true;
  }

  void NextEndpoint() {
    channel_ = nullptr;
    current_ = (current_ + 1) % endpoints_.size();
  }

  // A ready channel to some member, each tried at most once; the last failure otherwise.
  Status Connect(std::uint64_t limit_ns) {
    Status last = Status::Unavailable("no time left to connect to " + current().ToString());
    for (std::size_t tried = 0; tried < endpoints_.size(); ++tried) {
      if (channel_ != nullptr && channel_->state() == ChannelState::kReady) return Status::Ok();
      last = ConnectOne(limit_ns);
      if (last.ok()) return last;
      NextEndpoint();
    }
    return last;
  }

  // Waits a little before every member is tried again.
  bool Pause(std::uint64_t limit_ns) {
    const std::uint64_t until = Reactor::NowNs() + kPauseBetweenRoundsNs;
    if (until >= limit_ns) return false;
    RunUntil(until, [] { return false; });
    return true;
  }

 private:
  Status ConnectOne(std::uint64_t limit_ns) {
    const std::uint64_t now = Reactor::NowNs();
    if (now >= limit_ns) return Status::Unavailable("connect: " + current().ToString() + ": timed out");
    net::ChannelOptions options;
    options.connect_timeout_ns = std::min(options_.connect_timeout_ns, limit_ns - now);
    Status failure;
    channel_ = std::make_unique<net::GrpcChannel>(reactor_, options, [this](ChannelState state, const Status& why) {
      if (state == ChannelState::kClosed) closed_because_ = why;
    });
    channel_->Connect(current().host, current().port);
    const bool settled = RunUntil(limit_ns, [&] { return channel_->state() != ChannelState::kConnecting; });
    if (channel_->state() == ChannelState::kReady) return Status::Ok();
    return settled && !closed_because_.ok() ? closed_because_
                                            : Status::Unavailable("connect: " + current().ToString() + ": timed out");
  }

  const std::vector<Endpoint> endpoints_;
  const ClientOptions options_;
  boost::asio::io_context context_{1};
  Reactor reactor_;
  std::size_t current_ = 0;
  Status closed_because_;
  std::unique_ptr<net::GrpcChannel> channel_;
};

EtcdClient::EtcdClient(std::vector<Endpoint> endpoints, ClientOptions options)
    : impl_(std::make_unique<Impl>(std::move(endpoints), options)) {}
EtcdClient::~EtcdClient() = default;

const Endpoint& EtcdClient::current() const {
  return impl_->current();
}

Status EtcdClient::Invoke(std::string_view path, const google::protobuf::MessageLite& request,
                          google::protobuf::MessageLite* response, Effect effect) {
  const std::uint64_t limit = Reactor::NowNs() + impl_->options().timeout_ns;
  const std::string bytes = request.SerializeAsString();
  for (;;) {
    RETURN_IF_ERROR(impl_->Connect(limit));
    Collector call;
    const std::uint64_t now = Reactor::NowNs();
    if (now >= limit) return {StatusCode::kDeadlineExceeded, "context deadline exceeded"};
    if (impl_->channel().Unary(path, bytes, &call, limit - now) == nullptr) {
      impl_->NextEndpoint();
      continue;
    }
    // The call's own deadline ends it; there is no other way out, so that `call` outlives it.
    impl_->RunUntil(kNoLimit, [&] { return call.done; });
    if (call.end.status.ok()) {
      if (call.messages != 1 || !response->ParseFromString(call.answer)) {
        return Status::Internal(impl_->current().ToString() + " sent an answer that cannot be read");
      }
      return Status::Ok();
    }
    const bool lost = impl_->channel().state() != ChannelState::kReady;
    if (!lost) return call.end.status;
    impl_->NextEndpoint();
    if (!call.end.may_have_run || effect == Effect::kRead) continue;
    return Status(call.end.status.code(),
                  call.end.status.message() + " (it is unknown whether the request took effect)");
  }
}

Result<etcdserverpb::RangeResponse> EtcdClient::Range(const etcdserverpb::RangeRequest& request) {
  etcdserverpb::RangeResponse response;
  RETURN_IF_ERROR(Invoke(path::kRange, request, &response, Effect::kRead));
  return response;
}

Result<etcdserverpb::PutResponse> EtcdClient::Put(const etcdserverpb::PutRequest& request) {
  etcdserverpb::PutResponse response;
  RETURN_IF_ERROR(Invoke(path::kPut, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::DeleteRangeResponse> EtcdClient::DeleteRange(const etcdserverpb::DeleteRangeRequest& request) {
  etcdserverpb::DeleteRangeResponse response;
  RETURN_IF_ERROR(Invoke(path::kDeleteRange, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::TxnResponse> EtcdClient::Txn(const etcdserverpb::TxnRequest& request) {
  etcdserverpb::TxnResponse response;
  RETURN_IF_ERROR(Invoke(path::kTxn, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::CompactionResponse> EtcdClient::Compact(const etcdserverpb::CompactionRequest& request) {
  etcdserverpb::CompactionResponse response;
  RETURN_IF_ERROR(Invoke(path::kCompact, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::LeaseGrantResponse> EtcdClient::LeaseGrant(const etcdserverpb::LeaseGrantRequest& request) {
  etcdserverpb::LeaseGrantResponse response;
  RETURN_IF_ERROR(Invoke(path::kLeaseGrant, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::LeaseRevokeResponse> EtcdClient::LeaseRevoke(const etcdserverpb::LeaseRevokeRequest& request) {
  etcdserverpb::LeaseRevokeResponse response;
  RETURN_IF_ERROR(Invoke(path::kLeaseRevoke, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::LeaseKeepAliveResponse> EtcdClient::LeaseKeepAliveOnce(std::int64_t lease) {
  // The method is a stream; one request and the end of the stream make it a single renewal. To repeat one is harmless.
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(lease);
  etcdserverpb::LeaseKeepAliveResponse response;
  RETURN_IF_ERROR(Invoke(path::kLeaseKeepAlive, request, &response, Effect::kRead));
  return response;
}

Result<etcdserverpb::LeaseTimeToLiveResponse> EtcdClient::LeaseTimeToLive(
    const etcdserverpb::LeaseTimeToLiveRequest& request) {
  etcdserverpb::LeaseTimeToLiveResponse response;
  RETURN_IF_ERROR(Invoke(path::kLeaseTimeToLive, request, &response, Effect::kRead));
  return response;
}

Result<etcdserverpb::LeaseLeasesResponse> EtcdClient::LeaseLeases() {
  etcdserverpb::LeaseLeasesResponse response;
  RETURN_IF_ERROR(Invoke(path::kLeaseLeases, etcdserverpb::LeaseLeasesRequest(), &response, Effect::kRead));
  return response;
}

Result<etcdserverpb::MemberListResponse> EtcdClient::MemberList(const etcdserverpb::MemberListRequest& request) {
  etcdserverpb::MemberListResponse response;
  RETURN_IF_ERROR(Invoke(path::kMemberList, request, &response, Effect::kRead));
  return response;
}

Result<etcdserverpb::StatusResponse> EtcdClient::MemberStatus() {
  etcdserverpb::StatusResponse response;
  RETURN_IF_ERROR(Invoke(path::kStatus, etcdserverpb::StatusRequest(), &response, Effect::kRead));
  return response;
}

Result<etcdserverpb::HashKVResponse> EtcdClient::HashKv(const etcdserverpb::HashKVRequest& request) {
  etcdserverpb::HashKVResponse response;
  RETURN_IF_ERROR(Invoke(path::kHashKv, request, &response, Effect::kRead));
  return response;
}

Result<etcdserverpb::AlarmResponse> EtcdClient::Alarm(const etcdserverpb::AlarmRequest& request) {
  const bool read = request.action() == etcdserverpb::AlarmRequest::GET;
  etcdserverpb::AlarmResponse response;
  RETURN_IF_ERROR(Invoke(path::kAlarm, request, &response, read ? Effect::kRead : Effect::kWrite));
  return response;
}

Result<etcdserverpb::MemberAddResponse> EtcdClient::MemberAdd(const etcdserverpb::MemberAddRequest& request) {
  etcdserverpb::MemberAddResponse response;
  RETURN_IF_ERROR(Invoke(path::kMemberAdd, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::MemberRemoveResponse> EtcdClient::MemberRemove(const etcdserverpb::MemberRemoveRequest& request) {
  etcdserverpb::MemberRemoveResponse response;
  RETURN_IF_ERROR(Invoke(path::kMemberRemove, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::MemberUpdateResponse> EtcdClient::MemberUpdate(const etcdserverpb::MemberUpdateRequest& request) {
  etcdserverpb::MemberUpdateResponse response;
  RETURN_IF_ERROR(Invoke(path::kMemberUpdate, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::MemberPromoteResponse> EtcdClient::MemberPromote(
    const etcdserverpb::MemberPromoteRequest& request) {
  etcdserverpb::MemberPromoteResponse response;
  RETURN_IF_ERROR(Invoke(path::kMemberPromote, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::MemberAddResponse> EtcdClient::MemberReplace(const quoratepb::MemberReplaceRequest& request) {
  etcdserverpb::MemberAddResponse response;
  RETURN_IF_ERROR(Invoke(path::kMemberReplace, request, &response, Effect::kWrite));
  return response;
}

Result<etcdserverpb::MoveLeaderResponse> EtcdClient::MoveLeader(const etcdserverpb::MoveLeaderRequest& request) {
  etcdserverpb::MoveLeaderResponse response;
  RETURN_IF_ERROR(Invoke(path::kMoveLeader, request, &response, Effect::kWrite));
  return response;
}

Status EtcdClient::Watch(const etcdserverpb::WatchCreateRequest& create,
                         const std::function<bool(const etcdserverpb::WatchResponse&)>& on_response) {
  etcdserverpb::WatchRequest request;
  *request.mutable_create_request() = create;
  std::optional<Status> verdict;
  std::uint64_t limit = Reactor::NowNs() + impl_->options().timeout_ns;
  // The revision to go on from: one that a reply in several fragments is not finished with is asked for again only
  // after its last fragment.
  auto on_message = [&](std::string_view message) {
    if (verdict) return;
    etcdserverpb::WatchResponse response;
    if (!response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      verdict = Status::Internal(impl_->current().ToString() + " sent a watch response that cannot be read");
      return;
    }
    limit = Reactor::NowNs() + impl_->options().timeout_ns;
    std::int64_t seen = 0;
    if (response.events_size() > 0) {
      seen = response.events(response.events_size() - 1).kv().mod_revision();
    } else if (request.create_request().start_revision() == 0 && response.created()) {
      seen = response.header().revision();
    }
    if (seen != 0 && !response.fragment()) request.mutable_create_request()->set_start_revision(seen + 1);
    if (!on_response(response)) {
      verdict = Status::Ok();
    } else if (response.canceled()) {
      verdict = response.compact_revision() != 0
                    ? Status::OutOfRange("etcdserver: mvcc: required revision has been compacted")
                    : Status(StatusCode::kCancelled, response.cancel_reason());
    }
  };
  for (;;) {
    const Status connected = impl_->Connect(limit);
    if (!connected.ok()) {
      if (!impl_->Pause(limit)) return connected;
      continue;
    }
    WatchCollector watch(on_message);
    net::ClientCall* call = impl_->channel().Start(path::kWatch, &watch, 0);
    if (call == nullptr) {
      impl_->NextEndpoint();
      continue;
    }
    call->Send(request.SerializeAsString());
    impl_->RunUntil(kNoLimit, [&] { return watch.done || verdict.has_value(); });
    if (!watch.done) {
      call->Cancel();
      impl_->RunUntil(kNoLimit, [&] { return watch.done; });
    }
    if (verdict) return *verdict;
    if (watch.end.status.code() != StatusCode::kUnavailable) return watch.end.status;
    impl_->NextEndpoint();
    if (!impl_->Pause(limit)) return watch.end.status;
  }
}

Status EtcdClient::Snapshot(const std::function<Status(const etcdserverpb::SnapshotResponse&)>& on_piece) {
  std::uint64_t limit = Reactor::NowNs() + impl_->options().timeout_ns;
  bool begun = false;
  Status verdict;
  auto on_message = [&](std::string_view message) {
    if (!verdict.ok()) return;
    begun = true;
    limit = Reactor::NowNs() + impl_->options().timeout_ns;
    etcdserverpb::SnapshotResponse response;
    if (response.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      verdict = on_piece(response);
    } else {
      verdict = Status::Internal(impl_->current().ToString() + " sent a piece that cannot be read");
    }
  };
  for (;;) {
    RETURN_IF_ERROR(impl_->Connect(limit));
    WatchCollector stream(on_message);
    net::ClientCall* call = impl_->channel().Unary(path::kSnapshot, {}, &stream, 0);
    if (call == nullptr) {
      impl_->NextEndpoint();
      continue;
    }
    while (!stream.done && verdict.ok()) {
      if (!impl_->RunUntil(limit, [&] { return stream.done || !verdict.ok(); }) && Reactor::NowNs() >= limit) {
        verdict = {StatusCode::kDeadlineExceeded, impl_->current().ToString() + " sends nothing any more"};
      }
    }
    if (!stream.done) {
      call->Cancel();
      impl_->RunUntil(kNoLimit, [&] { return stream.done; });
    }
    if (!verdict.ok()) return verdict;
    if (stream.end.status.ok() || begun || impl_->channel().state() == ChannelState::kReady) return stream.end.status;
    impl_->NextEndpoint();
    if (!impl_->Pause(limit)) return stream.end.status;
  }
}

}  // namespace quorate::client
