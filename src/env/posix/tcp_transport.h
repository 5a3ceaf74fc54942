// TcpTransport: env::Transport over TCP between the nodes of one cluster.
//
// Made by server/ wiring: Open, then SetPeers, then Start. Thread rule: the executor's thread, for everything. The
// executor, the random source and the listener outlive it; destroying it closes all sockets and calls nobody. SetPeers
// and the destructor are not for use inside the listener's callbacks.
//
// One link per pair of nodes. Both ends dial, because both must learn that nobody listens at the other's address; so
// two connections can meet. Which one is kept is decided like this:
//   - A hello that arrives while this node's own dial has not connected yet is welcomed and the dial given up.
//   - When both have connected, the one dialled by the lower replica id is kept: the lower end rejects the other's
//   hello
//     (kDuplicate), the higher end welcomes it and closes its own.
//   - While a welcomed connection is being confirmed, this node does not dial that peer. So at most one connection per
//     pair is ever confirmed, and both ends agree on it.
//   - A confirmed connection replaces a link that is still up here: a peer dials only when it has none, so this one is
//     dead and its end has not been heard yet (the peer restarted, or only its half was closed).
//
// Invariants:
//  1. OnLinkUp comes before any frame of the link, OnLinkDown after the last; a peer has one link at a time.
//  2. A link that is lost is dialled again at once, then after a jittered back-off that doubles from reconnect_min_ns
//  to
//     reconnect_max_ns; it starts over only when a link has lasted.
//  3. Memory per peer is bounded: queue_bytes_max to send, one frame of frame_bytes_max to receive; connections that
//     have not finished their handshake: handshakes_max, the oldest makes room.
//  4. Nothing a stranger sends to the port disturbs a link.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "env/posix/peer_handshake.h"
#include "env/random.h"
#include "env/transport.h"

namespace quorate::env {

class AsioExecutor;

struct TcpTransportOptions {
  ClusterId cluster;
  ReplicaId self;
  Incarnation incarnation;                    // of this start, from the log
  std::string protocol;                       // consensus::ProtocolName
  std::string listen;                         // "host:port"; port 0 takes a free one; empty: nothing before Listen
  std::string listen_flag = "--listen-peer";  // named when `listen` cannot be bound
  std::uint64_t directory = 0;                // this node's data directory, see PeerHello; 0 = none
  std::map<ReplicaId, std::uint64_t> known_directories;                // of the peers, from earlier lives
  std::function<Status(ReplicaId, std::uint64_t)> remember_directory;  // durably; may be empty
  std::function<void()> on_forgotten;  // a peer knows this node's id with another data directory: stop
  std::function<void()> on_removed;    // a peer says that this node is no member any more: stop
  std::uint32_t feature_level = 1;     // the highest that this build knows
  // Answers kJoin frames; may be empty: they are refused then.
  std::function<std::string(std::string_view request)> on_join;

  std::uint64_t queue_bytes_max = 64 << 20;            // per peer; over it the link is closed
  std::uint64_t frame_bytes_max = 64 << 20;            // range [1 KiB, 64 MiB]
  std::uint64_t handshakes_max = 64;                   // accepted connections whose handshake is under way
  std::uint64_t handshake_timeout_ns = 5'000'000'000;  // range [100 ms, 60 s]
  std::uint64_t connect_timeout_ns = 3'000'000'000;    // names and all their addresses
  std::uint64_t reconnect_min_ns = 20'000'000;         //
  std::uint64_t reconnect_max_ns = 500'000'000;        //
  std::uint64_t link_lasted_ns = 1'000'000'000;        // a link that lives this long starts the back-off over
  std::uint64_t log_interval_ns = 30'000'000'000;      // the same complaint is logged once in this time
  std::uint8_t version_min = kPeerVersionMin;          //
  std::uint8_t version_max = kPeerVersionMax;
};

// What is known of a peer at this moment.
struct TcpPeerState {
  bool linked = false;
  std::uint64_t linked_since_ns = 0;  // of the monotonic clock, while linked
  std::uint32_t feature_level = 0;    // as its last hello said; 0 = no link yet in this life
};

// Since the start; links_open is a gauge.
struct TcpTransportCounters {
  std::uint64_t frames_sent = 0;
  std::uint64_t frames_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t writes = 0;
  std::uint64_t links_open = 0;
  std::uint64_t links_up = 0;
  std::uint64_t links_lost = 0;
  std::uint64_t dials = 0;
  std::uint64_t dials_refused = 0;
  std::uint64_t queue_overflows = 0;
  std::uint64_t bad_frames = 0;                           // connections closed for what came after the handshake
  std::array<std::uint64_t, kPeerRejections> rejected{};  // by this node, by PeerRejection
  std::uint64_t rejected_by_peers = 0;
};

class TcpTransport final : public Transport {
 public:
  // Binds and listens; accepts nothing before Start. Errors name the address, the flag and the reason.
  static Result<std::unique_ptr<TcpTransport>> Open(AsioExecutor& executor, Random& random,
                                                    TcpTransportOptions options);
  ~TcpTransport() override;

  // Who is in the cluster, and "host:port" where each listens; this node may be among them. May be called again: links
  // to those who left go down. INVALID_ARGUMENT names the address that is none, and changes nothing.
  Status SetPeers(const std::map<ReplicaId, std::string>& peers);
  // Who was in it and is not any more: when they call, they are told so.
  void SetRemoved(std::set<ReplicaId> removed);
  // Opens the port, when Open did not. Errors as Open's.
  Status Listen(const std::string& address);
  bool listening() const;
  std::map<ReplicaId, TcpPeerState> peers() const;
  void Start(TransportListener* listener) override;
  void Send(ReplicaId peer, Bytes frame) override;

  std::uint16_t port() const;  // bound
  TcpTransportCounters counters() const;

 private:
  class Impl;
  explicit TcpTransport(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace quorate::env
