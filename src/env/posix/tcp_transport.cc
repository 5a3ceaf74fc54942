#include "env/posix/tcp_transport.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "env/posix/asio_executor.h"
#include "env/posix/peer_connection.h"
#include "env/posix/posix_clock.h"
#include "env/posix/tcp_dial.h"

namespace quorate::env {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::uint64_t kAcceptPauseNs = 100'000'000;  // after an accept that failed (no descriptors left, say)
constexpr std::size_t kComplaintsMax = 256;

struct Peer;

// One connection and how far its handshake has come.
struct Session {
  enum class Stage {
    kAwaitHello,    // accepted
    kAwaitWelcome,  // dialled, our hello is out
    kAwaitConfirm,  // accepted, our welcome is out
    kUp,
    kRejected,  // our reject is out; waits for the other end to close
  };
  std::shared_ptr<PeerConnection> connection;
  Stage stage = Stage::kAwaitHello;
  Peer* peer = nullptr;  // from kAwaitWelcome or kAwaitConfirm on
  bool dialled = false;
  std::uint64_t attempt = 0;
  Incarnation incarnation;      // the peer's
  std::uint64_t directory = 0;  // the peer's
  std::uint8_t version = 0;
  std::uint32_t feature_level = 0;  // the peer's
  TimerId deadline = 0;
  LinkId link;
  std::uint64_t up_since_ns = 0;
  bool closing = false;  // over its queue cap; nothing more is sent
};

struct Peer {
  ReplicaId id;
  HostPort address;
  Incarnation incarnation;  // highest of a link
  std::uint32_t feature_level = 0;
  Session* link = nullptr;        // up
  Session* candidate = nullptr;   // in its handshake; at most one
  std::shared_ptr<TcpDial> dial;  // not connected yet; never together with a candidate
  TimerId retry = 0;
  unsigned failures = 0;     // dials since a link has lasted
  bool tell_when_up = true;  // the last that the log says is that there is no link
};

// Lets the same complaint through once per interval.
class ComplaintLimiter {
 public:
  ComplaintLimiter(const Clock& clock, std::uint64_t interval_ns) : clock_(clock), interval_ns_(interval_ns) {}
  bool Allow(const std::string& what) {
    const std::uint64_t now = clock_.MonotonicNs();
    const auto [found, fresh] = last_.try_emplace(what, now);
    if (!fresh && now - found->second < interval_ns_) return false;
    found->second = now;
    if (last_.size() > kComplaintsMax) last_.clear();
    return true;
  }

 private:
  const Clock& clock_;
  std::uint64_t interval_ns_;
  std::map<std::string, std::uint64_t> last_;
};

}  // namespace

class TcpTransport::Impl final : public PeerConnectionEvents, public std::enable_shared_from_this<Impl> {
 public:
  Impl(AsioExecutor& executor, Random& random, TcpTransportOptions options)
      : executor_(executor),
        random_(random),
        options_(std::move(options)),
        known_directories_(options_.known_directories),
        complaints_(clock_, options_.log_interval_ns),
        acceptor_(executor.context()) {}

  Status Bind(const std::string& address);
  Status Listen(const std::string& address);
  bool listening() const { return acceptor_.is_open(); }
  const std::string& listen_address() const { return options_.listen; }
  Status SetPeers(const std::map<ReplicaId, std::string>& peers);
  void SetRemoved(std::set<ReplicaId> removed) { removed_ = std::move(removed); }
  std::map<ReplicaId, TcpPeerState> peers() const;
  void Start(TransportListener* listener);
  void Send(ReplicaId to, Bytes frame);
  void Stop();
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  TcpTransportCounters counters() const;

  void OnFrame(PeerConnection& connection, PeerFrame frame) override;
  void OnClosed(PeerConnection& connection, const std::string& why, bool garbage) override;

 private:
  using Stage = Session::Stage;

  // A callback that does nothing once the transport is gone.
  template <class Action>
  auto Guarded(Action action) {
    return [weak = weak_from_this(), action = std::move(action)](auto&&... args) mutable {
      if (const auto self = weak.lock()) action(std::forward<decltype(args)>(args)...);
    };
  }

  PeerHello MyHello(const Peer* to) const;
  std::optional<SeenPeer> SeenOf(ReplicaId member) const;
  bool RememberDirectory(const Session& session);

  void Accept();
  void OnAccept(const boost::system::error_code& error, tcp::socket socket);
  void MakeRoomForHandshake();
  Session& AddSession(tcp::socket socket, Stage stage);
  void Drop(Session& session);
  void OnDeadline(Session& session);

  void OnHello(Session& session, const PeerFrame& frame);
  void OnJoin(Session& session, const PeerFrame& frame);
  void OnWelcome(Session& session, const PeerFrame& frame);
  bool YieldsTo(Peer& peer, const PeerHello& hello);
  void Reject(Session& session, PeerRejection reason, const PeerHello& theirs);
  void OnRejected(const Session& session, PeerRejection reason);
  void Complain(PeerRejection reason, const Session& session, const PeerHello& theirs);
  void Promote(Session& session);
  void Lose(Session& session, const std::string& why);

  void Redial(Peer& peer);
  void Dial(Peer& peer);
  void OnDialled(Peer& peer, TcpDial::Outcome outcome, tcp::socket socket, const std::string& error);
  void StopDialling(Peer& peer);
  std::uint64_t BackOffNs(const Peer& peer);

  AsioExecutor& executor_;
  Random& random_;
  const TcpTransportOptions options_;
  std::map<ReplicaId, std::uint64_t> known_directories_;
  std::set<ReplicaId> removed_;
  PosixClock clock_;
  ComplaintLimiter complaints_;
  tcp::acceptor acceptor_;
  TransportListener* listener_ = nullptr;  // set while running
  std::map<ReplicaId, Peer> peers_;        // nodes stay where they are: sessions point at them
  std::map<const PeerConnection*, Session> sessions_;
  std::uint64_t last_link_ = 0;
  std::uint64_t last_attempt_ = 0;
  PeerTraffic traffic_;
  TcpTransportCounters counters_;
};

Status TcpTransport::Impl::Bind(const std::string& address) {
  const Result<HostPort> wanted = ParseHostPort(address);
  if (!wanted.ok()) return Status::InvalidArgument(options_.listen_flag + ": " + wanted.status().message());
  const auto failed = [&](const std::string& what, const boost::system::error_code& error) {
    return Status::Unavailable(options_.listen_flag + " " + address + ": " + what + ": " + error.message());
  };
  boost::system::error_code error;
  tcp::resolver resolver(executor_.context());
  const auto found =
      resolver.resolve(wanted.value().host, std::to_string(wanted.value().port), tcp::resolver::passive, error);
  if (error) return failed("the host does not resolve", error);
  for (const auto& entry : found) {  // the first that this machine has
    acceptor_.open(entry.endpoint().protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(entry.endpoint(), error);
    if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
    if (!error) return Status::Ok();
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  }
  return failed("cannot listen", error);
}

Status TcpTransport::Impl::Listen(const std::string& address) {
  if (listening()) return Status::Ok();
  RETURN_IF_ERROR(Bind(address));
  if (listener_ != nullptr) Accept();
  return Status::Ok();
}

std::map<ReplicaId, TcpPeerState> TcpTransport::Impl::peers() const {
  std::map<ReplicaId, TcpPeerState> out;
  for (const auto& [id, peer] : peers_) {
    out[id] = {peer.link != nullptr, peer.link == nullptr ? 0 : peer.link->up_since_ns, peer.feature_level};
  }
  return out;
}

Status TcpTransport::Impl::SetPeers(const std::map<ReplicaId, std::string>& peers) {
  std::map<ReplicaId, HostPort> wanted;
  for (const auto& [id, address] : peers) {
    if (id == options_.self) continue;
    Result<HostPort> parsed = ParseHostPort(address);
    if (!parsed.ok()) return parsed.status();
    wanted.emplace(id, std::move(parsed).value());
  }
  for (auto it = peers_.begin(); it != peers_.end();) {
    Peer& peer = it->second;
    if (wanted.count(it->first) != 0) {
      ++it;
      continue;
    }
    StopDialling(peer);
    if (peer.candidate != nullptr) Drop(*peer.candidate);
    const LinkId link = peer.link == nullptr ? LinkId() : peer.link->link;
    if (peer.link != nullptr) Drop(*peer.link);
    const ReplicaId gone = it->first;
    it = peers_.erase(it);
    if (link) {
      ++counters_.links_lost;
      executor_.Post(Guarded([this, gone, link] { listener_->OnLinkDown(gone, link); }));
    }
  }
  for (const auto& [id, address] : wanted) {
    Peer& peer = peers_[id];
    peer.id = id;
    peer.address = address;
    if (listener_ != nullptr) Redial(peer);
  }
  return Status::Ok();
}

void TcpTransport::Impl::Start(TransportListener* listener) {
  CHECK(listener_ == nullptr && listener != nullptr) << "started twice";
  listener_ = listener;
  if (listening()) Accept();
  for (auto& [id, peer] : peers_) Redial(peer);
}

void TcpTransport::Impl::Stop() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  for (auto& [id, peer] : peers_) StopDialling(peer);
  while (!sessions_.empty()) Drop(sessions_.begin()->second);
}

TcpTransportCounters TcpTransport::Impl::counters() const {
  TcpTransportCounters all = counters_;
  all.frames_sent = traffic_.frames_sent;
  all.frames_received = traffic_.frames_received;
  all.bytes_sent = traffic_.bytes_sent;
  all.bytes_received = traffic_.bytes_received;
  all.writes = traffic_.writes;
  return all;
}

void TcpTransport::Impl::Send(ReplicaId to, Bytes frame) {
  const auto found = peers_.find(to);
  if (found == peers_.end() || found->second.link == nullptr || found->second.link->closing) return;
  Session& session = *found->second.link;
  const bool too_large = frame.size() > options_.frame_bytes_max;
  if (!too_large && session.connection->queued_bytes() + frame.size() <= options_.queue_bytes_max) {
    session.connection->Send(PeerFrameKind::kMessage, std::move(frame));
    return;
  }
  // A gap in the middle of a link would be worse than its end. The listener hears of it later, never from here.
  ++counters_.queue_overflows;
  session.closing = true;
  const std::string why = too_large ? "a frame of " + std::to_string(frame.size()) + " bytes is over the limit"
                                    : "its send queue is full: it does not read fast enough";
  executor_.Post(Guarded([this, to, link = session.link, why] {
    const auto again = peers_.find(to);
    if (again == peers_.end() || again->second.link == nullptr || again->second.link->link != link) return;
    Lose(*again->second.link, why);
  }));
}

// ---- Connections

void TcpTransport::Impl::Accept() {
  acceptor_.async_accept(Guarded(
      [this](const boost::system::error_code& error, tcp::socket socket) { OnAccept(error, std::move(socket)); }));
}

void TcpTransport::Impl::OnAccept(const boost::system::error_code& error, tcp::socket socket) {
  if (!acceptor_.is_open()) return;
  if (error) {
    if (complaints_.Allow("accept")) LogWarn("peer port: cannot accept a connection: " + error.message());
    executor_.After(kAcceptPauseNs, Guarded([this] { Accept(); }));
    return;
  }
  MakeRoomForHandshake();
  AddSession(std::move(socket), Stage::kAwaitHello);
  Accept();
}

void TcpTransport::Impl::MakeRoomForHandshake() {
  std::size_t waiting = 0;
  Session* oldest = nullptr;
  for (auto& [key, session] : sessions_) {
    if (session.dialled || session.stage == Stage::kUp) continue;
    ++waiting;
    if (oldest == nullptr || session.deadline < oldest->deadline) oldest = &session;  // timer ids rise
  }
  if (waiting < options_.handshakes_max) return;
  Complain(PeerRejection::kTooMany, *oldest, {});
  Peer* const peer = oldest->peer;
  Drop(*oldest);
  if (peer != nullptr) Redial(*peer);
}

Session& TcpTransport::Impl::AddSession(tcp::socket socket, Stage stage) {
  auto connection = std::make_shared<PeerConnection>(std::move(socket), this, &traffic_);
  Session& session = sessions_[connection.get()];
  session.connection = connection;
  session.stage = stage;
  session.deadline = executor_.After(options_.handshake_timeout_ns, Guarded([this, key = connection.get()] {
                                       const auto found = sessions_.find(key);
                                       if (found != sessions_.end()) OnDeadline(found->second);
                                     }));
  connection->StartReading();
  return session;
}

// Forgets a session and closes its connection. Tells nobody.
void TcpTransport::Impl::Drop(Session& session) {
  executor_.Cancel(session.deadline);
  if (Peer* const peer = session.peer) {
    if (peer->candidate == &session) peer->candidate = nullptr;
    if (peer->link == &session) {
      peer->link = nullptr;
      --counters_.links_open;
    }
  }
  const auto connection = session.connection;
  connection->Close();
  sessions_.erase(connection.get());
}

void TcpTransport::Impl::OnDeadline(Session& session) {
  if (session.stage != Stage::kRejected) Complain(PeerRejection::kTimeout, session, {});
  Peer* const peer = session.peer;
  Drop(session);
  if (peer != nullptr) Redial(*peer);
}

void TcpTransport::Impl::OnFrame(PeerConnection& connection, PeerFrame frame) {
  const auto found = sessions_.find(&connection);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  const auto is = [&](Stage stage, PeerFrameKind kind) { return session.stage == stage && frame.kind == kind; };
  if (is(Stage::kUp, PeerFrameKind::kMessage)) {
    listener_->OnFrame(session.peer->id, session.link, std::move(frame.payload));
  } else if (is(Stage::kAwaitHello, PeerFrameKind::kHello)) {
    OnHello(session, frame);
  } else if (is(Stage::kAwaitHello, PeerFrameKind::kJoin) && options_.on_join) {
    OnJoin(session, frame);
  } else if (is(Stage::kAwaitWelcome, PeerFrameKind::kWelcome)) {
    OnWelcome(session, frame);
  } else if (is(Stage::kAwaitConfirm, PeerFrameKind::kConfirm)) {
    Promote(session);
  } else if (frame.kind == PeerFrameKind::kReject && session.stage != Stage::kUp) {
    const auto reason = DecodePeerReject(frame.payload.view()).value_or(PeerRejection::kMalformed);
    OnRejected(session, reason);
    OnClosed(connection, "it refused this node: " + std::string(PeerRejectionName(reason)), false);
  } else if (session.stage != Stage::kRejected) {
    OnClosed(connection, "a frame out of turn", true);
  }
}

void TcpTransport::Impl::OnClosed(PeerConnection& connection, const std::string& why, bool garbage) {
  const auto found = sessions_.find(&connection);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  if (session.stage == Stage::kUp) {
    if (garbage) ++counters_.bad_frames;
    return Lose(session, why);
  }
  if (garbage && session.stage != Stage::kRejected) Complain(PeerRejection::kMalformed, session, {});
  Peer* const peer = session.peer;
  Drop(session);
  if (peer != nullptr) Redial(*peer);
}

// ---- The handshake

PeerHello TcpTransport::Impl::MyHello(const Peer* to) const {
  PeerHello hello;
  hello.version_min = options_.version_min;
  hello.version_max = options_.version_max;
  hello.cluster = options_.cluster;
  hello.sender = options_.self;
  if (to != nullptr) hello.receiver = to->id;
  hello.incarnation = options_.incarnation;
  hello.protocol = options_.protocol;
  hello.directory = options_.directory;
  hello.feature_level = options_.feature_level;
  return hello;
}

std::optional<SeenPeer> TcpTransport::Impl::SeenOf(ReplicaId member) const {
  const auto found = peers_.find(member);
  if (found == peers_.end()) {
    if (removed_.contains(member)) return SeenPeer{{}, 0, true};
    return std::nullopt;
  }
  const auto known = known_directories_.find(member);
  return SeenPeer{found->second.incarnation, known == known_directories_.end() ? 0 : known->second, false};
}

// Durably, before the first link: what such a peer promises over it, its id is bound to.
bool TcpTransport::Impl::RememberDirectory(const Session& session) {
  std::uint64_t& known = known_directories_[session.peer->id];
  if (known == session.directory || session.directory == 0) return true;
  if (options_.remember_directory) {
    const Status written = options_.remember_directory(session.peer->id, session.directory);
    if (!written.ok()) {
      LogError("cannot note the data directory of peer " + session.peer->address.ToString() + ": " + written.message());
      return false;
    }
  }
  known = session.directory;
  return true;
}

void TcpTransport::Impl::OnHello(Session& session, const PeerFrame& frame) {
  const auto hello = DecodePeerHello(frame.payload.view());
  if (!hello) return Reject(session, PeerRejection::kMalformed, {});
  const auto seen = [this](ReplicaId member) { return SeenOf(member); };
  if (const auto reason = CheckPeerHello(MyHello(nullptr), *hello, seen)) return Reject(session, *reason, *hello);
  Peer& peer = peers_.at(hello->sender);
  if (!YieldsTo(peer, *hello)) return Reject(session, PeerRejection::kDuplicate, *hello);
  if (peer.candidate != nullptr) Drop(*peer.candidate);
  StopDialling(peer);
  session.peer = &peer;
  session.stage = Stage::kAwaitConfirm;
  session.attempt = hello->attempt;
  session.incarnation = hello->incarnation;
  session.directory = hello->directory;
  session.feature_level = hello->feature_level;
  PeerHello mine = MyHello(&peer);
  session.version = CommonPeerVersion(mine, *hello);
  mine.attempt = hello->attempt;
  peer.candidate = &session;
  session.connection->Send(PeerFrameKind::kWelcome, Bytes(EncodePeerHello(mine)));
}

void TcpTransport::Impl::OnJoin(Session& session, const PeerFrame& frame) {
  session.stage = Stage::kRejected;  // as far as links are concerned
  session.connection->Send(PeerFrameKind::kJoinAnswer, Bytes(options_.on_join(frame.payload.view())));
  session.connection->FinishSending();
}

// Whether what this node has under way with the peer makes room for the peer's hello.
bool TcpTransport::Impl::YieldsTo(Peer& peer, const PeerHello& hello) {
  if (peer.candidate == nullptr) return true;
  if (peer.candidate->dialled) return options_.self > peer.id;
  return std::pair(hello.incarnation, hello.attempt) > std::pair(peer.candidate->incarnation, peer.candidate->attempt);
}

void TcpTransport::Impl::OnWelcome(Session& session, const PeerFrame& frame) {
  Peer& peer = *session.peer;
  const auto hello = DecodePeerHello(frame.payload.view());
  const auto seen = [this](ReplicaId member) { return SeenOf(member); };
  std::optional<PeerRejection> reason;
  if (!hello || hello->attempt != session.attempt) {
    reason = PeerRejection::kMalformed;
  } else {
    reason = CheckPeerHello(MyHello(&peer), *hello, seen);
  }
  if (reason) {
    peer.candidate = nullptr;
    Reject(session, *reason, hello.value_or(PeerHello{}));
    return Redial(peer);
  }
  session.incarnation = hello->incarnation;
  session.directory = hello->directory;
  session.feature_level = hello->feature_level;
  session.version = CommonPeerVersion(MyHello(&peer), *hello);
  session.connection->Send(PeerFrameKind::kConfirm, Bytes());
  Promote(session);
}

void TcpTransport::Impl::Reject(Session& session, PeerRejection reason, const PeerHello& theirs) {
  Complain(reason, session, theirs);
  session.stage = Stage::kRejected;
  session.peer = nullptr;
  session.connection->Send(PeerFrameKind::kReject, Bytes(EncodePeerReject(reason)));
  session.connection->FinishSending();
}

void TcpTransport::Impl::Complain(PeerRejection reason, const Session& session, const PeerHello& theirs) {
  ++counters_.rejected[static_cast<std::size_t>(reason)];
  if (reason == PeerRejection::kDuplicate) return;  // an ordinary day
  const std::string key = std::string(PeerRejectionName(reason)) + "/" + std::to_string(theirs.sender.value);
  if (!complaints_.Allow(key)) return;
  LogWarn("peer connection " + std::string(session.dialled ? "to " : "from ") +
          std::string(session.connection->remote()) +
          " closed: " + ExplainPeerRejection(reason, MyHello(nullptr), theirs));
}

void TcpTransport::Impl::OnRejected(const Session& session, PeerRejection reason) {
  if (reason == PeerRejection::kDuplicate) return;
  ++counters_.rejected_by_peers;
  if (reason == PeerRejection::kOtherDirectory && options_.on_forgotten) options_.on_forgotten();
  if (reason == PeerRejection::kRemoved && options_.on_removed) options_.on_removed();
  const std::string name(PeerRejectionName(reason));
  if (!complaints_.Allow("rejected/" + name + "/" + std::string(session.connection->remote()))) return;
  LogWarn("peer " + std::string(session.connection->remote()) + " refuses this node (" + name +
          "): its log says what to correct");
}

void TcpTransport::Impl::Promote(Session& session) {
  Peer& peer = *session.peer;
  if (!RememberDirectory(session)) {
    Drop(session);
    return Redial(peer);
  }
  StopDialling(peer);
  peer.candidate = nullptr;
  executor_.Cancel(session.deadline);
  session.stage = Stage::kUp;
  session.connection->SwitchTo(session.version, options_.frame_bytes_max);
  session.up_since_ns = clock_.MonotonicNs();
  const LinkId old = peer.link == nullptr ? LinkId() : peer.link->link;
  if (peer.link != nullptr) Drop(*peer.link);
  peer.incarnation = session.incarnation;
  peer.feature_level = session.feature_level;
  peer.failures = std::min(peer.failures, 1u);
  session.link = LinkId(++last_link_);
  ++counters_.links_up;
  ++counters_.links_open;
  const LinkId link = session.link;
  if (old) {
    ++counters_.links_lost;
    listener_->OnLinkDown(peer.id, old);
  }
  peer.link = &session;
  if (std::exchange(peer.tell_when_up, false)) LogInfo("peer " + peer.address.ToString() + ": link up");
  listener_->OnLinkUp(peer.id, link, peer.incarnation);
}

void TcpTransport::Impl::Lose(Session& session, const std::string& why) {
  Peer& peer = *session.peer;
  const LinkId link = session.link;
  if (clock_.MonotonicNs() - session.up_since_ns >= options_.link_lasted_ns) peer.failures = 0;
  Drop(session);
  ++counters_.links_lost;
  if (complaints_.Allow("lost/" + std::to_string(peer.id.value))) {
    LogWarn("peer " + peer.address.ToString() + ": link lost: " + why);
    peer.tell_when_up = true;
  }
  Redial(peer);
  listener_->OnLinkDown(peer.id, link);
}

// ---- Dialling

void TcpTransport::Impl::Redial(Peer& peer) {
  if (peer.link != nullptr || peer.candidate != nullptr || peer.dial != nullptr || peer.retry != 0) return;
  peer.retry = executor_.After(BackOffNs(peer), Guarded([this, id = peer.id] {
                                 const auto found = peers_.find(id);
                                 if (found == peers_.end()) return;
                                 found->second.retry = 0;
                                 Dial(found->second);
                               }));
}

std::uint64_t TcpTransport::Impl::BackOffNs(const Peer& peer) {
  if (peer.failures == 0) return 0;
  const std::uint64_t doubled = options_.reconnect_min_ns << std::min(peer.failures, 16u);
  const std::uint64_t span = std::min(doubled, options_.reconnect_max_ns);
  return options_.reconnect_min_ns +
         random_.Below(span > options_.reconnect_min_ns ? span - options_.reconnect_min_ns : 1);
}

void TcpTransport::Impl::Dial(Peer& peer) {
  ++peer.failures;  // until a link has lasted
  ++counters_.dials;
  peer.dial = TcpDial::Start(
      executor_.context(), executor_, peer.address, options_.connect_timeout_ns,
      Guarded([this, id = peer.id](TcpDial::Outcome outcome, tcp::socket socket, const std::string& error) {
        const auto found = peers_.find(id);
        if (found != peers_.end()) OnDialled(found->second, outcome, std::move(socket), error);
      }));
}

void TcpTransport::Impl::OnDialled(Peer& peer, TcpDial::Outcome outcome, tcp::socket socket, const std::string& error) {
  peer.dial.reset();
  if (outcome == TcpDial::Outcome::kConnected) {
    Session& session = AddSession(std::move(socket), Stage::kAwaitWelcome);
    session.peer = &peer;
    session.dialled = true;
    session.attempt = ++last_attempt_;
    peer.candidate = &session;
    PeerHello hello = MyHello(&peer);
    hello.attempt = session.attempt;
    session.connection->Send(PeerFrameKind::kHello, Bytes(EncodePeerHello(hello)));
    return;
  }
  if (complaints_.Allow("dial/" + std::to_string(peer.id.value))) {
    LogWarn("peer " + peer.address.ToString() + ": cannot connect: " + error + "; trying again");
    peer.tell_when_up = true;
  }
  Redial(peer);
  if (outcome == TcpDial::Outcome::kRefused) {
    ++counters_.dials_refused;
    listener_->OnLinkRefused(peer.id);
  }
}

void TcpTransport::Impl::StopDialling(Peer& peer) {
  if (peer.dial != nullptr) std::exchange(peer.dial, nullptr)->Cancel();
  executor_.Cancel(std::exchange(peer.retry, 0));
}

// ---- The public face

Result<std::unique_ptr<TcpTransport>> TcpTransport::Open(AsioExecutor& executor, Random& random,
                                                         TcpTransportOptions options) {
  CHECK(options.cluster && options.self && options.incarnation) << "who this node is";
  CHECK(options.frame_bytes_max <= kPeerFramePayloadMax) << options.frame_bytes_max;
  auto impl = std::make_shared<Impl>(executor, random, std::move(options));
  if (const std::string& listen = impl->listen_address(); !listen.empty()) RETURN_IF_ERROR(impl->Bind(listen));
  return std::unique_ptr<TcpTransport>(new TcpTransport(std::move(impl)));
}

TcpTransport::TcpTransport(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
TcpTransport::~TcpTransport() {
  impl_->Stop();
}

Status TcpTransport::SetPeers(const std::map<ReplicaId, std::string>& peers) {
  return impl_->SetPeers(peers);
}
void TcpTransport::SetRemoved(std::set<ReplicaId> removed) {
  impl_->SetRemoved(std::move(removed));
}
Status TcpTransport::Listen(const std::string& address) {
  return impl_->Listen(address);
}
bool TcpTransport::listening() const {
  return impl_->listening();
}
std::map<ReplicaId, TcpPeerState> TcpTransport::peers() const {
  return impl_->peers();
}
void TcpTransport::Start(TransportListener* listener) {
  impl_->Start(listener);
}
void TcpTransport::Send(ReplicaId peer, Bytes frame) {
  impl_->Send(peer, std::move(frame));
}
std::uint16_t TcpTransport::port() const {
  return impl_->port();
}
TcpTransportCounters TcpTransport::counters() const {
  return impl_->counters();
}

}  // namespace quorate::env
