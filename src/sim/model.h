// Model: what coord::Machine must do, written the simplest way: every version of every key in a map, nothing indexed,
// nothing removed. Executes the decided commands once and says what each outcome, read and event must be.
//
// Used by sim/model_checker. It knows the commands that the workload makes: put, delete range, transaction (nested
// too), compaction, leases. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coord/command.h"
#include "store/key_value.h"

namespace quorate::sim {

class Model {
 public:
  coord::CommandOutcome Execute(const coord::Command& command);

  Revision revision() const { return revision_; }
  Revision compact_revision() const { return compacted_; }
  // Reads below the compact revision are answered too: a member that lags may still give them.
  coord::RangeResponse Range(const coord::RangeRequest& request) const;
  const std::vector<store::Event>& EventsOf(Revision revision) const;
  std::optional<store::KeyValue> At(const std::string& key, Revision revision) const;

  struct Lease {
    std::int64_t ttl = 0;
    std::uint64_t deadline_ns = 0;  // of cluster time
    std::set<std::string> keys;
    std::uint64_t ttl_ms = 0;  // of a native session; 0 for a lease
    std::uint64_t last_sequence = 0;
  };
  const std::map<std::int64_t, Lease>& leases() const { return leases_; }

 private:
  using Path = std::vector<bool>;  // which branch each transaction takes, in order of execution

  coord::CommandOutcome Run(const coord::PutRequest& put);
  coord::CommandOutcome Run(const coord::DeleteRangeRequest& erase);
  coord::CommandOutcome Run(const coord::TxnRequest& txn);
  coord::CommandOutcome Run(const coord::CompactRequest& compact);
  coord::CommandOutcome Run(const coord::LeaseGrantRequest& grant);
  coord::CommandOutcome Run(const coord::LeaseRevokeRequest& revoke);
  coord::CommandOutcome Run(const coord::LeaseRenewRequest& renew);
  coord::CommandOutcome Run(const coord::ExpireRequest& expire);
  coord::CommandOutcome Run(const coord::AdvanceTime&);
  coord::CommandOutcome Run(const coord::PublishMember&);
  coord::CommandOutcome Run(const coord::RaiseFeatureLevel& raise);
  // Who belongs to the cluster is no part of the keyspace: nothing that a client of it could tell apart.
  coord::CommandOutcome Run(const coord::AddMember&);
  coord::CommandOutcome Run(const coord::RemoveMember&);
  coord::CommandOutcome Run(const coord::UpdateMember&);
  coord::CommandOutcome Run(const coord::PromoteMember&);
  coord::CommandOutcome Run(const coord::ReplaceMember&);
  coord::CommandOutcome Run(const coord::AlarmRequest&);
  coord::CommandOutcome Run(const coord::OpenSessionRequest& open);
  coord::CommandOutcome Run(const coord::CloseSessionRequest& close);
  coord::CommandOutcome Run(const coord::RenewSessionsRequest& renew);

  void Choose(const coord::TxnRequest& txn, Path* path) const;
  Status Validate(const coord::TxnRequest& txn, const Path& path, std::size_t* at) const;
  Status Validate(const coord::PutRequest& put) const;
  Status ValidateRevision(Revision revision) const;
  coord::TxnResponse Perform(const coord::TxnRequest& txn, const Path& path, std::size_t* at);
  coord::PutResponse Perform(const coord::PutRequest& put);
  coord::DeleteRangeResponse Perform(const coord::DeleteRangeRequest& erase);
  bool Holds(const coord::Compare& compare) const;
  void Write(store::KeyValue kv, store::Event::Type type);
  void Erase(const std::string& key);
  Status TakeTurn(const coord::Envelope& envelope);
  bool KnowsSessions() const { return level_ >= 3; }
  // The lease, or the native session, of that id.
  Lease* FindLease(std::int64_t id);
  Lease* FindSession(SessionId id);
  void End(std::int64_t lease);
  std::optional<store::KeyValue> Latest(const std::string& key) const { return At(key, revision_ + 1); }
  std::vector<std::string> KeysIn(const std::string& key, const std::string& end) const;

  Revision revision_ = 1;
  Revision compacted_ = 0;
  std::uint64_t time_ns_ = 0;
  consensus::Ballot newest_leader_;  // of those that stamped what was executed
  std::uint32_t level_ = 1;
  std::map<std::string, std::vector<store::KeyValue>> versions_;  // ascending; version 0 = a deletion
  std::map<Revision, std::vector<store::Event>> events_;          // those of revision_ + 1 are of the open command
  std::map<std::int64_t, Lease> leases_;
};

// Everything a client could tell apart, as text; of a refusal the code alone.
std::string Digest(const coord::CommandOutcome& outcome);
std::string Digest(const coord::RangeResponse& range);
std::string Digest(const store::KeyValue& kv);

}  // namespace quorate::sim
