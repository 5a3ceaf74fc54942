// Transport: ordered frames between the nodes of one cluster.
//
// A link is one connection: frames sent on it arrive in order and at most once, a prefix of what was sent, and nothing
// of it arrives after its LinkDown. Between any two nodes there is at most one current link; a new one is announced by
// LinkUp with the peer's incarnation before any of its frames. env/posix/tcp_transport.h is the real one. Thread rule:
// the owning executor's thread; the listener is called on it as well, never from inside Send.
#pragma once

#include "base/bytes.h"
#include "base/ids.h"

namespace quorate::env {

class TransportListener {
 public:
  virtual ~TransportListener() = default;
  virtual void OnLinkUp(ReplicaId peer, LinkId link, Incarnation incarnation) = 0;
  virtual void OnLinkDown(ReplicaId peer, LinkId link) = 0;
  virtual void OnLinkRefused(ReplicaId peer) = 0;  // "connection refused": nobody listens there
  virtual void OnFrame(ReplicaId peer, LinkId link, Bytes frame) = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual void Start(TransportListener* listener) = 0;
  // Queues a frame on the current link; dropped without a word when there is none or the queue is over its byte cap
  // (the link is then closed: a LinkDown follows, so a protocol that counts on FIFO notices).
  virtual void Send(ReplicaId peer, Bytes frame) = 0;
};

}  // namespace quorate::env
