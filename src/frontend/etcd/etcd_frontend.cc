#include "frontend/etcd/etcd_frontend.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "frontend/etcd/errors.h"
#include "frontend/etcd/services.h"
#include "frontend/etcd/snapshot_call.h"
#include "frontend/etcd/unary_call.h"

namespace quorate::frontend::etcd {
namespace {

using StreamMethod = std::unique_ptr<net::CallHandler> (*)(Services& services, net::ServerCall& call);

// One of the three is set: an answer to one request, a stream, or a sentence that says why there is neither.
struct Method {
  UnaryMethod unary = nullptr;
  StreamMethod stream = nullptr;
  std::string_view not_available = {};
  bool learner_too = false;  // a learner answers it as well
};

template <auto service, auto method>
constexpr UnaryMethod kUnary = [](Services& services, std::string_view message, const Reply& reply) {
  ((services.*service).*method)(message, reply);
};

constexpr std::string_view kNoAuth = "users, roles and authentication do not exist yet; every client may do everything";

using MethodTable = std::unordered_map<std::string_view, Method>;

void AddKeyspace(MethodTable* table) {
  auto& methods = *table;
  // A learner answers serializable ranges: Range looks itself.
  methods["KV/Range"] = {.unary = kUnary<&Services::kv, &KvService::Range>, .learner_too = true};
  methods["KV/Put"] = {.unary = kUnary<&Services::kv, &KvService::Put>};
  methods["KV/DeleteRange"] = {.unary = kUnary<&Services::kv, &KvService::DeleteRange>};
  methods["KV/Txn"] = {.unary = kUnary<&Services::kv, &KvService::Txn>};
  methods["KV/Compact"] = {.unary = kUnary<&Services::kv, &KvService::Compact>};
  methods["Watch/Watch"] = {
      .stream = [](Services& services, net::ServerCall& call) { return services.watch.Open(call); }};
  methods["Lease/LeaseGrant"] = {.unary = kUnary<&Services::lease, &LeaseService::Grant>};
  methods["Lease/LeaseRevoke"] = {.unary = kUnary<&Services::lease, &LeaseService::Revoke>};
  methods["Lease/LeaseTimeToLive"] = {.unary = kUnary<&Services::lease, &LeaseService::TimeToLive>};
  methods["Lease/LeaseLeases"] = {.unary = kUnary<&Services::lease, &LeaseService::Leases>};
  methods["Lease/LeaseKeepAlive"] = {
      .stream = [](Services& services, net::ServerCall& call) { return services.lease.OpenKeepAlive(call); }};
}

void AddOperations(MethodTable* table) {
  auto& methods = *table;
  methods["Cluster/MemberList"] = {.unary = kUnary<&Services::cluster, &ClusterService::MemberList>};
  methods["Cluster/MemberAdd"] = {.unary = kUnary<&Services::cluster, &ClusterService::MemberAdd>};
  methods["Cluster/MemberRemove"] = {.unary = kUnary<&Services::cluster, &ClusterService::MemberRemove>};
  methods["Cluster/MemberUpdate"] = {.unary = kUnary<&Services::cluster, &ClusterService::MemberUpdate>};
  methods["Cluster/MemberPromote"] = {.unary = kUnary<&Services::cluster, &ClusterService::MemberPromote>};
  methods["Maintenance/Status"] = {.unary = kUnary<&Services::maintenance, &MaintenanceService::Status>,
                                   .learner_too = true};
  methods["Maintenance/Alarm"] = {.unary = kUnary<&Services::maintenance, &MaintenanceService::Alarm>};
  methods["Maintenance/Hash"] = {.unary = kUnary<&Services::maintenance, &MaintenanceService::Hash>};
  methods["Maintenance/HashKV"] = {.unary = kUnary<&Services::maintenance, &MaintenanceService::HashKv>};
  methods["Maintenance/Defragment"] = {.unary = kUnary<&Services::maintenance, &MaintenanceService::Defragment>};
  methods["Maintenance/Snapshot"] = {.stream = [](Services& services, net::ServerCall& call) {
    return std::unique_ptr<net::CallHandler>(std::make_unique<SnapshotCall>(services.wiring, call));
  }};
  methods["Maintenance/MoveLeader"] = {.unary = kUnary<&Services::maintenance, &MaintenanceService::MoveLeader>};
  methods["Maintenance/Downgrade"] = {.not_available = "there is no earlier version to go back to"};
  methods["Auth/AuthStatus"] = {.unary = kUnary<&Services::maintenance, &MaintenanceService::AuthStatus>};
  methods["Auth/Authenticate"] = {.unary = kUnary<&Services::maintenance, &MaintenanceService::Authenticate>};
  for (const char* path :
       {"Auth/AuthEnable", "Auth/AuthDisable", "Auth/UserAdd", "Auth/UserGet", "Auth/UserList", "Auth/UserDelete",
        "Auth/UserChangePassword", "Auth/UserGrantRole", "Auth/UserRevokeRole", "Auth/RoleAdd", "Auth/RoleGet",
        "Auth/RoleList", "Auth/RoleDelete", "Auth/RoleGrantPermission", "Auth/RoleRevokePermission"}) {
    methods[path] = {.not_available = kNoAuth};
  }
}

constexpr std::string_view kPackage = "etcdserverpb.";
constexpr std::string_view kOwnReplace = "/quoratepb.Cluster/MemberReplace";  // what etcd lacks

const Method* Find(std::string_view path) {
  static const MethodTable& table = *[] {
    auto* methods = new MethodTable();
    AddKeyspace(methods);
    AddOperations(methods);
    return methods;
  }();
  static const Method& own_replace = *new Method{kUnary<&Services::cluster, &ClusterService::MemberReplace>};
  if (path == kOwnReplace) return &own_replace;
  if (!path.starts_with('/') || !path.substr(1).starts_with(kPackage)) return nullptr;
  path.remove_prefix(1);
  const auto found = table.find(path.substr(kPackage.size()));
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace

EtcdFrontend::EtcdFrontend(coord::Backend& backend, env::Executor& executor, env::Random& random, Options options)
    : services_(std::make_unique<Services>(Wiring{backend, executor, random, std::move(options)})) {}

EtcdFrontend::~EtcdFrontend() = default;

std::unique_ptr<net::CallHandler> EtcdFrontend::Open(std::string_view path, net::ServerCall& call) {
  const Method* method = Find(path);
  if (method == nullptr) return nullptr;
  const auto refuse = [&call](Status status) { return std::make_unique<RefusingHandler>(std::move(status), call); };
  if (!method->not_available.empty()) return refuse(NotAvailable(method->not_available));
  const coord::ClusterView view = services_->wiring.backend.cluster();
  if (view.self_is_learner && !method->learner_too) return refuse(NotSupportedForLearner());
  if (!view.leader && LeaderMonitor::Requires(call)) return refuse(NoLeader());
  if (method->stream != nullptr) return method->stream(*services_, call);
  return std::make_unique<UnaryHandler>(*services_, method->unary, call);
}

bool EtcdFrontend::HasService(std::string_view service) const {
  if (service == "quoratepb.Cluster") return true;
  if (!service.starts_with(kPackage)) return false;
  service.remove_prefix(kPackage.size());
  constexpr std::array<std::string_view, 6> kServices = {"KV", "Watch", "Lease", "Cluster", "Maintenance", "Auth"};
  return std::find(kServices.begin(), kServices.end(), service) != kServices.end();
}

void EtcdFrontend::Handle(const net::HttpRequest& request, std::function<void(net::HttpResponse)> done) {
  services_->http.Handle(request, std::move(done));
}

}  // namespace quorate::frontend::etcd
