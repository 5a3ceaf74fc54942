#include "sim/explore/explore_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "base/log.h"
#include "sim/bugs.h"
#include "sim/explore/explorer.h"

namespace quorate::sim::explore {
namespace {

constexpr int kGood = 0;
constexpr int kViolated = 1;
constexpr int kCouldNotRun = 2;
constexpr std::uint64_t kBudgetMax = 50;  // of each kind of event; far above what any machine can exhaust

struct Flags {
  std::string protocol = "raft";
  Scope scope;
  bool json = false;
};

void Declare(CLI::App& app, Flags& flags) {
  Scope& scope = flags.scope;
  const CLI::Range budget(std::uint64_t{0}, kBudgetMax);
  app.add_option("--protocol", flags.protocol, "raft, paxos or zab")->capture_default_str();
  app.add_option("--replicas", scope.replicas, "how many")
      ->check(CLI::Range(std::uint64_t{1}, kReplicasMax))
      ->capture_default_str();
  app.add_option("--elections", scope.elections, "timeouts of replicas that do not lead")
      ->check(budget)
      ->capture_default_str();
  app.add_option("--beats", scope.beats, "timeouts of leaders: heartbeats, say")->check(budget)->capture_default_str();
  app.add_option("--proposals", scope.proposals, "commands given to leaders")->check(budget)->capture_default_str();
  app.add_option("--reads", scope.reads, "read barriers, at any replica")->check(budget)->capture_default_str();
  app.add_option("--crashes", scope.crashes, "crashes, each with a restart")->check(budget)->capture_default_str();
  app.add_option("--losses", scope.losses, "messages lost; links broken for a protocol that needs FIFO links")
      ->check(budget)
      ->capture_default_str();
  app.add_option("--waits", scope.waits, "messages that come just before their receiver's deadline; 255: any number")
      ->check(CLI::Range(std::uint64_t{0}, kUnlimited))
      ->capture_default_str();
  app.add_option("--electors", scope.electors, "whose time may be up, as 1,2; without it: anybody's")->delimiter(',');
  app.add_option("--crashers", scope.crashers, "who may crash; without it: anybody")->delimiter(',');
  app.add_flag("--settled", scope.settled,
               "begin when all that follows from the start has arrived (Zab: with a leader)");
  app.add_flag("--single-appends", scope.single_appends, "one entry with a payload a message");
  app.add_flag("--slow-disks", scope.slow_disks, "anything may come between a write and its durability");
  app.add_option("--depth", scope.depth_max, "stop after so many events; 0: until nothing is new");
  app.add_option("--states-max", scope.states_max, "stop after so many states; 0: no limit");
  app.add_option("--audit", scope.audit_every, "try out every N-th pair of equal fingerprints; 0: none")
      ->capture_default_str();
  app.add_option("--bug", scope.bug, "switch a seeded bug on (needs a build of the `bugs` preset)");
  app.add_flag("--json", flags.json, "one JSON object");
}

int Fail(const std::string& why) {
  std::fprintf(stderr, "quorate sim explore: %s\n", why.c_str());
  return kCouldNotRun;
}

}  // namespace

int ExploreMain(int argc, char** argv) {
  Flags flags;
  CLI::App app{
      "Walks every interleaving of a protocol's core within a small scope, and checks every state.\n"
      "Nothing is drawn: the same scope gives the same states.",
      "sim explore"};
  Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kGood : kCouldNotRun;
  }
  const Result<consensus::Protocol> protocol = consensus::ParseProtocol(flags.protocol);
  if (!protocol.ok()) return Fail(protocol.status().message());
  if (!flags.scope.bug.empty() && FindSeededBug(flags.scope.bug) == nullptr) {
    return Fail("no seeded bug \"" + flags.scope.bug + "\" in this build: quorate sim --list-bugs shows them");
  }
  SetLogLevel(LogLevel::kError);
  flags.scope.protocol = *protocol;
  const Exploration exploration = ExploreApart(flags.scope);
  std::printf("%s\n", flags.json ? Json(exploration).c_str() : Summary(exploration).c_str());
  return exploration.violation ? kViolated : kGood;
}

}  // namespace quorate::sim::explore
