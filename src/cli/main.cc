// The `quorate` executable: one server and its tools.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string_view>

#include "cli/commands.h"
#include "sim/sim_command.h"

namespace quorate::cli {
namespace {

int Main(int argc, char** argv) {
  // The simulator reads its own flags: it is also an executable without the rest.
  if (argc > 1 && std::string_view(argv[1]) == "sim") return sim::SimMain(argc - 1, argv + 1);
  CLI::App app{"Quorate: one server that does the coordination work of etcd (and later ZooKeeper and Consul)."};
  app.name("quorate");
  app.require_subcommand(0, 1);
  app.footer(
      "Start here:\n"
      "  quorate local                  a three-node cluster on this machine\n"
      "  quorate serve                  one node on 127.0.0.1:2379, data in ./quorate.data\n"
      "  quorate kv put greeting hello  then: quorate kv get greeting\n"
      "`quorate COMMAND --help` explains each command.");
  Action action;
  AddServe(app, &action);
  AddLocal(app, &action);
  AddKv(app, &action);
  AddStatus(app, &action);
  AddMember(app, &action);
  AddSnapshot(app, &action);
  AddAlarm(app, &action);
  AddMoveLeader(app, &action);
  AddBench(app, &action);
  app.add_subcommand("sim", "Run whole clusters on simulated time, network and disks, break them and check them.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // 0: --help was asked for
  }
  if (!action) {
    std::fputs(app.help().c_str(), stdout);
    return 2;
  }
  return action();
}

}  // namespace
}  // namespace quorate::cli

int main(int argc, char** argv) {
  return quorate::cli::Main(argc, argv);
}
