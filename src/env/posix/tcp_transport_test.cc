#include "env/posix/tcp_transport.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "env/posix/asio_executor.h"
#include "env/posix/os_random.h"
#include "env/posix/peer_frame.h"

namespace quorate::env {
namespace {

constexpr std::uint64_t kLimitNs = 60'000'000'000;
constexpr std::uint64_t kMs = 1'000'000;

// Notes what a transport reports and checks the rules every listener relies on.
class Recorder : public TransportListener {
 public:
  void OnLinkUp(ReplicaId peer, LinkId link, Incarnation incarnation) override {
    Check();
    EXPECT_EQ(links.count(peer), 0u) << "a second link without the end of the first";
    EXPECT_GT(link.value, last_link.value);
    last_link = link;
    links[peer] = link;
    incarnations[peer] = incarnation;
    ++ups;
    if (on_up) on_up(peer);
  }
  void OnLinkDown(ReplicaId peer, LinkId link) override {
    Check();
    EXPECT_EQ(links[peer], link);
    links.erase(peer);
    ++downs;
  }
  void OnLinkRefused(ReplicaId) override {
    Check();
    ++refused;
  }
  void OnFrame(ReplicaId peer, LinkId link, Bytes frame) override {
    Check();
    EXPECT_EQ(links[peer], link);
    frames.push_back(frame.ToString());
  }
  void Check() const { EXPECT_FALSE(inside_send) << "called from inside Send"; }

  std::map<ReplicaId, LinkId> links;
  std::map<ReplicaId, Incarnation> incarnations;
  std::vector<std::string> frames;
  std::function<void(ReplicaId)> on_up;
  LinkId last_link;
  int ups = 0;
  int downs = 0;
  int refused = 0;
  bool inside_send = false;
};

struct Node {
  Recorder recorder;
  std::unique_ptr<TcpTransport> transport;

  std::string address() const { return "127.0.0.1:" + std::to_string(transport->port()); }
  void Send(std::uint64_t to, std::string text) {
    recorder.inside_send = true;
    transport->Send(ReplicaId(to), Bytes(std::move(text)));
    recorder.inside_send = false;
  }
  std::uint64_t rejected(PeerRejection reason) const {
    return transport->counters().rejected[static_cast<std::size_t>(reason)];
  }
};

// A stranger with a plain socket. Blocking connect and send are fine on loopback: the kernel takes both.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  explicit RawClient(int accepted) : fd_(accepted) {}
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { Close(); }

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Send(std::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void SendFrame(PeerFrameKind kind, std::string_view payload) {
    const PeerFrameHeader header = EncodePeerFrameHeader(kind, 1, payload);
    Send(std::string(header.data(), header.size()).append(payload));
  }
  // Takes what has arrived; true once the other end has closed.
  bool Closed() {
    char buffer[4096];
    for (;;) {
      const ssize_t got = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got == 0) return true;
      if (got < 0) return errno != EAGAIN && errno != EWOULDBLOCK;
      std::string_view input(buffer, static_cast<std::size_t>(got));
      while (auto frame = parser_.Next(&input)) frames.push_back(std::move(*frame));
    }
  }
  bool Got(PeerFrameKind kind) {
    Closed();
    return !frames.empty() && frames.back().kind == kind;
  }

  std::vector<PeerFrame> frames;

 private:
  int fd_;
  PeerFrameParser parser_{1, 1 << 20};
};

class RawListener {
 public:
  RawListener() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
  }
  ~RawListener() { close(fd_); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::uint16_t port() const { return port_; }
  std::optional<int> Accept() {
    const int got = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK);
    return got < 0 ? std::nullopt : std::optional<int>(got);
  }
  void MakeNonBlocking() { EXPECT_EQ(setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kNoWait, sizeof kNoWait), 0); }

 private:
  static constexpr timeval kNoWait{0, 1000};
  int fd_;
  std::uint16_t port_ = 0;
};

class TcpTransportTest : public ::testing::Test {
 protected:
  TcpTransportTest() { SetLogLevel(LogLevel::kError); }

  TcpTransportOptions OptionsOf(std::uint64_t id) {
    TcpTransportOptions options;
    options.cluster = ClusterId(77);
    options.self = ReplicaId(id);
    options.incarnation = Incarnation(1);
    options.protocol = "raft";
    options.listen = "127.0.0.1:0";
    return options;
  }
  void Open(Node& node, TcpTransportOptions options) {
    auto opened = TcpTransport::Open(executor_, random_, std::move(options));
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    node.transport = std::move(opened).value();
  }
  bool Until(const std::function<bool()>& condition, std::uint64_t limit_ns = kLimitNs) {
    Poll();
    const bool held = executor_.RunUntil(condition, limit_ns);
    executor_.Cancel(poll_);
    return held;
  }
  // Two nodes, 1 and 2, each knowing the other.
  void OpenPair(Node& a, Node& b, TcpTransportOptions options_a, TcpTransportOptions options_b) {
    Open(a, std::move(options_a));
    Open(b, std::move(options_b));
    ASSERT_TRUE(a.transport->SetPeers({{ReplicaId(1), a.address()}, {ReplicaId(2), b.address()}}).ok());
    ASSERT_TRUE(b.transport->SetPeers({{ReplicaId(1), a.address()}, {ReplicaId(2), b.address()}}).ok());
    a.transport->Start(&a.recorder);
    b.transport->Start(&b.recorder);
  }
  void ConnectPair(Node& a, Node& b) {
    OpenPair(a, b, OptionsOf(1), OptionsOf(2));
    ASSERT_TRUE(Until([&] { return a.recorder.links.count(ReplicaId(2)) && b.recorder.links.count(ReplicaId(1)); }));
  }
  PeerHello HelloOfNode2() {
    PeerHello hello;
    hello.cluster = ClusterId(77);
    hello.sender = ReplicaId(2);
    hello.receiver = ReplicaId(1);
    hello.incarnation = Incarnation(1);
    hello.attempt = ++attempt_;
    hello.protocol = "raft";
    return hello;
  }
  // Node 1 alone; node 2 is played by raw clients, at an address where nobody listens.
  void OpenAlone(Node& a, TcpTransportOptions options) {
    std::uint16_t nobody = 0;
    {
      RawListener gone;
      nobody = gone.port();
    }
    Open(a, std::move(options));
    ASSERT_TRUE(a.transport->SetPeers({{ReplicaId(2), "127.0.0.1:" + std::to_string(nobody)}}).ok());
    a.transport->Start(&a.recorder);
  }
  void LinkUp(Node& a, RawClient& client, PeerHello hello) {
    client.SendFrame(PeerFrameKind::kHello, EncodePeerHello(hello));
    ASSERT_TRUE(Until([&] { return client.Got(PeerFrameKind::kWelcome); }));
    const int before = a.recorder.ups;
    client.SendFrame(PeerFrameKind::kConfirm, "");
    ASSERT_TRUE(Until([&] { return a.recorder.ups > before; }));
  }

  AsioExecutor executor_;
  OsRandom random_;

 private:
  // Raw sockets make no event of their own in the loop, so conditions on them are looked at every millisecond.
  void Poll() {
    poll_ = executor_.After(kMs, [this] { Poll(); });
  }
  TimerId poll_ = 0;
  std::uint64_t attempt_ = 0;
};

TEST_F(TcpTransportTest, FramesArriveInOrderOnceAndWholeInBothDirections) {
  Node a;
  Node b;
  ConnectPair(a, b);
  std::vector<std::string> sent;
  for (int i = 0; i < 3000; ++i) {
    std::string text = std::to_string(i) + ":";
    if (i % 100 == 0) text.append(static_cast<std::size_t>(i) * 300, 'x');
    sent.push_back(text);
  }
  sent.push_back("");
  sent.push_back(std::string(20 << 20, 'L'));
  sent.push_back("last");
  for (const std::string& text : sent) {
    a.Send(2, text);
    b.Send(1, text);
  }
  ASSERT_TRUE(
      Until([&] { return a.recorder.frames.size() == sent.size() && b.recorder.frames.size() == sent.size(); }));
  EXPECT_EQ(a.recorder.frames, sent);
  EXPECT_EQ(b.recorder.frames, sent);
  EXPECT_EQ(a.recorder.downs, 0);
}

TEST_F(TcpTransportTest, FramesOfOneTurnLeaveInOneWrite) {
  Node a;
  Node b;
  ConnectPair(a, b);
  const std::uint64_t before = a.transport->counters().writes;
  for (int i = 0; i < 100; ++i) a.Send(2, "heartbeat");
  ASSERT_TRUE(Until([&] { return b.recorder.frames.size() == 100; }));
  EXPECT_EQ(a.transport->counters().writes, before + 1);
}

TEST_F(TcpTransportTest, NodesThatDialAtTheSameTimeKeepOneLink) {
  for (int round = 0; round < 20; ++round) {
    Node a;
    Node b;
    ConnectPair(a, b);
    a.Send(2, "from a");
    b.Send(1, "from b");
    ASSERT_TRUE(Until([&] { return a.recorder.frames.size() == 1 && b.recorder.frames.size() == 1; }));
    EXPECT_EQ(a.recorder.ups, 1);
    EXPECT_EQ(b.recorder.ups, 1);
    EXPECT_EQ(a.transport->counters().links_open, 1u);
    EXPECT_EQ(a.recorder.downs + b.recorder.downs, 0);
  }
}

TEST_F(TcpTransportTest, FramesSentFromOnLinkUpArriveFirst) {
  Node a;
  Node b;
  a.recorder.on_up = [&](ReplicaId) { a.Send(2, "at once"); };
  b.recorder.on_up = [&](ReplicaId) { b.Send(1, "at once"); };
  ConnectPair(a, b);
  a.Send(2, "later");
  ASSERT_TRUE(Until([&] { return b.recorder.frames.size() == 2 && a.recorder.frames.size() == 1; }));
  EXPECT_EQ(b.recorder.frames, (std::vector<std::string>{"at once", "later"}));
}

TEST_F(TcpTransportTest, ARestartedPeerComesBackWithItsNewIncarnation) {
  Node a;
  Node b;
  ConnectPair(a, b);
  TcpTransportOptions again = OptionsOf(2);
  again.listen = b.address();
  again.incarnation = Incarnation(2);
  b.transport.reset();
  ASSERT_TRUE(Until([&] { return a.recorder.downs == 1 && a.recorder.refused >= 1; }));
  a.Send(2, "nobody hears this");
  Node b2;
  Open(b2, again);
  ASSERT_TRUE(b2.transport->SetPeers({{ReplicaId(1), a.address()}}).ok());
  b2.transport->Start(&b2.recorder);
  ASSERT_TRUE(Until([&] { return a.recorder.ups == 2 && b2.recorder.ups == 1; }));
  EXPECT_EQ(a.recorder.incarnations[ReplicaId(2)], Incarnation(2));
  a.Send(2, "hello again");
  ASSERT_TRUE(Until([&] { return !b2.recorder.frames.empty(); }));
  EXPECT_EQ(b2.recorder.frames, std::vector<std::string>{"hello again"});
}

TEST_F(TcpTransportTest, EveryRefusedDialIsReported) {
  Node a;
  OpenAlone(a, OptionsOf(1));
  ASSERT_TRUE(Until([&] { return a.recorder.refused >= 4; }));
  EXPECT_EQ(a.transport->counters().dials_refused, static_cast<std::uint64_t>(a.recorder.refused));
}

TEST_F(TcpTransportTest, ARefusalByNameIsReportedToo) {
  std::uint16_t nobody = 0;
  {
    RawListener gone;
    nobody = gone.port();
  }
  Node a;
  Open(a, OptionsOf(1));
  ASSERT_TRUE(a.transport->SetPeers({{ReplicaId(2), "localhost:" + std::to_string(nobody)}}).ok());
  a.transport->Start(&a.recorder);
  EXPECT_TRUE(Until([&] { return a.recorder.refused >= 1; }));
}

TEST_F(TcpTransportTest, EachKindOfStrangerIsRejectedForItsReason) {
  const std::vector<std::pair<PeerRejection, std::function<void(TcpTransportOptions&)>>> cases = {
      {PeerRejection::kWrongCluster, [](TcpTransportOptions& o) { o.cluster = ClusterId(78); }},
      {PeerRejection::kOtherProtocol, [](TcpTransportOptions& o) { o.protocol = "zab"; }},
      {PeerRejection::kNoCommonVersion, [](TcpTransportOptions& o) { o.version_min = o.version_max = 2; }},
      {PeerRejection::kUnknownSender, [](TcpTransportOptions& o) { o.self = ReplicaId(3); }},
  };
  for (const auto& [reason, change] : cases) {
    SCOPED_TRACE(PeerRejectionName(reason));
    Node a;
    Node b;
    TcpTransportOptions wrong = OptionsOf(2);
    change(wrong);
    OpenPair(a, b, OptionsOf(1), wrong);
    ASSERT_TRUE(Until([&] { return a.rejected(reason) >= 1 && b.transport->counters().rejected_by_peers >= 1; }));
    EXPECT_EQ(a.recorder.ups, 0);
    EXPECT_EQ(b.recorder.ups, 0);
  }
}

TEST_F(TcpTransportTest, ACallerThatWantedSomebodyElseIsRejected) {
  Node a;
  Node b;
  Open(a, OptionsOf(1));
  Open(b, OptionsOf(2));
  ASSERT_TRUE(a.transport->SetPeers({{ReplicaId(2), b.address()}}).ok());
  ASSERT_TRUE(b.transport->SetPeers({{ReplicaId(3), a.address()}}).ok());
  a.transport->Start(&a.recorder);
  b.transport->Start(&b.recorder);
  EXPECT_TRUE(Until([&] { return a.rejected(PeerRejection::kWrongReceiver) >= 1; }));
  EXPECT_TRUE(Until([&] { return b.rejected(PeerRejection::kUnknownSender) >= 1; }));
  EXPECT_EQ(a.recorder.ups + b.recorder.ups, 0);
}

TEST_F(TcpTransportTest, ALifeThatIsOverIsRejected) {
  Node a;
  OpenAlone(a, OptionsOf(1));
  RawClient now(a.transport->port());
  PeerHello hello = HelloOfNode2();
  hello.incarnation = Incarnation(5);
  LinkUp(a, now, hello);
  RawClient past(a.transport->port());
  past.SendFrame(PeerFrameKind::kHello, EncodePeerHello(HelloOfNode2()));
  ASSERT_TRUE(Until([&] { return past.Got(PeerFrameKind::kReject); }));
  EXPECT_EQ(a.rejected(PeerRejection::kStaleIncarnation), 1u);
  EXPECT_EQ(a.recorder.downs, 0);
}

TEST_F(TcpTransportTest, ANewConnectionOfThePeerReplacesTheLinkOnceConfirmed) {
  Node a;
  OpenAlone(a, OptionsOf(1));
  RawClient first(a.transport->port());
  LinkUp(a, first, HelloOfNode2());
  RawClient second(a.transport->port());
  second.SendFrame(PeerFrameKind::kHello, EncodePeerHello(HelloOfNode2()));
  ASSERT_TRUE(Until([&] { return second.Got(PeerFrameKind::kWelcome); }));
  EXPECT_EQ(a.recorder.downs, 0);
  second.SendFrame(PeerFrameKind::kConfirm, "");
  ASSERT_TRUE(Until([&] { return a.recorder.ups == 2; }));
  EXPECT_EQ(a.recorder.downs, 1);
  ASSERT_TRUE(Until([&] { return first.Closed(); }));
  a.Send(2, "on the second");
  EXPECT_TRUE(Until([&] { return second.Got(PeerFrameKind::kMessage); }));
}

TEST_F(TcpTransportTest, AWelcomedConnectionThatDiesLeavesTheLinkAlone) {
  Node a;
  OpenAlone(a, OptionsOf(1));
  RawClient first(a.transport->port());
  LinkUp(a, first, HelloOfNode2());
  RawClient second(a.transport->port());
  second.SendFrame(PeerFrameKind::kHello, EncodePeerHello(HelloOfNode2()));
  ASSERT_TRUE(Until([&] { return second.Got(PeerFrameKind::kWelcome); }));
  second.Close();
  first.SendFrame(PeerFrameKind::kMessage, "still here");
  ASSERT_TRUE(Until([&] { return a.recorder.frames.size() == 1; }));
  EXPECT_EQ(a.recorder.ups, 1);
  EXPECT_EQ(a.recorder.downs, 0);
}

TEST_F(TcpTransportTest, TheLowerEndKeepsItsOwnDialAndTheHigherEndGivesItsUp) {
  RawListener two;
  two.MakeNonBlocking();
  for (const std::uint64_t self : {std::uint64_t{1}, std::uint64_t{3}}) {
    SCOPED_TRACE(self);
    Node a;
    Open(a, OptionsOf(self));
    ASSERT_TRUE(a.transport->SetPeers({{ReplicaId(2), two.address()}}).ok());
    a.transport->Start(&a.recorder);
    std::optional<int> accepted;
    ASSERT_TRUE(Until([&] { return (accepted = two.Accept()).has_value(); }));
    RawClient dialled_by_a(*accepted);
    ASSERT_TRUE(Until([&] { return dialled_by_a.Got(PeerFrameKind::kHello); }));
    RawClient dialled_by_two(a.transport->port());
    PeerHello hello = HelloOfNode2();
    hello.receiver = ReplicaId(self);
    dialled_by_two.SendFrame(PeerFrameKind::kHello, EncodePeerHello(hello));
    if (self == 1) {
      ASSERT_TRUE(Until([&] { return dialled_by_two.Got(PeerFrameKind::kReject); }));
      EXPECT_EQ(DecodePeerReject(dialled_by_two.frames.back().payload.view()), PeerRejection::kDuplicate);
      EXPECT_FALSE(dialled_by_a.Closed());
    } else {
      ASSERT_TRUE(Until([&] { return dialled_by_two.Got(PeerFrameKind::kWelcome); }));
      ASSERT_TRUE(Until([&] { return dialled_by_a.Closed(); }));
    }
  }
}

TEST_F(TcpTransportTest, AHandshakeInSingleBytesIsUnderstood) {
  Node a;
  OpenAlone(a, OptionsOf(1));
  RawClient slow(a.transport->port());
  const std::string hello = EncodePeerHello(HelloOfNode2());
  const PeerFrameHeader header = EncodePeerFrameHeader(PeerFrameKind::kHello, 1, hello);
  for (const char c : std::string(header.data(), header.size()) + hello) {
    slow.Send(std::string(1, c));
    Until([] { return false; }, kMs);
  }
  EXPECT_TRUE(Until([&] { return slow.Got(PeerFrameKind::kWelcome); }));
}

TEST_F(TcpTransportTest, GarbageIsCountedAndDisturbsNobody) {
  Node a;
  Node b;
  ConnectPair(a, b);
  RawClient http(a.transport->port());
  http.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  RawClient huge(a.transport->port());
  const PeerFrameHeader header = EncodePeerFrameHeader(PeerFrameKind::kHello, 1, std::string(4096, 'x'));
  huge.Send(std::string(header.data(), header.size()));
  RawClient impatient(a.transport->port());
  impatient.SendFrame(PeerFrameKind::kMessage, "no hello before it");
  RawClient not_a_hello(a.transport->port());
  not_a_hello.SendFrame(PeerFrameKind::kHello, "?");
  ASSERT_TRUE(Until([&] { return a.rejected(PeerRejection::kMalformed) == 4; }));
  for (RawClient* client : {&http, &huge, &impatient, &not_a_hello}) {
    EXPECT_TRUE(Until([&] { return client->Closed(); }));
    client->Close();
  }
  a.Send(2, "undisturbed");
  ASSERT_TRUE(Until([&] { return b.recorder.frames.size() == 1; }));
  EXPECT_EQ(a.recorder.downs, 0);
  EXPECT_EQ(a.recorder.ups, 1);
}

TEST_F(TcpTransportTest, AHandshakeThatStopsHalfWayTimesOut) {
  Node a;
  TcpTransportOptions options = OptionsOf(1);
  options.handshake_timeout_ns = 100 * kMs;
  OpenAlone(a, options);
  RawClient silent(a.transport->port());
  RawClient half(a.transport->port());
  half.Send("QRPF\x01");
  RawClient unconfirmed(a.transport->port());
  unconfirmed.SendFrame(PeerFrameKind::kHello, EncodePeerHello(HelloOfNode2()));
  ASSERT_TRUE(Until([&] { return a.rejected(PeerRejection::kTimeout) == 3; }));
  EXPECT_TRUE(Until([&] { return silent.Closed() && half.Closed() && unconfirmed.Closed(); }));
  const std::uint64_t dials = a.transport->counters().dials;
  EXPECT_TRUE(Until([&] { return a.transport->counters().dials > dials; })) << "dialling goes on";
}

TEST_F(TcpTransportTest, APeerThatAcceptsAndSaysNothingIsDialledAgain) {
  RawListener mute;
  Node a;
  TcpTransportOptions options = OptionsOf(1);
  options.handshake_timeout_ns = 100 * kMs;
  Open(a, options);
  ASSERT_TRUE(a.transport->SetPeers({{ReplicaId(2), mute.address()}}).ok());
  a.transport->Start(&a.recorder);
  EXPECT_TRUE(Until([&] { return a.transport->counters().dials >= 3; }));
  EXPECT_GE(a.rejected(PeerRejection::kTimeout), 2u);
  EXPECT_EQ(a.recorder.refused, 0);
}

TEST_F(TcpTransportTest, ManyHalfOpenConnectionsDoNotKeepAMemberOut) {
  Node a;
  TcpTransportOptions options = OptionsOf(1);
  options.handshakes_max = 4;
  OpenAlone(a, options);
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 10; ++i) crowd.push_back(std::make_unique<RawClient>(a.transport->port()));
  ASSERT_TRUE(Until([&] { return a.rejected(PeerRejection::kTooMany) == 6; }));
  RawClient member(a.transport->port());
  LinkUp(a, member, HelloOfNode2());
}

TEST_F(TcpTransportTest, AFrameOverTheLimitOrWithAWrongChecksumEndsTheLink) {
  Node a;
  OpenAlone(a, OptionsOf(1));
  {
    RawClient huge(a.transport->port());
    LinkUp(a, huge, HelloOfNode2());
    PeerFrameHeader header = EncodePeerFrameHeader(PeerFrameKind::kMessage, 1, "");
    header[11] = 5;  // 80 MiB
    huge.Send(std::string_view(header.data(), header.size()));
    ASSERT_TRUE(Until([&] { return a.recorder.downs == 1; }));
  }
  RawClient damaged(a.transport->port());
  LinkUp(a, damaged, HelloOfNode2());
  damaged.SendFrame(PeerFrameKind::kMessage, "good");
  PeerFrameHeader header = EncodePeerFrameHeader(PeerFrameKind::kMessage, 1, "sent");
  damaged.Send(std::string(header.data(), header.size()) + "bent");
  damaged.SendFrame(PeerFrameKind::kMessage, "never looked at");
  ASSERT_TRUE(Until([&] { return a.recorder.downs == 2; }));
  EXPECT_EQ(a.recorder.frames, std::vector<std::string>{"good"});
  EXPECT_EQ(a.transport->counters().bad_frames, 2u);
}

TEST_F(TcpTransportTest, APeerThatDoesNotReadLosesItsLinkAtTheQueueCap) {
  Node a;
  TcpTransportOptions options = OptionsOf(1);
  options.queue_bytes_max = 1 << 20;
  OpenAlone(a, options);
  RawClient deaf(a.transport->port());
  LinkUp(a, deaf, HelloOfNode2());
  for (int i = 0; i < 4000 && a.recorder.downs == 0; ++i) {
    a.Send(2, std::string(64 << 10, 'x'));
    if (i % 8 == 0) Until([] { return false; }, kMs);
  }
  ASSERT_TRUE(Until([&] { return a.recorder.downs == 1; }));
  EXPECT_EQ(a.transport->counters().queue_overflows, 1u);
  EXPECT_EQ(a.transport->counters().links_open, 0u);
}

TEST_F(TcpTransportTest, AMemberThatLeavesLosesItsLink) {
  Node a;
  Node b;
  ConnectPair(a, b);
  ASSERT_TRUE(a.transport->SetPeers({}).ok());
  EXPECT_EQ(a.recorder.downs, 0) << "not from inside the call";
  ASSERT_TRUE(Until([&] { return a.recorder.downs == 1 && a.rejected(PeerRejection::kUnknownSender) >= 1; }));
  EXPECT_EQ(a.recorder.ups, 1);
  EXPECT_FALSE(a.transport->SetPeers({{ReplicaId(2), "nowhere"}}).ok());
  ASSERT_TRUE(a.transport->SetPeers({{ReplicaId(2), b.address()}}).ok());
  EXPECT_TRUE(Until([&] { return a.recorder.ups == 2; }));
}

TEST_F(TcpTransportTest, HoweverOftenLinksAreCutBothEndsAgreeOnOneAgain) {
  Node a;
  Node b;
  TcpTransportOptions options_a = OptionsOf(1);
  TcpTransportOptions options_b = OptionsOf(2);
  options_a.reconnect_min_ns = options_b.reconnect_min_ns = kMs / 10;
  OpenPair(a, b, options_a, options_b);
  for (int round = 0; round < 60; ++round) {
    Node& cutter = round % 2 == 0 ? a : b;
    ASSERT_TRUE(cutter.transport->SetPeers({}).ok());
    ASSERT_TRUE(cutter.transport->SetPeers({{ReplicaId(1), a.address()}, {ReplicaId(2), b.address()}}).ok());
    if (round % 3 != 0) continue;  // otherwise cut again at once, in the middle of the handshakes
    const std::string ping = "ping " + std::to_string(round);
    ASSERT_TRUE(Until([&] {
      if (a.recorder.links.empty() || b.recorder.links.empty()) return false;
      if (a.recorder.frames.empty() || a.recorder.frames.back() != ping) b.Send(1, ping);
      if (b.recorder.frames.empty() || b.recorder.frames.back() != ping) a.Send(2, ping);
      return !a.recorder.frames.empty() && !b.recorder.frames.empty() && a.recorder.frames.back() == ping &&
             b.recorder.frames.back() == ping;
    })) << round;
    for (int turn = 0; turn < round % 5; ++turn) Until([] { return false; }, kMs / 20);
  }
  EXPECT_EQ(a.transport->counters().bad_frames + b.transport->counters().bad_frames, 0u);
  EXPECT_LE(a.recorder.ups, 61) << "one cut costs one link, not a series of them";
  EXPECT_LE(b.recorder.ups, 61);
}

TEST_F(TcpTransportTest, AnAddressThatCannotBeBoundIsNamedWithItsFlag) {
  RawListener taken;
  TcpTransportOptions options = OptionsOf(1);
  options.listen = taken.address();
  const Status status = TcpTransport::Open(executor_, random_, options).status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("--listen-peer " + taken.address()), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("in use"), std::string::npos) << status.message();
  options.listen = "no port";
  EXPECT_EQ(TcpTransport::Open(executor_, random_, options).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(TcpTransportTest, LinksWorkOverIpv6) {
  Node a;
  Node b;
  TcpTransportOptions options = OptionsOf(1);
  options.listen = "[::1]:0";
  auto opened = TcpTransport::Open(executor_, random_, options);
  if (!opened.ok()) GTEST_SKIP() << "no IPv6 here: " << opened.status().message();
  a.transport = std::move(opened).value();
  options = OptionsOf(2);
  options.listen = "[::1]:0";
  Open(b, options);
  const auto at = [](const Node& node) { return "[::1]:" + std::to_string(node.transport->port()); };
  ASSERT_TRUE(a.transport->SetPeers({{ReplicaId(2), at(b)}}).ok());
  ASSERT_TRUE(b.transport->SetPeers({{ReplicaId(1), at(a)}}).ok());
  a.transport->Start(&a.recorder);
  b.transport->Start(&b.recorder);
  EXPECT_TRUE(Until([&] { return a.recorder.ups == 1 && b.recorder.ups == 1; }));
}

TEST_F(TcpTransportTest, DestroyingATransportInTheMiddleOfEverythingCallsNobody) {
  Node b;
  {
    Node a;
    OpenPair(a, b, OptionsOf(1), OptionsOf(2));
    for (int turn = 0; turn < 3; ++turn) Until([] { return false; }, kMs / 20);
    a.Send(2, "perhaps");
  }
  EXPECT_TRUE(Until([&] { return b.recorder.refused >= 1; }));
}

}  // namespace
}  // namespace quorate::env
