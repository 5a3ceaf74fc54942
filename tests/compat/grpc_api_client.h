// What the cases of grpc_api.cc speak with: stubs to every member, and a transcript of what was answered.
//
// Used by grpc_api only. Thread rule: one thread. Invariant: nothing in the transcript depends on ports, ids, times or
// terms, so that two right servers, started empty, print the same.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "etcd/rpc.grpc.pb.h"

namespace quorate::compat {

constexpr std::chrono::seconds kPatience{60};

struct Member {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  std::unique_ptr<etcdserverpb::Cluster::Stub> cluster;
  std::unique_ptr<etcdserverpb::Maintenance::Stub> maintenance;
  std::unique_ptr<grpc::GenericStub> generic;
};

class Api {
 public:
  explicit Api(const std::vector<std::string>& endpoints);

  // Another member each time: which one is asked must not matter.
  Member& Next() { return members_[++turn_ % members_.size()]; }
  // Next(), once it has everything that was acknowledged so far: a watch's first header tells how far its member is.
  Member& NextUpToDate();
  std::vector<Member>& members() { return members_; }

  // One call, its answer in the transcript. `request` is shown shortened.
  etcdserverpb::RangeResponse Range(const etcdserverpb::RangeRequest& request);
  etcdserverpb::PutResponse Put(const etcdserverpb::PutRequest& request);
  etcdserverpb::DeleteRangeResponse Delete(const etcdserverpb::DeleteRangeRequest& request);
  etcdserverpb::TxnResponse Txn(const etcdserverpb::TxnRequest& request);
  void Compact(std::int64_t revision);
  void Grant(std::int64_t id, std::int64_t ttl);
  void Revoke(std::int64_t id);
  void TimeToLive(std::int64_t id, bool keys);

  // Not in the transcript.
  std::int64_t PutQuietly(const std::string& key, const std::string& value, std::int64_t lease = 0);
  std::int64_t Revision();

 private:
  std::vector<Member> members_;
  std::size_t turn_ = 0;
};

// The message on one line; of a header only the revision, bytes beyond 40 as their number.
std::string Short(const google::protobuf::Message& message);
void Print(const std::string& line);
void PrintAnswer(const std::string& what, const grpc::Status& status, const google::protobuf::Message& answer);

class WatchSession {
 public:
  explicit WatchSession(Member& member, bool has_leader = false);
  ~WatchSession();

  void Create(const etcdserverpb::WatchCreateRequest& request);
  void Cancel(std::int64_t id);
  void Progress();
  // The next message; false when the stream ended.
  bool Read(etcdserverpb::WatchResponse* response) { return stream_->Read(response); }
  // Reads and prints `count` messages.
  void Show(int count);
  // Reads until `count` events have come and prints them one by one: how they are cut into messages is the server's
  // choice.
  void ShowEvents(int count);

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>> stream_;
};

}  // namespace quorate::compat
