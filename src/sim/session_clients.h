// SessionClients: clients that send the numbered commands of a native session without waiting for the answers.
//
// Each keeps a few commands under way at one member. When one of them is refused, or its fate is unknown, the client
// gives the session up and opens another: what was sent behind it must then be refused too, and the model says so of
// every single command. Used by sim/run. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coord/command.h"
#include "replica/group.h"
#include "sim/cluster.h"
#include "sim/random.h"
#include "sim/scenario.h"

namespace quorate::sim {

class SessionClients {
 public:
  SessionClients(std::uint64_t seed, const Scenario& scenario, Cluster& cluster);
  void Start();
  void Stop() { stopped_ = true; }

 private:
  struct Client {
    std::uint64_t number = 0;
    ReplicaId home;
    SessionId session;           // 0: has none
    bool opened = false;         // and knows it
    std::uint64_t sent = 0;      // the last sequence number
    std::uint64_t answered = 0;  // how many were
    std::uint64_t silent = 0;    // turns without an answer
  };

  void Turn(std::size_t client);
  void Open(Client& client);
  void SendNext(Client& client);
  void GiveUp(Client& client);
  void Propose(Client& client, const coord::Command& command, void (SessionClients::*answered)(Client&, bool good));
  void OnOpened(Client& client, bool good);
  void OnExecuted(Client& client, bool good);

  const std::optional<Span> count_;  // of the scenario
  Cluster& cluster_;
  SeededRandom random_;
  bool stopped_ = false;
  std::vector<Client> clients_;
  std::uint64_t last_session_ = 0;
};

}  // namespace quorate::sim
