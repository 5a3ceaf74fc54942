// Workload: clients that read, write, swap and delete a handful of keys at any member, and the history of what they
// were told.
//
// Each client has one operation under way. A request goes to a member's own executor, as a frontend's would; what a
// crashed member had not answered is unknown. Used by sim/run. Thread rule: one thread.
//
// Invariants:
//  1. Every value is written by one operation only.
//  2. An operation's interval holds everything the member did about it: it opens before the member hears of it and
//     closes after it has answered.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coord/command.h"
#include "sim/cluster.h"
#include "sim/history.h"
#include "sim/random.h"

namespace quorate::sim {

struct WorkloadOptions {
  std::uint64_t seed = 0;
  std::uint64_t clients = 6;
  std::uint64_t keys = 4;
  std::uint64_t think_max_ns = 150 * kMillisecond;
  std::uint64_t timeout_min_ns = 500 * kMillisecond;
  std::uint64_t timeout_max_ns = 5 * kSecond;
  std::uint64_t get_permille = 350;
  std::uint64_t swap_permille = 250;
  std::uint64_t delete_permille = 70;  // the rest are puts
};

class Workload {
 public:
  Workload(WorkloadOptions options, Cluster& cluster);

  void Start();
  void Stop() { stopped_ = true; }  // what is under way goes on
  // One operation outside of the clients' own, for the liveness phase; `done` runs when it was answered or lost.
  void Ask(ReplicaId member, OperationKind kind, const std::string& key, std::function<void(const Operation&)> done);

  const History& history() const { return history_; }
  std::vector<std::string> keys() const;
  std::uint64_t open() const { return open_.size(); }

 private:
  using Done = std::function<void(const Operation&)>;
  struct Client {
    std::uint64_t number = 0;
    ReplicaId home;
    SeededRandom random;
  };
  struct Compare {  // how a swap says what it expects
    bool by_revision = false;
    Revision revision = 0;
  };

  void Next(Client& client);
  void Begin(Operation operation, Compare compare, std::uint64_t timeout_ns, Done done);
  void Send(std::size_t position, const Compare& compare, std::uint64_t timeout_ns);
  void SendGet(Member& member, std::size_t position, std::uint64_t deadline_ns);
  void AnswerGet(Member& member, std::size_t position, const Result<coord::RangeResponse>& found);
  void SendWrite(Member& member, std::size_t position, const Compare& compare, std::uint64_t deadline_ns);
  void Answer(std::size_t position, OperationFate fate);
  void AnswerWrite(std::size_t position, const replica::ProposeResult& result);
  void Remember(const Operation& operation);
  void OnCrash(ReplicaId member);
  Compare ChooseExpectation(SeededRandom& random, Operation& operation);

  WorkloadOptions options_;
  Cluster& cluster_;
  bool stopped_ = false;
  std::vector<Client> clients_;
  History history_;
  std::map<std::size_t, Done> open_;                           // by position in history_
  std::map<std::string, std::optional<SeenValue>> last_seen_;  // by key: what somebody was told last
};

}  // namespace quorate::sim
