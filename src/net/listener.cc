#include "net/listener.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/log.h"
#include "net/h1_server_session.h"
#include "net/h2_server_session.h"
#include "net/tcp_stream.h"

namespace quorate::net {
namespace {

using boost::asio::ip::tcp;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr int kBacklog = 4096;
constexpr std::chrono::milliseconds kAcceptRetry{100};
constexpr std::chrono::milliseconds kStuckCheck{500};

// A connection that has not said yet what it speaks.
class NewConnection final : public StreamEvents,
                            public ServerConnection,
                            public std::enable_shared_from_this<NewConnection>,
                            private Timer {
 public:
  NewConnection(ServerContext& context, std::unique_ptr<Stream> stream)
      : context_(context), stream_(std::move(stream)) {}

  void Start() {
    context_.reactor.Arm(*this, Reactor::NowNs() + context_.limits.http1_idle_timeout_ns);
    stream_->WaitReadable(shared_from_this());
  }

  void OnReadable() override {
    const auto self = shared_from_this();
    if (stream_ == nullptr) return;
    const std::span<char> buffer = context_.reactor.read_buffer();
    const IoResult got = stream_->Read(buffer);
    if (got.state == IoResult::State::kClosed) return Abort();
    if (got.state == IoResult::State::kWouldBlock) return stream_->WaitReadable(self);
    if (seen_.empty()) context_.reactor.Arm(*this, Reactor::NowNs() + context_.limits.header_timeout_ns);
    seen_.append(buffer.data(), got.bytes);
    if (seen_.size() < kPreface.size() && kPreface.starts_with(seen_)) return stream_->WaitReadable(self);
    Disarm();
    if (std::string_view(seen_).starts_with(kPreface)) {
      Become(std::make_shared<H2ServerSession>(context_, std::move(stream_)));
    } else {
      Become(std::make_shared<H1ServerSession>(context_, std::move(stream_)));
    }
  }
  void OnWritable() override {}
  void Drain() override { Abort(); }
  void Abort() override {
    if (stream_ == nullptr) return;
    const auto self = shared_from_this();
    Disarm();
    stream_->Close();
    stream_ = nullptr;
    context_.forget(this);
  }

 private:
  void OnTimer() override { Abort(); }

  template <class Session>
  void Become(const std::shared_ptr<Session>& session) {
    context_.become(this, session);
    session->Start(seen_);
  }

  ServerContext& context_;
  std::unique_ptr<Stream> stream_;
  std::string seen_;
};

}  // namespace

class Listener::Impl : public std::enable_shared_from_this<Listener::Impl> {
 public:
  Impl(Reactor& reactor, ServerLimits server_limits, GrpcService* grpc, HttpService* http)
      : limits(server_limits),
        acceptor(reactor.context()),
        retry(reactor.context()),
        stuck_check(reactor.context()),
        context{reactor,
                limits,
                metrics,
                grpc,
                http,
                [this](std::shared_ptr<Flushable> hungry) { Starve(std::move(hungry)); },
                [this] { FeedStarved(); },
                [this](ServerConnection* gone) { Forget(gone); },
                [this](ServerConnection* old, std::shared_ptr<ServerConnection> fresh) {
                  connections.erase(old);
                  ServerConnection* key = fresh.get();
                  connections.emplace(key, std::move(fresh));
                }} {}

  void Forget(ServerConnection* gone) {
    --metrics.connections_open;
    // Its destruction waits for the end of the turn: it is usually running.
    const auto found = connections.find(gone);
    if (found == connections.end()) return;
    boost::asio::post(context.reactor.context(), [keep = std::move(found->second), self = shared_from_this()] {});
    connections.erase(found);
    TellDrained();
  }

  // While all together hold too much for clients who do not take it, somebody waits: it is looked whose fault that is.
  void Starve(std::shared_ptr<Flushable> hungry) {
    starved.insert(std::move(hungry));
    if (std::exchange(checking, true)) return;
    stuck_check.expires_after(kStuckCheck);
    stuck_check.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error) return;
      self->checking = false;
      const std::uint64_t since = Reactor::NowNs() - self->limits.stuck_after_ns;
      self->ForEach([since](ServerConnection& connection) { connection.AbortIfStuck(since); });
      self->FeedStarved();  // who still finds no room starves again
    });
  }

  void FeedStarved() {
    for (const auto& hungry : std::exchange(starved, {})) context.reactor.QueueFlush(hungry);
  }

  void TellDrained() {
    if (drained && connections.empty()) std::exchange(drained, nullptr)();
  }

  void Accept() {
    acceptor.async_accept([self = shared_from_this()](const boost::system::error_code& error, tcp::socket socket) {
      if (!self->acceptor.is_open()) return;
      if (error == boost::asio::error::no_descriptors || error == boost::asio::error::no_memory ||
          error == boost::asio::error::no_buffer_space) {
        return self->AcceptLater();
      }
      if (!error) self->Add(std::move(socket));
      self->Accept();
    });
  }

  // Out of file descriptors or memory: the next accept would fail as well, and at once.
  void AcceptLater() {
    retry.expires_after(kAcceptRetry);
    retry.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->acceptor.is_open()) self->Accept();
    });
  }

  void Add(tcp::socket socket) {
    if (connections.size() >= limits.max_connections) {
      ++metrics.connections_refused;
      return;  // the socket closes itself
    }
    ++metrics.connections_accepted;
    ++metrics.connections_open;
    auto connection = std::make_shared<NewConnection>(context, std::make_unique<TcpStream>(std::move(socket)));
    connections.emplace(connection.get(), connection);
    connection->Start();
  }

  void StopAccepting() {
    boost::system::error_code ignored;
    acceptor.close(ignored);
    retry.cancel();
  }

  void Close() {
    StopAccepting();
    stuck_check.cancel();
    starved.clear();
    ForEach([](ServerConnection& connection) { connection.Abort(); });
  }

  template <class Do>
  void ForEach(Do&& act) {
    std::vector<std::shared_ptr<ServerConnection>> all;
    all.reserve(connections.size());
    for (const auto& [key, connection] : connections) all.push_back(connection);
    for (const auto& connection : all) act(*connection);
  }

  const ServerLimits limits;
  ServerMetrics metrics;
  tcp::acceptor acceptor;
  boost::asio::steady_timer retry;
  boost::asio::steady_timer stuck_check;
  bool checking = false;
  std::set<std::shared_ptr<Flushable>> starved;
  ServerContext context;
  std::unordered_map<ServerConnection*, std::shared_ptr<ServerConnection>> connections;
  std::function<void()> drained;
};

Listener::Listener(Reactor& reactor, ServerLimits limits, GrpcService* grpc, HttpService* http)
    : impl_(std::make_shared<Impl>(reactor, limits, grpc, http)) {}

Listener::~Listener() {
  Close();
}

Result<std::uint16_t> Listener::Listen(const std::string& host, std::uint16_t port) {
  const std::string where = host + ":" + std::to_string(port);
  boost::system::error_code error;
  tcp::resolver resolver(impl_->context.reactor.context());
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) return Status::Unavailable("cannot resolve " + where + ": " + error.message());
  const tcp::endpoint endpoint = found.begin()->endpoint();
  tcp::acceptor& acceptor = impl_->acceptor;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kBacklog, error);
  if (error) {
    impl_->StopAccepting();
    return Status::Unavailable("cannot listen on " + where + ": " + error.message());
  }
  const std::uint16_t bound = acceptor.local_endpoint(error).port();
  impl_->Accept();
  return bound;
}

void Listener::Drain(std::function<void()> done) {
  impl_->StopAccepting();
  impl_->drained = std::move(done);
  impl_->ForEach([](ServerConnection& connection) { connection.Drain(); });
  impl_->TellDrained();
}

void Listener::Close() {
  impl_->Close();
}

const ServerMetrics& Listener::metrics() const {
  return impl_->metrics;
}

}  // namespace quorate::net
