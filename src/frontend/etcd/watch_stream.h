// WatchStream: one call of etcdserverpb.Watch.Watch. Creates, cancels and reports on watches, and writes what the hub
// delivers.
//
// Made by WatchService per call. Thread rule: the reactor's thread.
//
// Invariants:
//  1. A watch's `created` reply is sent before anything else about it: the hub calls a sink only from Pump.
//  2. A progress reply at revision r is sent only when every event <= r of the watches it speaks for was sent.
//  3. While more than net::kCallQueueCapBytes wait for the client, the stream takes nothing: its watches wait at a
//  position in the history, not with a backlog.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "coord/watch.h"
#include "env/executor.h"
#include "etcd/rpc.pb.h"
#include "frontend/etcd/leader_monitor.h"
#include "frontend/etcd/watch_service.h"
#include "frontend/etcd/wiring.h"
#include "net/grpc_server.h"

namespace quorate::frontend::etcd {

class WatchStream final : public net::CallHandler, public coord::WatchSink, public LeaderDependent {
 public:
  WatchStream(const Wiring& wiring, LeaderMonitor& leader_monitor, WatchPump& pump, net::ServerCall& call);
  ~WatchStream() override { Close(); }

  void OnMessage(std::string_view message) override;
  // The client has no more requests; its watches go on until it ends the call.
  void OnHalfClose() override {}
  void OnWritable() override { pump_.Schedule(); }
  void OnDone() override { Close(); }

  void OnEvents(coord::WatchHandle handle, Revision revision, std::vector<coord::WatchEvent> events) override;
  void OnCompacted(coord::WatchHandle handle, Revision compact_revision) override;
  bool CanTake() const override;

  void OnNoLeader() override;

 private:
  struct Watch {
    coord::WatchHandle handle = 0;
    Revision start_revision = 0;  // as the client gave it
    bool progress_notify = false;
    bool idle = true;  // nothing was sent for it since the last look
    bool fragment = false;
  };

  void Create(etcdserverpb::WatchCreateRequest* request);
  void RefuseCreate(const std::string& reason);
  void Cancel(std::int64_t id);
  // Whether a progress reply may speak for it: nothing is owed to it, and the store has reached its start.
  bool Synced(const Watch& watch) const;
  void ReportProgress();  // on request: for all watches at once, or not at all
  void ReportIdleWatches();
  void ArmProgressTimer();
  void Send(const etcdserverpb::WatchResponse& response);
  void FillResponse(std::int64_t id, Revision revision, etcdserverpb::WatchResponse* response) const;
  void End(const Status& status);
  void Close();
  coord::WatchHub& hub() const { return wiring_.backend.machine().watches(); }
  Revision revision() const { return wiring_.backend.machine().revision(); }

  const Wiring& wiring_;
  LeaderMonitor& leader_monitor_;
  WatchPump& pump_;
  net::ServerCall* call_;  // null once the call is over
  std::map<std::int64_t, Watch> watches_;
  std::unordered_map<coord::WatchHandle, std::int64_t> ids_;
  std::int64_t next_id_ = 0;
  env::TimerId progress_timer_ = 0;  // 0 = not running
};

}  // namespace quorate::frontend::etcd
