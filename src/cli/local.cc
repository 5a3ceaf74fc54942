// `quorate local`: a whole cluster on this machine, in the foreground. Each node is a `quorate serve` of its own, so
// that it can be killed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace quorate::cli {
namespace {

constexpr int kFirstBase = 2379;
constexpr int kBaseStep = 1000;
constexpr int kNodeStep = 100;
constexpr int kBasesTried = 40;
constexpr int kHealthTries = 600;  // of 100 ms

volatile std::sig_atomic_t stop_requested = 0;

struct LocalArguments {
  int nodes = 3;
  std::string protocol = "raft";
  std::string directory = "quorate.local";
  bool json = false;
};

struct LocalNode {
  std::string name;
  int etcd_port = 0;
  int peer_port = 0;
  int admin_port = 0;
  pid_t pid = -1;
  std::vector<std::string> command;
};

std::string Loopback(int port) {
  return "127.0.0.1:" + std::to_string(port);
}

bool PortIsFree(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}

// The first base at which every node's three ports are free.
std::optional<int> FindBase(int nodes) {
  for (int attempt = 0; attempt < kBasesTried; ++attempt) {
    const int base = kFirstBase + attempt * kBaseStep;
    bool free = true;
    for (int node = 0; node < nodes && free; ++node) {
      for (int offset = 0; offset < 3 && free; ++offset) free = PortIsFree(base + node * kNodeStep + offset);
    }
    if (free) return base;
  }
  return std::nullopt;
}

std::vector<LocalNode> PlanNodes(const LocalArguments& arguments, int base) {
  std::vector<LocalNode> nodes(static_cast<std::size_t>(arguments.nodes));
  std::string cluster;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const int first = base + static_cast<int>(i) * kNodeStep;
    nodes[i].name = "n" + std::to_string(i + 1);
    nodes[i].etcd_port = first;
    nodes[i].peer_port = first + 1;
    nodes[i].admin_port = first + 2;
    cluster += (i == 0 ? "" : ",") + nodes[i].name + "=" + Loopback(nodes[i].peer_port);
  }
  for (LocalNode& node : nodes) {
    node.command = {SelfPath(),
                    "serve",
                    "--name",
                    node.name,
                    "--data-dir",
                    arguments.directory + "/" + node.name,
                    "--protocol",
                    arguments.protocol,
                    "--initial-cluster",
                    cluster,
                    "--listen-etcd",
                    Loopback(node.etcd_port),
                    "--listen-admin",
                    Loopback(node.admin_port)};
  }
  return nodes;
}

std::string LogPath(const LocalArguments& arguments, const LocalNode& node) {
  return arguments.directory + "/" + node.name + ".log";
}

void Spawn(const LocalArguments& arguments, LocalNode* node) {
  const pid_t parent = ::getpid();
  node->pid = ::fork();
  if (node->pid != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // no orphans when this command is killed
  if (::getppid() != parent) ::_exit(0);
  ::setpgid(0, 0);  // Ctrl-C reaches us, and we stop them in order
  const int log = ::open(LogPath(arguments, *node).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log >= 0) {
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
  }
  std::vector<char*> argv;
  for (std::string& part : node->command) argv.push_back(part.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

// One HTTP exchange with the member's own health endpoint.
bool IsHealthy(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  timeval limit{2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char buffer[1024];
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
      for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
        answer.append(buffer, static_cast<std::size_t>(n));
    }
  }
  ::close(fd);
  return answer.starts_with("HTTP/1.1 200");
}

// Notices nodes that ended; false when none is left.
bool Reap(const LocalArguments& arguments, std::vector<LocalNode>* nodes) {
  bool any = false;
  for (LocalNode& node : *nodes) {
    int status = 0;
    if (node.pid > 0 && ::waitpid(node.pid, &status, WNOHANG) == node.pid) {
      node.pid = -1;
      const std::string how = WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status))
                                                  : "exited with status " + std::to_string(WEXITSTATUS(status));
      std::string again;
      for (const std::string& part : node.command) again += (again.empty() ? "" : " ") + part;
      std::fprintf(stderr, "%s %s; its log is %s. To start it again:\n  %s\n", node.name.c_str(), how.c_str(),
                   LogPath(arguments, node).c_str(), again.c_str());
    }
    any = any || node.pid > 0;
  }
  return any;
}

bool WaitUntilHealthy(const LocalArguments& arguments, std::vector<LocalNode>* nodes) {
  for (int attempt = 0; attempt < kHealthTries && stop_requested == 0; ++attempt) {
    bool all = true;
    for (const LocalNode& node : *nodes) all = all && IsHealthy(node.etcd_port);
    if (all) return true;
    Reap(arguments, nodes);
    for (const LocalNode& node : *nodes) {
      if (node.pid < 0) return false;
    }
    ::usleep(100'000);
  }
  return false;
}

void Announce(const LocalArguments& arguments, const std::vector<LocalNode>& nodes) {
  std::string endpoints;
  for (const LocalNode& node : nodes) {
    if (arguments.json) {
      std::printf("{\"name\":\"%s\",\"pid\":%d,\"etcd\":\"%s\",\"admin\":\"%s\",\"peer\":\"%s\"}\n", node.name.c_str(),
                  node.pid, Loopback(node.etcd_port).c_str(), Loopback(node.admin_port).c_str(),
                  Loopback(node.peer_port).c_str());
    }
    endpoints += (endpoints.empty() ? "" : ",") + Loopback(node.etcd_port);
  }
  if (!arguments.json) {
    std::printf("%zu nodes are up (%s), data and logs in %s\n\n", nodes.size(), arguments.protocol.c_str(),
                arguments.directory.c_str());
    for (const LocalNode& node : nodes) {
      std::printf("  %s  etcd %s  admin http://%s/metrics  pid %d\n", node.name.c_str(),
                  Loopback(node.etcd_port).c_str(), Loopback(node.admin_port).c_str(), node.pid);
    }
    std::printf(
        "\nTry in another terminal:\n"
        "  export ETCDCTL_API=3 QUORATE_ENDPOINTS=%s\n"
        "  etcdctl --endpoints=$QUORATE_ENDPOINTS put greeting hello    # or: quorate kv put greeting hello\n"
        "  etcdctl --endpoints=$QUORATE_ENDPOINTS get greeting\n"
        "  quorate status\n"
        "  kill -9 %d                                                   # and go on writing\n"
        "Ctrl-C stops them all.\n",
        endpoints.c_str(), nodes[0].pid);
  }
  std::fflush(stdout);
}

void StopAll(std::vector<LocalNode>* nodes) {
  for (const LocalNode& node : *nodes) {
    if (node.pid > 0) ::kill(node.pid, SIGTERM);
  }
  for (LocalNode& node : *nodes) {
    if (node.pid > 0) ::waitpid(node.pid, nullptr, 0);
    node.pid = -1;
  }
}

int Local(const LocalArguments& arguments) {
  const std::optional<int> base = FindBase(arguments.nodes);
  if (!base) {
    std::fprintf(stderr, "quorate local: no free ports from %d up\n", kFirstBase);
    return 2;
  }
  if (::mkdir(arguments.directory.c_str(), 0755) != 0 && errno != EEXIST) {
    std::fprintf(stderr, "quorate local: cannot make %s: %s\n", arguments.directory.c_str(), std::strerror(errno));
    return 2;
  }
  struct sigaction handler {};
  handler.sa_handler = [](int) { stop_requested = 1; };
  ::sigaction(SIGINT, &handler, nullptr);
  ::sigaction(SIGTERM, &handler, nullptr);
  std::vector<LocalNode> nodes = PlanNodes(arguments, *base);
  for (LocalNode& node : nodes) Spawn(arguments, &node);
  if (!WaitUntilHealthy(arguments, &nodes)) {
    StopAll(&nodes);
    if (stop_requested != 0) return 0;
    std::fprintf(stderr, "quorate local: the cluster did not become healthy; see the logs in %s\n",
                 arguments.directory.c_str());
    return 2;
  }
  Announce(arguments, nodes);
  while (stop_requested == 0 && Reap(arguments, &nodes)) ::usleep(200'000);
  StopAll(&nodes);
  return 0;
}

}  // namespace

std::string SelfPath() {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : "quorate";
}

void AddLocal(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<LocalArguments>();
  CLI::App* local = app.add_subcommand("local", "Run a whole cluster on this machine, in the foreground.");
  local->add_option("--nodes", arguments->nodes, "how many")->check(CLI::IsMember({1, 3, 5}))->capture_default_str();
  local->add_option("--protocol", arguments->protocol, "raft, paxos or zab; the same on all members, for good")
      ->capture_default_str();
  local->add_option("--dir", arguments->directory, "data and logs; kept between runs")->capture_default_str();
  local->add_flag("--json", arguments->json, "one line {name, pid, etcd, admin, peer} per node once healthy");
  local->callback([arguments, action] { *action = [arguments] { return Local(*arguments); }; });
}

}  // namespace quorate::cli
