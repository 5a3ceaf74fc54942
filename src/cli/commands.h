// The commands of `quorate`. Each Add registers its flags and, when chosen, stores what to run and its exit status.
//
// Called by main.cc only. Exit status everywhere: 0 good, 1 the server or a check said no, 2 could not run (bad flags,
// nobody there).
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace quorate::cli {

using Action = std::function<int()>;  // what the parsed command line asks for

void AddServe(CLI::App& app, Action* action);
void AddLocal(CLI::App& app, Action* action);
void AddKv(CLI::App& app, Action* action);
void AddStatus(CLI::App& app, Action* action);
void AddMember(CLI::App& app, Action* action);
void AddSnapshot(CLI::App& app, Action* action);
void AddAlarm(CLI::App& app, Action* action);
void AddMoveLeader(CLI::App& app, Action* action);
void AddBench(CLI::App& app, Action* action);

// The path of this executable, for starting it again.
std::string SelfPath();

}  // namespace quorate::cli
