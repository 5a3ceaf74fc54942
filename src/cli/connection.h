// What every client command has in common: --endpoints, --timeout, --json, the client made from them, and the exit
// status of a failure. Called by kv, status, member and bench. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/etcd_client.h"

namespace CLI {
class App;
}

namespace quorate::cli {

inline constexpr int kExitGood = 0;
inline constexpr int kExitRefused = 1;      // the server or a check said no
inline constexpr int kExitCouldNotRun = 2;  // bad input, or nobody there

struct ConnectionArguments {
  std::string endpoints = "127.0.0.1:2379";
  double timeout_seconds = 5;
  bool json = false;

  std::uint64_t timeout_ns() const { return static_cast<std::uint64_t>(timeout_seconds * 1e9); }
};

// Registers --endpoints and --json, and --timeout with its default.
void AddEndpointOptions(CLI::App& command, ConnectionArguments* arguments);
void AddConnectionOptions(CLI::App& command, ConnectionArguments* arguments);

Result<std::vector<client::Endpoint>> Endpoints(const ConnectionArguments& arguments);
Result<std::unique_ptr<client::EtcdClient>> MakeClient(const ConnectionArguments& arguments);

// Says on standard error what went wrong and returns the exit status.
int Fail(const std::string& command, const Status& status);
int FailToRun(const std::string& command, const std::string& why);

// True when no member was reached: nothing was asked, so the answer is not the server's.
bool IsNobodyThere(const Status& status);

}  // namespace quorate::cli
