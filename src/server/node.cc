#include "server/node.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "env/posix/asio_executor.h"
#include "env/posix/os_random.h"
#include "env/posix/posix_clock.h"
#include "env/posix/posix_disk.h"
#include "env/posix/tcp_transport.h"
#include "frontend/etcd/etcd_frontend.h"
#include "net/listener.h"
#include "net/reactor.h"
#include "replica/member_snapshots.h"
#include "replica/snapshot_directory.h"
#include "server/admin.h"
#include "server/cluster_backend.h"
#include "server/data_directory.h"
#include "server/descriptors.h"
#include "server/feature_level.h"
#include "server/front.h"
#include "server/group_control.h"
#include "server/hand_over.h"
#include "server/housekeeping.h"
#include "server/join.h"
#include "server/keyspace.h"
#include "server/peer_table.h"
#include "server/reconfiguration.h"
#include "store/engine_rocksdb/rocks_engine.h"
#include "wal/log.h"

namespace quorate::server {
namespace {

constexpr std::uint64_t kHandOverNs = 600'000'000;    // an election timeout: waiting longer gains nothing
constexpr std::uint64_t kLeaveAfterNs = 500'000'000;  // time for the last answers to go out
constexpr std::uint64_t kEngineCacheShare = 16;       // of --memory
constexpr std::uint64_t kReleaseStepsOfKeeping = 4;   // the log is released in steps of a quarter of what it keeps
constexpr std::uint64_t kLongestOpeningNs = std::uint64_t{365} * 86'400 * 1'000'000'000;
constexpr std::uint64_t kAnswerShare = 4;  // of --memory, to one read
constexpr std::uint64_t kAnswerBytesMin = 64 << 20;
constexpr std::uint64_t kProgressNs = 1'000'000'000;

class Node {
 public:
  Node(ServeConfig config, NodeParts parts)
      : config_(std::move(config)),
        parts_(std::move(parts)),
        descriptors_(PlanDescriptors(RaiseDescriptorLimit())),
        reactor_(executor_.context()) {}

  Status Start() {
    Result<std::unique_ptr<env::PosixDisk>> disk = env::PosixDisk::Open(config_.data_dir, executor_);
    if (!disk.ok()) return disk.status();
    disk_ = *std::move(disk);
    if (parts_.wrap_disk) disk_ = parts_.wrap_disk(std::move(disk_), executor_);
    Result<DataDirectory> directory = DataDirectory::Open(*disk_, random_, &config_, AskToJoin);
    if (!directory.ok()) return directory.status();
    directory_ = *std::move(directory);
    RETURN_IF_ERROR(OpenLog());
    RETURN_IF_ERROR(directory_->LogOpened(log_->fresh()));
    RETURN_IF_ERROR(OpenTransport());
    net::ServerLimits limits;
    limits.max_connections = descriptors_.client_connections;
    RETURN_IF_ERROR(Listen(config_.listen_etcd, "listen-etcd", limits, &fronts_.etcd, &fronts_.etcd, &etcd_));
    limits.max_connections = descriptors_.admin_connections;
    RETURN_IF_ERROR(Listen(config_.listen_admin, "listen-admin", limits, &fronts_.admin, nullptr, &admin_listener_));
    return StartGroup();
  }

  Status Run() {
    boost::asio::signal_set signals(executor_.context(), SIGTERM, SIGINT);
    signals.async_wait([this](const boost::system::error_code& error, int) {
      if (!error) HandOver(*group_, executor_, clock_, kHandOverNs, [this] { Stop(); });
    });
    LogInfo("member " + config_.name + " is serving" + Where("etcd", config_.listen_etcd) +
            Where("admin", config_.listen_admin) + Where("peers", config_.listen_peer));
    if (descriptors_.client_connections < net::ServerLimits{}.max_connections) {
      LogInfo("at most " + std::to_string(descriptors_.client_connections) +
              " client connections: the limit of open files (ulimit -n) allows no more");
    }
    executor_.Run();
    if (!failure_.ok()) return failure_;
    LogInfo("stopping");
    if (etcd_) etcd_->Close();
    if (admin_listener_) admin_listener_->Close();
    housekeeping_.reset();
    group_.reset();
    return log_->Close();
  }

 private:
  // What was applied is made durable first: the next start then has nothing to replay. If the disk refuses, the log has
  // it all.
  void Stop() {
    machine_->FlushAll([this](const Status& status) {
      if (!status.ok()) LogWarn("the keyspace was not flushed: " + status.message());
      executor_.Stop();
    });
  }

  void Fail(const Status& why) {
    LogError("stopping: " + why.message());
    failure_ = why;
    executor_.Stop();
  }

  static std::string Where(const std::string& what, const HostPort& at) {
    return at.port == 0 ? "" : ", " + what + " on " + at.ToString();
  }

  Status OpenLog() {
    wal::LogOptions options;
    options.identity = {config_.cluster, config_.self, config_.protocol};
    options.alone = config_.members.size() == 1;
    options.on_failure = [this](const Status& why) { Fail(why); };
    options.retention_ns = config_.log_retention_ns;
    options.clock = &clock_;
    if (parts_.adjust_log) parts_.adjust_log(&options);
    Result<std::unique_ptr<wal::Log>> log = wal::Log::Open(*disk_, executor_, std::move(options));
    if (!log.ok()) return log.status();
    log_ = *std::move(log);
    return Status::Ok();
  }

  // A lone server opens no peer port before it is to get company, unless it is told where.
  Status OpenTransport() {
    env::TcpTransportOptions options;
    options.cluster = config_.cluster;
    options.self = config_.self;
    options.incarnation = log_->incarnation();
    options.protocol = consensus::ProtocolName(config_.protocol);
    if (config_.listen_peer.port != 0) options.listen = config_.listen_peer.ToString();
    options.directory = directory_->id();
    options.known_directories = directory_->peers();
    options.remember_directory = [this](ReplicaId peer, std::uint64_t directory) {
      return directory_->RememberPeer(peer, directory);
    };
    options.on_forgotten = [this] {
      Fail(Status::FailedPrecondition("the cluster knows member " + config_.name +
                                      " with another data directory than " + config_.data_dir +
                                      ": this one has forgotten what it promised, and must not vote under the same id. "
                                      "Bring the old directory back, "
                                      "or replace this member by one with a new name"));
    };
    options.on_removed = [this] { Leave(); };
    options.feature_level = coord::kFeatureLevelMax;
    options.on_join = [this](std::string_view request) { return OnJoin(request); };
    Result<std::unique_ptr<env::TcpTransport>> transport =
        env::TcpTransport::Open(executor_, random_, std::move(options));
    if (!transport.ok()) return transport.status();
    transport_ = *std::move(transport);
    if (parts_.wrap_transport) wrapped_transport_ = parts_.wrap_transport(*transport_, executor_);
    return SetPeers(config_.members);
  }

  env::Transport& links() {
    if (wrapped_transport_) return *wrapped_transport_;
    return *transport_;
  }

  Status SetPeers(const std::vector<Member>& members) {
    std::map<ReplicaId, std::string> peers;
    for (const Member& member : members) peers[member.id] = member.peer.ToString();
    if (peers.size() > 1) RETURN_IF_ERROR(ListenToPeers());
    return transport_->SetPeers(peers);
  }

  Status ListenToPeers() {
    if (transport_->listening()) return Status::Ok();
    RETURN_IF_ERROR(transport_->Listen(config_.advertise_peer.ToString()));
    LogInfo("peers on " + config_.advertise_peer.ToString());
    return Status::Ok();
  }

  std::string OnJoin(std::string_view encoded) {
    const std::optional<JoinRequest> request = DecodeJoinRequest(encoded);
    JoinAnswer answer;
    if (!request) {
      answer.refusal = "the question is of a version that member " + config_.name + " does not understand";
    } else {
      answer =
          AnswerJoin(*request, {config_.cluster, config_.token, std::string(consensus::ProtocolName(config_.protocol)),
                                machine_->feature_level(), backend_->members()});
    }
    return EncodeJoinAnswer(answer);
  }

  // This member was removed from the cluster.
  void Leave() {
    if (std::exchange(leaving_, true)) return;
    executor_.After(kLeaveAfterNs, [this] {
      Fail(Status::FailedPrecondition("member " + config_.name + " was removed from the cluster. Its data directory " +
                                      config_.data_dir + " is of no use any more: delete it"));
    });
  }

  std::set<ReplicaId> Linked() const {
    std::set<ReplicaId> linked;
    for (const auto& [id, peer] : transport_->peers()) {
      if (peer.linked) linked.insert(id);
    }
    return linked;
  }

  std::uint32_t CommonFeatureLevel() const {
    std::uint32_t common = coord::kFeatureLevelMax;
    const std::map<ReplicaId, env::TcpPeerState> peers = transport_->peers();
    const consensus::Membership& members = group_->membership();
    for (const auto* part : {&members.voters, &members.outgoing, &members.learners}) {
      for (const ReplicaId id : *part) {
        if (id == config_.self) continue;
        const auto peer = peers.find(id);
        common = std::min(common, peer == peers.end() ? 0 : peer->second.feature_level);
      }
    }
    return common;
  }

  replica::SnapshotMaker Maker() const {
    return {config_.cluster, GroupId(1), config_.self, log_->incarnation(),
            [this] { return machine_->feature_level(); }};
  }

  std::unique_ptr<replica::Snapshots> MakeSnapshots(replica::SnapshotHost& host, replica::StateMachine& machine) {
    replica::MemberSnapshotsOptions options;
    options.maker = Maker();
    options.sender.rate_bytes = config_.snapshot_rate_bytes;
    return replica::MakeMemberSnapshots(options, *disk_, executor_, clock_, host, machine);
  }

  Status OpenKeyspace() {
    machine_.reset();  // of an attempt that found damage
    engine_.reset();
    store::RocksOptions rocks;
    rocks.directory = config_.data_dir + "/" + Keyspace::kDirectory;
    rocks.cache_bytes = config_.memory_bytes / kEngineCacheShare;
    rocks.env = parts_.keyspace_env;
    rocks.open_files_max = descriptors_.keyspace_files;
    rocks.on_damage = [this](const Status& why) { Fail(keyspace_->MarkDamaged(why)); };
    Result<std::unique_ptr<store::RocksEngine>> engine = store::RocksEngine::Open(std::move(rocks), executor_);
    if (!engine.ok()) return engine.status();
    engine_ = *std::move(engine);
    coord::MachineOptions options;
    options.memory_bytes = config_.memory_bytes - config_.memory_bytes / kEngineCacheShare;
    options.answer_bytes_max = std::max(kAnswerBytesMin, config_.memory_bytes / kAnswerShare);
    options.open_progress = [this, said_ns = clock_.MonotonicNs()](std::uint64_t records, std::uint64_t of) mutable {
      if (clock_.MonotonicNs() < said_ns + kProgressNs) return;
      said_ns = clock_.MonotonicNs();
      const std::string share = "opening the keyspace: " + std::to_string(of == 0 ? 0 : records * 100 / of) + " %";
      LogInfo(share + ", " + std::to_string(records) + " of " + std::to_string(of) + " records");
      executor_.Post([this, share] {  // this runs in the engine's pool
        fronts_.etcd.Say(share);
        fronts_.admin.Say(share);
      });
    };
    if (parts_.adjust_machine) parts_.adjust_machine(&options);
    const std::uint64_t began_ns = clock_.MonotonicNs();
    Result<std::unique_ptr<coord::Machine>> machine = OpenMachine(std::move(options));
    if (!machine.ok()) {
      engine_.reset();
      return machine.status();
    }
    machine_ = *std::move(machine);
    LogInfo("the keyspace is open at index " + std::to_string(machine_->applied().value) + ": " +
            std::to_string(machine_->stats().keyspace.keys) + " keys in " +
            std::to_string((clock_.MonotonicNs() - began_ns) / 1'000'000) + " ms");
    return Status::Ok();
  }

  // In the pool; meanwhile this thread answers on the ports.
  Result<std::unique_ptr<coord::Machine>> OpenMachine(coord::MachineOptions options) {
    std::optional<Result<std::unique_ptr<coord::Machine>>> opened;
    const env::TimerId busy = executor_.After(kLongestOpeningNs, [] {});  // so that Run does not end for want of work
    coord::Machine::OpenApart(std::move(options), *engine_, [this, &opened](auto machine) {
      opened.emplace(std::move(machine));
      executor_.Stop();
    });
    while (!opened) executor_.Run();
    executor_.Cancel(busy);
    if (!failure_.ok()) return failure_;
    return *std::move(opened);
  }

  Status StartGroup() {
    RETURN_IF_ERROR(replica::PrepareSnapshotDirectory(*disk_));
    keyspace_.emplace(*disk_);
    RETURN_IF_ERROR(keyspace_->Open([this] { return OpenKeyspace(); }));
    replica::GroupOptions options;
    options.protocol = config_.protocol;
    options.core.self = config_.self;
    options.core.initial.voters = config_.initial_voters;
    options.core.seed = random_.Next();
    options.log_keep_bytes = config_.log_keep_bytes;
    options.log_keep_always_bytes = std::min(options.log_keep_always_bytes, config_.log_keep_bytes);
    options.log_release_step_bytes =
        std::min(options.log_release_step_bytes, config_.log_keep_bytes / kReleaseStepsOfKeeping);
    options.make_snapshots = [this](replica::SnapshotHost& host, replica::StateMachine& machine) {
      return MakeSnapshots(host, machine);
    };
    options.refuse = [this]() -> std::optional<replica::Fate> {
      return log_->low_on_space() ? std::optional(replica::Fate::kNoSpace) : std::nullopt;
    };
    options.hold = [this] { return machine_->backlogged(); };
    options.on_removed = [this] {
      const std::vector<ReplicaId> removed = machine_->removed_members();
      if (std::find(removed.begin(), removed.end(), config_.self) != removed.end()) Leave();
    };
    options.on_failure = [this](const Status& why) { Fail(why); };
    options.on_applied = [this] {
      housekeeping_->OnApplied();
      peer_table_->OnApplied();
    };
    if (parts_.adjust_group) parts_.adjust_group(&options);
    Result<std::unique_ptr<replica::Group>> group =
        replica::Group::Start(std::move(options), *log_, links(), executor_, clock_, *machine_);
    if (!group.ok()) return group.status();
    group_ = *std::move(group);
    control_ = std::make_unique<GroupControl>(*group_);
    StartMembership();
    frontend::etcd::Options frontend_options;
    frontend_options.quota_bytes = config_.quota_bytes;
    frontend_ = std::make_unique<frontend::etcd::EtcdFrontend>(*backend_, executor_, random_, frontend_options);
    admin_ = std::make_unique<Admin>(MetricsSources{*group_, *transport_, *log_, *machine_}, etcd_, *frontend_);
    fronts_.etcd.Become(frontend_.get(), *frontend_);
    fronts_.admin.Become(nullptr, *admin_);
    links().Start(group_.get());
    return Status::Ok();
  }

  void StartMembership() {
    backend_ = std::make_unique<ClusterBackend>(
        config_, *group_, *machine_, executor_,
        ClusterBackend::Surroundings{[this] { return Linked(); }, [this] { return control_->CaughtUp(); },
                                     [this] { return ListenToPeers(); }});
    backend_->OfferSnapshots(Maker(), clock_);
    reconfiguration_ = std::make_unique<Reconfiguration>(config_.self, *control_);
    raiser_ = std::make_unique<FeatureLevelRaiser>(config_, *backend_, [this] { return CommonFeatureLevel(); });
    housekeeping_ = std::make_unique<Housekeeping>(config_, *backend_, executor_, clock_, [this] {
      raiser_->Tick();
      if (machine_->feature_level() >= 2) reconfiguration_->Tick(machine_->members());
    });
    peer_table_ = std::make_unique<PeerTable>(
        config_, *group_, *machine_, executor_,
        PeerTable::Sinks{[this](const std::vector<Member>& peers, const std::set<ReplicaId>& removed) {
                           transport_->SetRemoved(removed);
                           return SetPeers(peers);
                         },
                         [this](const std::vector<Member>& members) { return directory_->SetMembers(members); }});
  }

  Status Listen(const HostPort& at, const char* flag, const net::ServerLimits& limits, net::HttpService* http,
                net::GrpcService* grpc, std::unique_ptr<net::Listener>* out) {
    if (at.port == 0) return Status::Ok();
    *out = std::make_unique<net::Listener>(reactor_, limits, grpc, http);
    const Result<std::uint16_t> port = (*out)->Listen(at.host, at.port);
    return port.ok() ? Status::Ok() : InFlag(flag, port.status());
  }

  static Status InFlag(const std::string& flag, const Status& status) {
    return {status.code(), "--" + flag + ": " + status.message()};
  }

  ServeConfig config_;
  const NodeParts parts_;
  const DescriptorPlan descriptors_;
  Status failure_;
  bool leaving_ = false;
  env::AsioExecutor executor_;
  env::PosixClock clock_;
  env::OsRandom random_;
  net::Reactor reactor_;
  std::unique_ptr<env::Disk> disk_;
  std::optional<DataDirectory> directory_;
  std::unique_ptr<wal::Log> log_;
  std::unique_ptr<env::TcpTransport> transport_;
  std::unique_ptr<env::Transport> wrapped_transport_;  // the group's way to it, when there is one
  std::optional<Keyspace> keyspace_;
  std::unique_ptr<store::Engine> engine_;
  std::unique_ptr<coord::Machine> machine_;
  std::unique_ptr<replica::Group> group_;
  std::unique_ptr<GroupControl> control_;
  std::unique_ptr<ClusterBackend> backend_;
  std::unique_ptr<Reconfiguration> reconfiguration_;
  std::unique_ptr<FeatureLevelRaiser> raiser_;
  std::unique_ptr<Housekeeping> housekeeping_;
  std::unique_ptr<PeerTable> peer_table_;
  std::unique_ptr<frontend::etcd::EtcdFrontend> frontend_;
  std::unique_ptr<Admin> admin_;
  struct {
    Front etcd;
    Front admin;
  } fronts_;
  std::unique_ptr<net::Listener> etcd_;
  std::unique_ptr<net::Listener> admin_listener_;
};

}  // namespace

Status RunNode(const ServeConfig& config, NodeParts parts) {
  Node node(config, std::move(parts));
  RETURN_IF_ERROR(node.Start());
  return node.Run();
}

}  // namespace quorate::server
