// PeerTable: keeps the transport's peers and the cluster file at what the member table says, on every member.
//
// Made by Node, told after applying. Thread rule: the reactor's thread; works in a task of its own, because neither may
// be done inside a callback of the transport.
//
// A removed member stays a peer while it still takes part in consensus, so that it hears of its removal; then its calls
// are answered with "removed".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "coord/machine.h"
#include "env/executor.h"
#include "replica/group.h"
#include "server/config.h"

namespace quorate::server {

class PeerTable {
 public:
  struct Sinks {
    std::function<Status(const std::vector<Member>& peers, const std::set<ReplicaId>& removed)> transport;
    std::function<Status(const std::vector<Member>& members)> file;
  };
  // `config` as the data directory has it: who the members are while the table does not say.
  PeerTable(const ServeConfig& config, const replica::Group& group, const coord::Machine& machine,
            env::Executor& executor, Sinks sinks);

  void OnApplied();
  void Follow();  // at once; not inside the transport's callbacks

 private:
  std::vector<Member> Table() const;

  const ReplicaId self_;
  const std::string name_;
  const std::vector<Member> first_;
  const replica::Group& group_;
  const coord::Machine& machine_;
  env::Executor& executor_;
  const Sinks sinks_;
  std::map<ReplicaId, Member> known_;           // addresses of all that were ever seen in this life
  std::uint64_t followed_ = ~std::uint64_t{0};  // Machine::member_changes
  consensus::Membership followed_membership_;
  bool posted_ = false;
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::server
