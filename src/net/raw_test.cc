// The server port against bytes no client library would send: malformed frames, floods, slow readers, bad HTTP/1.1.
#include <gtest/gtest.h>
#include <malloc.h>
#include <nghttp2/nghttp2.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/grpc.h"
#include "net/test_server.h"

namespace quorate::net {
namespace {

using boost::asio::ip::tcp;

enum FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindow = 8,
  kContinuation = 9
};
constexpr std::uint8_t kEndStream = 1;
constexpr std::uint8_t kEndHeaders = 4;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string Number(std::uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

std::string Frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  return Number(static_cast<std::uint32_t>(payload.size()), 3) + static_cast<char>(type) + static_cast<char>(flags) +
         Number(stream, 4) + std::string(payload);
}

// HPACK: a literal without indexing; lengths up to 16,000.
std::string Length(std::size_t length) {
  if (length < 127) return std::string(1, static_cast<char>(length));
  std::string out(1, '\x7f');
  for (length -= 127; length >= 128; length >>= 7) out += static_cast<char>((length & 127) | 128);
  return out + static_cast<char>(length);
}
std::string Field(std::string_view name, std::string_view value) {
  return std::string(1, '\0') + Length(name.size()) + std::string(name) + Length(value.size()) + std::string(value);
}
std::string Request(std::string_view path = "/t.T/Echo", std::string_view method = "POST",
                    std::string_view content_type = "application/grpc") {
  return Field(":method", method) + Field(":scheme", "http") + Field(":path", path) + Field(":authority", "t") +
         Field("te", "trailers") + Field("content-type", content_type);
}
std::string Message(std::string_view text) {
  return MessagePrefix(text.size()) + std::string(text);
}

// "/t.T/Echo" echoes, "/t.T/Big" answers a megabyte to each message, "/t.T/Hang" nothing, "/t.T/Late" a megabyte when
// Answer is called and there is room.
struct Echo : GrpcService {
  struct Handler : CallHandler {
    Handler(std::string_view p, ServerCall& c, Echo& s) : path(p), call(c), service(s) {}
    void OnMessage(std::string_view message) override {
      ++service.messages;
      if (path == "/t.T/Echo") call.Send(std::string(message));
      if (path == "/t.T/Big") call.Send(std::string(1'000'000, 'x'));
      if (path == "/t.T/Late") service.late.insert(&call);
    }
    void OnHalfClose() override {
      if (path != "/t.T/Hang" && path != "/t.T/Late") call.Finish(Status::Ok());
    }
    void OnDone() override {
      ++service.done;
      service.late.erase(&call);
    }
    const std::string path;
    ServerCall& call;
    Echo& service;
  };
  std::unique_ptr<CallHandler> Open(std::string_view path, ServerCall& call) override {
    ++opened;
    return std::make_unique<Handler>(path, call, *this);
  }
  void Answer() {
    for (ServerCall* call : std::exchange(late, {})) {
      call->WhenRoom(AnswerSize::kLarge, [this, call] {
        ++answered;
        call->Send(std::string(1'000'000, 'x'));
        call->Finish(Status::Ok());
      });
    }
  }
  int opened = 0;
  int messages = 0;
  int answered = 0;
  int done = 0;
  std::set<ServerCall*> late;
};

struct Http : HttpService {
  void Handle(const HttpRequest& request, std::function<void(HttpResponse)> done) override {
    ++requests;
    done({200, "text/plain", request.method + " " + request.target + " " + std::to_string(request.body.size())});
  }
  int requests = 0;
};

// A blocking client socket; reads end with the connection or, as a net under a broken test, after a minute.
class Peer {
 public:
  explicit Peer(std::uint16_t port) : socket_(context_) {
    socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    const timeval minute{60, 0};
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof minute);
  }
  // False when the server closed the connection.
  bool Write(std::string_view bytes) {
    boost::system::error_code error;
    boost::asio::write(socket_, boost::asio::buffer(bytes), error);
    return !error;
  }
  std::string Read(std::size_t count) {
    std::string bytes(count, '\0');
    boost::system::error_code error;
    bytes.resize(boost::asio::read(socket_, boost::asio::buffer(bytes), error));
    return bytes;
  }
  std::string ReadAll() {
    std::string bytes;
    for (std::string part = Read(4096);; part = Read(4096)) {
      bytes += part;
      if (part.size() < 4096) return bytes;
    }
  }
  struct Got {
    int type = -1;  // -1: the connection is closed
    std::uint8_t flags = 0;
    std::uint32_t stream = 0;
    std::string payload;
  };
  Got ReadFrame() {
    const std::string header = Read(9);
    if (header.size() < 9) return {};
    auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(header[i])); };
    Got got{static_cast<int>(byte(3)),
            static_cast<std::uint8_t>(byte(4)),
            byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8),
            {}};
    got.payload = Read(byte(0) << 16 | byte(1) << 8 | byte(2));
    return got;
  }
  // The next frame of the type, or the end.
  Got ReadUntil(int type) {
    for (Got got = ReadFrame();; got = ReadFrame()) {
      if (got.type == type || got.type == -1) return got;
    }
  }
  void Preface(std::string_view settings = "") { Write(std::string(kPreface) + Frame(kSettings, 0, 0, settings)); }

 private:
  boost::asio::io_context context_;
  tcp::socket socket_;
};

std::uint32_t ErrorCode(const Peer::Got& goaway) {
  std::uint32_t code = 0;
  for (std::size_t i = 4; i < 8; ++i) code = code << 8 | static_cast<unsigned char>(goaway.payload.at(i));
  return code;
}

// :status of a connection's first header block.
std::string HttpStatus(std::string block) {
  nghttp2_hd_inflater* inflater = nullptr;
  CHECK(nghttp2_hd_inflate_new(&inflater) == 0);
  std::string status;
  for (std::string_view rest = block; !rest.empty();) {
    nghttp2_nv field{};
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(inflater, &field, &flags,
                                                reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size(), 1);
    if (used < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(used));
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0) break;
    if (std::string_view(reinterpret_cast<const char*>(field.name), field.namelen) == ":status") {
      status.assign(reinterpret_cast<const char*>(field.value), field.valuelen);
    }
  }
  nghttp2_hd_inflate_del(inflater);
  return status;
}

class RawTest : public testing::Test {
 protected:
  // The server still serves others.
  void ExpectServing() {
    Peer peer(server_.port());
    peer.Preface();
    peer.Write(Frame(kHeaders, kEndHeaders, 1, Request()) + Frame(kData, kEndStream, 1, Message("alive")));
    EXPECT_EQ(peer.ReadUntil(kData).payload, Message("alive"));
  }
  bool Open(std::uint64_t count) {
    return server_.Eventually([this, count] { return server_.listener().metrics().connections_open == count; });
  }

  Echo echo_;
  Http http_;
  ServerLimits limits_ = [] {
    ServerLimits limits;
    limits.connection_output_bytes = 4'000'000;
    return limits;
  }();
  TestServer server_{&echo_, &http_, limits_};
};

TEST_F(RawTest, CallInManySmallPiecesIsServed) {
  Peer peer(server_.port());
  const std::string all = std::string(kPreface) + Frame(kSettings, 0, 0, "") +
                          Frame(kHeaders, kEndHeaders, 1, Request()) + Frame(kData, 0, 1, Message("hel").substr(0, 3)) +
                          Frame(kData, kEndStream, 1, Message("hel").substr(3));
  for (const char byte : all) ASSERT_TRUE(peer.Write({&byte, 1}));
  EXPECT_EQ(peer.ReadUntil(kData).payload, Message("hel"));
}

TEST_F(RawTest, GarbageAfterThePrefaceEndsTheConnection) {
  for (const std::string& garbage :
       {std::string(5000, '\xff'), Frame(kHeaders, kEndHeaders, 2, Request()), Frame(kData, 0, 0, "x"),
        Frame(kHeaders, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff"), Frame(kContinuation, 0, 1, ""),
        Frame(kWindow, 0, 0, std::string(4, '\0')), Frame(kPing, 0, 0, "short")}) {
    Peer peer(server_.port());
    peer.Preface();
    peer.Write(garbage);
    EXPECT_EQ(peer.ReadUntil(kGoaway).type, kGoaway);
    EXPECT_EQ(peer.ReadUntil(99).type, -1);
  }
  EXPECT_TRUE(Open(0));
  ExpectServing();
}

TEST_F(RawTest, RequestsThatAreNotGrpcAreAnsweredWithTheirHttpStatus) {
  for (const auto& [head, expected] :
       {std::pair(Request("/t.T/Echo", "GET"), "405"), std::pair(Request("/t.T/Echo", "POST", "text/html"), "415")}) {
    Peer peer(server_.port());
    peer.Preface();
    peer.Write(Frame(kHeaders, kEndHeaders | kEndStream, 1, head));
    const auto got = peer.ReadUntil(kHeaders);
    EXPECT_NE(got.flags & kEndStream, 0);
    EXPECT_EQ(HttpStatus(got.payload), expected);
  }
  EXPECT_EQ(server_.Run([&] { return echo_.opened; }), 0);
}

// etcd's Go client: the whole URL of an endpoint is its :authority.
TEST_F(RawTest, AnAuthorityThatIsAUrlIsServed) {
  Peer peer(server_.port());
  peer.Preface();
  const std::string head = Field(":method", "POST") + Field(":scheme", "http") + Field(":path", "/t.T/Echo") +
                           Field(":authority", "http://127.0.0.1:2379") + Field("content-type", "application/grpc");
  peer.Write(Frame(kHeaders, kEndHeaders, 1, head) + Frame(kData, kEndStream, 1, Message("hello")));
  EXPECT_EQ(peer.ReadUntil(kData).payload, Message("hello"));
}

TEST_F(RawTest, HeadersThatHttp2ForbidsResetTheirStreamOnly) {
  for (const std::string& bad :
       {Field("Upper", "case"), Field("sp ace", "v"), Field("name", "line\nfeed"), Field("", "v")}) {
    Peer peer(server_.port());
    peer.Preface();
    peer.Write(Frame(kHeaders, kEndHeaders, 1, Request() + bad));
    EXPECT_EQ(peer.ReadUntil(kReset).type, kReset);
    peer.Write(Frame(kHeaders, kEndHeaders, 3, Request()) + Frame(kData, kEndStream, 3, Message("next")));
    EXPECT_EQ(peer.ReadUntil(kData).payload, Message("next"));
  }
  EXPECT_EQ(server_.Run([&] { return echo_.done; }), server_.Run([&] { return echo_.opened; }));
}

TEST_F(RawTest, RequestsWithoutAMethodAreRefused) {
  Peer peer(server_.port());
  peer.Preface();
  peer.Write(Frame(kHeaders, kEndHeaders | kEndStream, 1,
                   Field(":path", "/t.T/Echo") + Field("content-type", "application/grpc")));
  EXPECT_EQ(HttpStatus(peer.ReadUntil(kHeaders).payload), "405");
  EXPECT_EQ(server_.Run([&] { return echo_.opened; }), 0);
}

TEST_F(RawTest, HeaderListOverTheBoundIsRefused) {
  Peer peer(server_.port());
  peer.Preface();
  std::string head = Request();
  for (int i = 0; i < 600; ++i) head += Field(std::to_string(i), std::string(50, 'v'));
  std::string frames;
  for (std::size_t at = 0; at < head.size(); at += 16'000) {
    const bool last = at + 16'000 >= head.size();
    frames += Frame(at == 0 ? kHeaders : kContinuation, last ? kEndHeaders : 0, 1, head.substr(at, 16'000));
  }
  peer.Write(frames);
  const auto got = peer.ReadUntil(kHeaders);
  EXPECT_NE(got.flags & kEndStream, 0);
  EXPECT_EQ(HttpStatus(got.payload), "431");
  EXPECT_EQ(server_.Run([&] { return echo_.opened; }), 0);
  ExpectServing();
}

TEST_F(RawTest, EndlessContinuationsEndTheConnection) {
  Peer peer(server_.port());
  peer.Preface();
  peer.Write(Frame(kHeaders, 0, 1, Request()));
  const std::string more = Frame(kContinuation, 0, 1, Field("x", std::string(1000, 'v')));
  for (int i = 0; i < 100'000 && peer.Write(more); ++i) {
  }
  EXPECT_TRUE(Open(0));
  ExpectServing();
}

TEST_F(RawTest, PingFloodIsToldToCalmDown) {
  Peer peer(server_.port());
  peer.Preface();
  peer.Write(Frame(kHeaders, kEndHeaders, 1, Request("/t.T/Hang")));
  for (int i = 0; i < 4; ++i) peer.Write(Frame(kPing, 0, 0, "12345678"));
  const auto goaway = peer.ReadUntil(kGoaway);
  ASSERT_EQ(goaway.type, kGoaway);
  EXPECT_EQ(ErrorCode(goaway), 11u);  // ENHANCE_YOUR_CALM
  EXPECT_EQ(goaway.payload.substr(8), "too_many_pings");
  EXPECT_TRUE(Open(0));
  EXPECT_EQ(server_.Run([&] { return echo_.done; }), 1);
}

TEST_F(RawTest, PingAfterEachAnswerIsFree) {
  Peer peer(server_.port());
  peer.Preface();
  for (std::uint32_t i = 0; i < 50; ++i) {
    peer.Write(Frame(kHeaders, kEndHeaders, 2 * i + 1, Request()) + Frame(kData, kEndStream, 2 * i + 1, Message("x")));
    ASSERT_EQ(peer.ReadUntil(kData).type, kData) << i;
    ASSERT_TRUE(peer.Write(Frame(kPing, 0, 0, "12345678")));
    ASSERT_EQ(peer.ReadUntil(kPing).type, kPing) << i;
  }
}

TEST_F(RawTest, RapidResetEndsTheConnection) {
  Peer peer(server_.port());
  peer.Preface();
  for (std::uint32_t id = 1; id < 200'000; id += 2) {
    if (!peer.Write(Frame(kHeaders, kEndHeaders, id, Request("/t.T/Hang")) + Frame(kReset, 0, id, Number(8, 4)))) break;
  }
  EXPECT_TRUE(Open(0));
  EXPECT_LT(server_.Run([&] { return echo_.opened; }), 10'000);
  EXPECT_EQ(server_.metrics().calls_open, 0u);
  ExpectServing();
}

TEST_F(RawTest, StreamsOverTheBoundAreRefusedOthersServed) {
  Peer peer(server_.port());
  peer.Preface();
  std::string frames;
  for (std::uint32_t i = 0; i < 5000; ++i) frames += Frame(kHeaders, kEndHeaders, 2 * i + 1, Request("/t.T/Hang"));
  peer.Write(frames);
  EXPECT_EQ(peer.ReadUntil(kReset).payload, Number(7, 4));  // REFUSED_STREAM
  EXPECT_LE(server_.metrics().calls_open, limits_.max_streams_per_connection);
}

TEST_F(RawTest, OversizedMessageIsRefusedBeforeItsBytesCome) {
  Peer peer(server_.port());
  peer.Preface();
  peer.Write(Frame(kHeaders, kEndHeaders, 1, Request()) + Frame(kData, 0, 1, MessagePrefix(0x7fffffff)));
  auto got = peer.ReadUntil(kHeaders);
  EXPECT_NE(got.flags & kEndStream, 0);
  EXPECT_EQ(peer.ReadUntil(kReset).payload, Number(0, 4));  // NO_ERROR: the rest is not wanted
}

TEST_F(RawTest, UnfinishedMessagesOfManyStreamsAreBounded) {
  Peer peer(server_.port());
  peer.Preface();
  std::string frames;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    frames += Frame(kHeaders, kEndHeaders, 2 * i + 1, Request());
    frames += Frame(kData, 0, 2 * i + 1, MessagePrefix(2'000'000) + std::string(16'000, 'x'));
  }
  peer.Write(frames);
  EXPECT_EQ(peer.ReadUntil(kReset).type, kReset);
  EXPECT_TRUE(server_.Eventually([&] { return server_.listener().metrics().bytes.received > 16'000'000; }));
  ExpectServing();
}

// A client that asks for gigabytes and takes nothing: requests wait once the answers are over the connection's cap.
TEST_F(RawTest, AnswersThatAreNotTakenHoldUpRequests) {
  for (const bool window : {false, true}) {
    const int before = server_.Run([&] { return echo_.messages; });
    const std::uint64_t over_before = server_.metrics().output_over_cap;
    Peer peer(server_.port());
    // Without a window the answers stay queued by HTTP/2's flow control; with it, by the full socket.
    peer.Preface(window ? Number(4, 2) + Number(0x7fffffff, 4) : "");
    if (window) peer.Write(Frame(kWindow, 0, 0, Number(0x7fff0000, 4)));
    std::string frames;
    for (std::uint32_t i = 0; i < 300; ++i) {
      frames += Frame(kHeaders, kEndHeaders, 2 * i + 1, Request("/t.T/Big"));
      frames += Frame(kData, kEndStream, 2 * i + 1, Message("x"));
    }
    peer.Write(frames);
    EXPECT_TRUE(server_.Eventually([&] { return server_.listener().metrics().output_over_cap > over_before; }));
    EXPECT_LT(server_.Run([&] { return echo_.messages; }) - before, 60) << window;
    if (!window) {
      // Taking them lets the rest go on.
      peer.Write(Frame(kSettings, 0, 0, Number(4, 2) + Number(0x7fffffff, 4)) +
                 Frame(kWindow, 0, 0, Number(0x7fff0000, 4)));
    }
    int ended = 0;
    while (ended < 300) {
      const auto got = peer.ReadFrame();
      ASSERT_NE(got.type, -1);
      if (got.type == kHeaders && (got.flags & kEndStream) != 0) ++ended;
    }
  }
  ExpectServing();
}

std::string LateCalls(std::uint32_t count) {
  std::string frames;
  for (std::uint32_t i = 0; i < count; ++i) {
    frames += Frame(kHeaders, kEndHeaders, 2 * i + 1, Request("/t.T/Late"));
    frames += Frame(kData, kEndStream, 2 * i + 1, Message("x"));
  }
  return frames;
}

// All requests are in before the first answer is made: then the answers wait.
TEST_F(RawTest, AnswersThatAreMadeLaterAreMadeAsTheClientTakesThem) {
  constexpr int kCalls = 200;
  Peer peer(server_.port());
  peer.Preface();
  peer.Write(LateCalls(kCalls));
  ASSERT_TRUE(server_.Eventually([&] { return echo_.late.size() == kCalls; }));
  server_.Run([&] { echo_.Answer(); });
  EXPECT_LE(server_.Run([&] { return echo_.answered; }), 5) << "four megabytes, and the one that goes over them";
  EXPECT_LT(server_.metrics().output_bytes, 6'000'000u);
  peer.Write(Frame(kSettings, 0, 0, Number(4, 2) + Number(0x7fffffff, 4)) +
             Frame(kWindow, 0, 0, Number(0x7fff0000, 4)));
  int ended = 0;
  while (ended < kCalls) {
    const auto got = peer.ReadFrame();
    ASSERT_NE(got.type, -1);
    if (got.type == kHeaders && (got.flags & kEndStream) != 0) ++ended;
  }
  EXPECT_EQ(server_.metrics().output_bytes, 0u);
}

TEST_F(RawTest, AnswersThatWaitGoWithTheirCalls) {
  {
    Peer peer(server_.port());
    peer.Preface();
    peer.Write(LateCalls(50));
    ASSERT_TRUE(server_.Eventually([&] { return echo_.late.size() == 50; }));
    server_.Run([&] { echo_.Answer(); });
    peer.Write(Frame(kReset, 0, 99, Number(8, 4)));
    ASSERT_TRUE(server_.Eventually([&] { return echo_.done == 1; }));
  }
  ASSERT_TRUE(server_.Eventually([&] { return echo_.done == 50; }));
  EXPECT_EQ(server_.metrics().output_bytes, 0u);
  ExpectServing();
}

TEST(RawTotalTest, AllConnectionsTogetherHoldABoundedAmountAndWhoTakesNothingMakesRoom) {
  Echo echo;
  ServerLimits limits;
  limits.total_output_bytes = 5'000'000;
  limits.stuck_after_ns = 200'000'000;
  TestServer server(&echo, nullptr, limits);
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 0; i < 10; ++i) {
    silent.push_back(std::make_unique<Peer>(server.port()));
    silent.back()->Preface();
    silent.back()->Write(LateCalls(3));
  }
  ASSERT_TRUE(server.Eventually([&] { return echo.late.size() == 30; }));
  server.Run([&] { echo.Answer(); });
  EXPECT_LE(server.Run([&] { return echo.answered; }), 6);
  EXPECT_LT(server.metrics().output_bytes, 7'000'000u);
  Peer honest(server.port());
  honest.Preface(Number(4, 2) + Number(0x7fffffff, 4));
  honest.Write(Frame(kWindow, 0, 0, Number(0x7fff0000, 4)) + LateCalls(1));
  ASSERT_TRUE(server.Eventually([&] { return !echo.late.empty(); }));
  server.Run([&] { echo.Answer(); });
  for (auto got = honest.ReadFrame();; got = honest.ReadFrame()) {
    ASSERT_NE(got.type, -1) << "who takes its answers was closed";
    if (got.type == kHeaders && (got.flags & kEndStream) != 0) break;
  }
  EXPECT_GT(server.metrics().stuck_closed, 0u);
}

TEST_F(RawTest, Http1IsAnsweredOnTheSamePortAndKeepsTheConnection) {
  Peer peer(server_.port());
  const std::string expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nGET /health 0";
  for (int i = 0; i < 3; ++i) {
    peer.Write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(peer.Read(expected.size()), expected);
  }
  peer.Write(
      "GET /health HTTP/1.1\r\nHost: x\r\n\r\nPOST /a HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
  const std::string rest = peer.ReadAll();
  EXPECT_TRUE(rest.starts_with(expected));
  EXPECT_TRUE(rest.ends_with("Connection: close\r\n\r\nPOST /a 3")) << rest;
}

TEST_F(RawTest, MalformedHttp1IsRefusedWithTheRightStatus) {
  for (const auto& [bytes, status] :
       {std::pair<std::string, std::string>("\x16\x03\x01\x02\x00\x01garbage\r\n\r\n", "400"),
        {"GET\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"},
        {"GET / HTTP/3.0\r\n\r\n", "505"},
        {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "505"},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "413"},
        {"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nx: " + std::string(20'000, 'x'), "431"}}) {
    Peer peer(server_.port());
    peer.Write(bytes);
    const std::string answer = peer.ReadAll();
    EXPECT_EQ(answer.substr(0, 13), std::string("HTTP/1.1 ").append(status).append(" ")) << bytes.substr(0, 40);
  }
  EXPECT_EQ(server_.Run([&] { return http_.requests; }), 0);
  EXPECT_TRUE(Open(0));
}

TEST(RawTimeoutTest, SlowHeadersEndTheConnection) {
  Echo echo;
  ServerLimits limits;
  limits.header_timeout_ns = 50'000'000;
  limits.http1_idle_timeout_ns = 100'000'000;
  TestServer server(&echo, nullptr, limits);
  for (const std::string_view start : {"GET / HTTP/1.1\r\n", "PRI * HT", ""}) {
    Peer peer(server.port());
    peer.Write(start);
    EXPECT_EQ(peer.ReadAll(), "");
  }
}

TEST(RawLimitTest, ConnectionsOverTheBoundAreClosed) {
  Echo echo;
  ServerLimits limits;
  limits.max_connections = 2;
  TestServer server(&echo, nullptr, limits);
  Peer first(server.port());
  Peer second(server.port());
  ASSERT_TRUE(server.Eventually([&] { return server.listener().metrics().connections_open == 2; }));
  Peer third(server.port());
  EXPECT_EQ(third.ReadAll(), "");
  EXPECT_EQ(server.metrics().connections_refused, 1u);
}

std::size_t ResidentBytes() {
  std::size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

TEST(IdleConnectionTest, CostsLessThanTwentyKilobytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's memory is not the server's";
#endif
  constexpr std::size_t kConnections = 2000;
  Echo echo;
  TestServer server(&echo);
  boost::asio::io_context context;
  std::vector<tcp::socket> sockets;
  sockets.reserve(kConnections);
  const std::string busy = std::string(kPreface) + Frame(kSettings, 0, 0, "") +
                           Frame(kHeaders, kEndHeaders, 1, Request()) + Frame(kData, kEndStream, 1, Message("once"));
  auto connect = [&] {
    tcp::socket socket(context);
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), server.port()});
    boost::asio::write(socket, boost::asio::buffer(busy));
    sockets.push_back(std::move(socket));
  };
  connect();  // what is needed once
  ASSERT_TRUE(server.Eventually([&] { return echo.done == 1; }));
  ::malloc_trim(0);
  const std::size_t before = ResidentBytes();
  while (sockets.size() <= kConnections) connect();
  ASSERT_TRUE(server.Eventually([&] { return echo.done == static_cast<int>(kConnections) + 1; }));
  const double kilobytes = static_cast<double>(ResidentBytes() - before) / 1024 / kConnections;
  RecordProperty("kilobytes_per_connection", std::to_string(kilobytes));
  std::cout << "an idle connection that has made one call costs " << kilobytes << " KB, the test's own end included\n";
  EXPECT_LT(kilobytes, 20);
}

}  // namespace
}  // namespace quorate::net
