// LeaderMonitor: calls that carry the metadata "hasleader: true" want an error instead of silence while the cluster
// has no leader. New ones are refused at once, open streams are ended after three election timeouts without one.
//
// Used by the frontend's dispatch and its streams. Thread rule: the reactor's thread. Its timer runs only while there
// are such streams.
#pragma once

#include <unordered_set>

#include "env/executor.h"
#include "frontend/etcd/wiring.h"
#include "net/grpc_server.h"

namespace quorate::frontend::etcd {

class LeaderDependent {
 public:
  virtual ~LeaderDependent() = default;
  virtual void OnNoLeader() = 0;  // ends the stream; no longer registered
};

class LeaderMonitor {
 public:
  explicit LeaderMonitor(const Wiring& wiring) : wiring_(wiring) {}
  ~LeaderMonitor();
  LeaderMonitor(const LeaderMonitor&) = delete;
  LeaderMonitor& operator=(const LeaderMonitor&) = delete;

  static bool Requires(const net::ServerCall& call);
  bool has_leader() const;
  void Add(LeaderDependent* stream);
  void Remove(LeaderDependent* stream);  // unknown ones are ignored

 private:
  void Arm();
  void Look();

  const Wiring& wiring_;
  std::unordered_set<LeaderDependent*> streams_;
  env::TimerId timer_ = 0;  // 0 = not running
  int looks_without_leader_ = 0;
};

}  // namespace quorate::frontend::etcd
