#include "lab_member.h"

#include <fcntl.h>
#include <rocksdb/env.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>

#include "base/check.h"
#include "coord/machine.h"
#include "cut_disk.h"
#include "cut_file_system.h"
#include "faulty_transport.h"
#include "replica/group.h"
#include "server/config.h"
#include "server/node.h"
#include "wal/log.h"

namespace quorate::crash_lab {
namespace {

// Small, so that segments fill, batches go down and the log is released many times a second.
constexpr std::uint64_t kSegmentBytes = 128 << 10;
constexpr std::uint64_t kBatchBytes = 96 << 10;
constexpr std::uint64_t kLogKeepBytes = 64 << 10;
constexpr std::uint64_t kLogStepBytes = 16 << 10;
constexpr std::uint64_t kLivenessNs = 200'000'000;

std::string LocalPort(std::uint16_t port) {
  return "127.0.0.1:" + std::to_string(port);
}

std::string Encode(const Address& address) {
  return address.name + "=" + std::to_string(address.peer) + "=" + std::to_string(address.etcd);
}

Address Decode(const std::string& text) {
  const std::size_t first = text.find('=');
  const std::size_t second = text.find('=', first + 1);
  CHECK(first != std::string::npos && second != std::string::npos) << text;
  return {text.substr(0, first), static_cast<std::uint16_t>(std::stoi(text.substr(first + 1, second - first - 1))),
          static_cast<std::uint16_t>(std::stoi(text.substr(second + 1)))};
}

server::NodeParts MakeParts(PowerCut& cut, rocksdb::Env* env, const server::ServeConfig& config) {
  server::NodeParts parts;
  parts.wrap_disk = [&cut](std::unique_ptr<env::Disk> real, env::Executor& executor) -> std::unique_ptr<env::Disk> {
    return std::make_unique<CutDisk>(std::move(real), executor, cut);
  };
  parts.wrap_transport = [&config](env::Transport& real, env::Executor& executor) -> std::unique_ptr<env::Transport> {
    const bool unordered = config.protocol != consensus::Protocol::kZab;
    const std::uint64_t seed = config.self.value ^ static_cast<std::uint64_t>(::getpid());
    return std::make_unique<FaultyTransport>(real, executor, unordered, seed,
                                             MapNetworkFaults(config.data_dir + ".network"));
  };
  parts.keyspace_env = env;
  parts.adjust_log = [](wal::LogOptions* options) { options->segment_bytes = kSegmentBytes; };
  parts.adjust_machine = [](coord::MachineOptions* options) { options->buffer.batch_bytes = kBatchBytes; };
  parts.adjust_group = [](replica::GroupOptions* options) {
    options->log_keep_bytes = kLogKeepBytes;
    options->log_keep_always_bytes = kLogStepBytes;
    options->log_release_step_bytes = kLogStepBytes;
    options->liveness_ns = kLivenessNs;
  };
  return parts;
}

}  // namespace

LabMember::~LabMember() {
  if (running()) Kill();
}

void LabMember::Start(const CutPlan& plan) {
  CHECK(!running());
  ::unlink((root_ + ".cut").c_str());
  std::vector<std::string> arguments{"crash_lab",
                                     "member",
                                     root_,
                                     std::to_string(index_),
                                     plan.point.empty() ? "-" : plan.point,
                                     std::to_string(plan.nth),
                                     std::to_string(plan.seed),
                                     plan.lying ? "lying" : "honest"};
  for (const Address& address : all_) arguments.push_back(Encode(address));
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string log = LogPath();
  pid_ = ::fork();
  CHECK(pid_ >= 0) << "fork: errno " << errno;
  if (pid_ != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  ::execv("/proc/self/exe", argv.data());
  ::_exit(127);
}

bool LabMember::WaitForEnd(std::uint64_t limit_ms) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(limit_ms);
  do {
    if (::waitpid(pid_, &status_, WNOHANG) == pid_) {
      pid_ = 0;
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  } while (Clock::now() < end);
  return false;
}

void LabMember::Kill() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &status_, 0);
  pid_ = 0;
}

std::optional<CutNote> LabMember::note() const {
  std::ifstream file(root_ + ".cut");
  CutNote note;
  if (file >> note.point >> note.unsynced_writes >> note.names_open >> note.names_undone) return note;
  return std::nullopt;
}

std::string ProtocolOfMembers() {
  const char* const protocol = std::getenv("QUORATE_PROTOCOL");
  return protocol == nullptr ? "raft" : protocol;
}

NetworkFaults LabMember::network_faults() const {
  NetworkFaults faults;
  std::ifstream(root_ + ".network", std::ios::binary).read(reinterpret_cast<char*>(&faults), sizeof faults);
  return faults;
}

int RunLabMember(const std::vector<std::string>& arguments) {
  CHECK(arguments.size() > 6) << "too few arguments";
  const std::string& root = arguments[0];
  const std::size_t index = std::stoul(arguments[1]);
  CutPlan plan{arguments[2] == "-" ? "" : arguments[2], std::stoi(arguments[3]), std::stoull(arguments[4]),
               arguments[5] == "lying"};
  std::vector<Address> all;
  for (std::size_t i = 6; i < arguments.size(); ++i) all.push_back(Decode(arguments[i]));
  server::ServeFlags flags;
  flags.name = all[index].name;
  flags.data_dir = root;
  flags.protocol = ProtocolOfMembers();
  flags.listen_etcd = LocalPort(all[index].etcd);
  for (const Address& address : all) {
    flags.initial_cluster += (flags.initial_cluster.empty() ? "" : ",") + address.name + "=" + LocalPort(address.peer);
  }
  const Result<server::ServeConfig> config = server::Validate(flags);
  if (!config.ok()) {
    std::fprintf(stderr, "crash_lab: %s\n", config.status().message().c_str());
    return 2;
  }
  PowerCut cut(root, root + ".shadow", std::move(plan));
  const std::unique_ptr<rocksdb::Env> env = MakeCutEnv(cut);
  const Status ended = server::RunNode(*config, MakeParts(cut, env.get(), *config));
  if (ended.ok()) return 0;
  std::fprintf(stderr, "crash_lab: %s\n", ended.message().c_str());
  return 2;
}

}  // namespace quorate::crash_lab
