#include "cli/connection.h"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace quorate::cli {

void AddEndpointOptions(CLI::App& command, ConnectionArguments* arguments) {
  command.add_option("--endpoints", arguments->endpoints, "members to ask: host:port,...")
      ->envname("QUORATE_ENDPOINTS")
      ->capture_default_str();
  command.add_flag("--json", arguments->json, "one JSON object per line, for scripts");
}

void AddConnectionOptions(CLI::App& command, ConnectionArguments* arguments) {
  AddEndpointOptions(command, arguments);
  command.add_option("--timeout", arguments->timeout_seconds, "seconds for the whole call, other members included")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
}

Result<std::vector<client::Endpoint>> Endpoints(const ConnectionArguments& arguments) {
  return client::ParseEndpoints(arguments.endpoints);
}

Result<std::unique_ptr<client::EtcdClient>> MakeClient(const ConnectionArguments& arguments) {
  Result<std::vector<client::Endpoint>> endpoints = Endpoints(arguments);
  if (!endpoints.ok()) return endpoints.status();
  client::ClientOptions options;
  options.timeout_ns = arguments.timeout_ns();
  return std::make_unique<client::EtcdClient>(std::move(endpoints).value(), options);
}

bool IsNobodyThere(const Status& status) {
  return status.code() == StatusCode::kUnavailable &&
         (status.message().starts_with("connect:") || status.message().starts_with("no time left to connect"));
}

int Fail(const std::string& command, const Status& status) {
  std::fflush(stdout);
  if (!IsNobodyThere(status)) {
    std::fprintf(stderr, "quorate %s: %s\n", command.c_str(), status.message().c_str());
    return kExitRefused;
  }
  std::fprintf(
      stderr,
      "quorate %s: no member could be reached; the last failure was: %s\n"
      "Is a server running? `quorate local` starts a cluster; --endpoints or QUORATE_ENDPOINTS says where one is.\n",
      command.c_str(), status.message().c_str());
  return kExitCouldNotRun;
}

int FailToRun(const std::string& command, const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr, "quorate %s: %s\n", command.c_str(), why.c_str());
  return kExitCouldNotRun;
}

}  // namespace quorate::cli
