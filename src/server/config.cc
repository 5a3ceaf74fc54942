#include "server/config.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/codec.h"
#include "server/quantities.h"

namespace quorate::server {
namespace {

constexpr std::uint64_t kMemoryMin = 64 << 20;
constexpr std::uint64_t kLogKeepMin = 1 << 20;
constexpr std::uint64_t kMemoryMax = std::uint64_t{1} << 50;
constexpr std::string_view kDefaultPeer = "127.0.0.1:2380";
constexpr std::string_view kDefaultEtcd = "127.0.0.1:2379";
constexpr std::string_view kDefaultAdmin = "127.0.0.1:7070";

// The first 63 bits of a SHA-256: never 0, and positive as a signed number too.
std::uint64_t Hash63(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::uint64_t id = 0;
  for (int i = 0; i < 8; ++i) id = id << 8 | digest[static_cast<std::size_t>(i)];
  id &= ~(1ull << 63);
  return id == 0 ? 1 : id;
}

Status FlagError(std::string_view flag, const std::string& what) {
  return Status::InvalidArgument("--" + std::string(flag) + ": " + what);
}

bool IsWildcard(const std::string& host) {
  return host == "0.0.0.0" || host == "::" || host == "*";
}

Result<std::vector<Member>> ParseInitialCluster(const ServeFlags& flags) {
  std::vector<Member> members;
  std::string_view rest = flags.initial_cluster;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return FlagError("initial-cluster", "\"" + std::string(item) + "\" is not NAME=HOST:PORT");
    }
    Member member;
    member.name = item.substr(0, equals);
    const Result<HostPort> peer = ParseAddress(item.substr(equals + 1));
    if (!peer.ok()) return FlagError("initial-cluster", peer.status().message());
    if (IsWildcard(peer->host)) return FlagError("initial-cluster", "nobody can reach the wildcard " + peer->host);
    member.peer = *peer;
    member.id = MakeReplicaId(member.name, member.peer, flags.cluster_token);
    for (const Member& other : members) {
      if (other.name == member.name) return FlagError("initial-cluster", "two members are called " + member.name);
      if (other.peer == member.peer) {
        return FlagError("initial-cluster", other.name + " and " + member.name + " have the same address");
      }
    }
    members.push_back(std::move(member));
  }
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.id < b.id; });
  return members;
}

Status SetListeners(const ServeFlags& flags, ServeConfig* config) {
  if (!flags.listen_zookeeper.empty()) {
    return FlagError("listen-zookeeper", "this build has no ZooKeeper port; leave the flag out");
  }
  if (!flags.listen_consul.empty()) {
    return FlagError("listen-consul", "this build has no Consul port; leave the flag out");
  }
  const bool none_named = flags.listen_etcd.empty() && flags.listen_admin.empty();
  struct Port {
    std::string_view flag;
    std::string text;
    HostPort* out;
  };
  const std::array<Port, 2> ports{
      Port{"listen-etcd", none_named ? std::string(kDefaultEtcd) : flags.listen_etcd, &config->listen_etcd},
      Port{"listen-admin", none_named ? std::string(kDefaultAdmin) : flags.listen_admin, &config->listen_admin}};
  for (const Port& port : ports) {
    if (port.text.empty()) continue;
    const Result<HostPort> parsed = ParseAddress(port.text);
    if (!parsed.ok()) return FlagError(port.flag, parsed.status().message());
    *port.out = *parsed;
  }
  std::string advertised = flags.advertise_etcd;
  if (advertised.empty() && config->listen_etcd.port != 0) {
    if (IsWildcard(config->listen_etcd.host)) {
      return FlagError("advertise-etcd", "needed, because --listen-etcd is the wildcard " + config->listen_etcd.host +
                                             ": say the HOST:PORT that clients reach this member at");
    }
    advertised = config->listen_etcd.ToString();
  }
  if (advertised.empty()) return Status::Ok();
  const Result<HostPort> parsed = ParseAddress(advertised);
  if (!parsed.ok()) return FlagError("advertise-etcd", parsed.status().message());
  if (IsWildcard(parsed->host)) return FlagError("advertise-etcd", "nobody can reach the wildcard " + parsed->host);
  config->advertise_etcd = "http://" + parsed->ToString();
  return Status::Ok();
}

Status SetMemory(const ServeFlags& flags, ServeConfig* config) {
  std::uint64_t number = 0;
  const char* const end = flags.memory.data() + flags.memory.size();
  const auto [rest, error] = std::from_chars(flags.memory.data(), end, number);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  const std::uint64_t scale = unit == "MiB" ? 1 << 20 : unit == "GiB" ? 1 << 30 : 0;
  if (error != std::errc() || scale == 0 || number > kMemoryMax / scale) {
    return FlagError("memory", "\"" + flags.memory + "\" is not a size; write it as 256MiB or 2GiB");
  }
  if (number * scale < kMemoryMin) return FlagError("memory", "at least 64MiB");
  config->memory_bytes = number * scale;
  return Status::Ok();
}

Result<std::int64_t> ParseQuota(const std::string& text) {
  if (text.empty()) return kDefaultQuotaBytes;
  std::int64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc() || end != text.data() + text.size()) {
    return FlagError("quota-backend-bytes", "\"" + text + "\" is not a number of bytes");
  }
  if (bytes == 0) return kDefaultQuotaBytes;  // as etcd
  return bytes < 0 ? 0 : bytes;
}

// "n1=HOST:PORT,n2=HOST:PORT" or the addresses alone; this member itself may be among them.
Status SetJoin(const ServeFlags& flags, ServeConfig* config) {
  std::string advertised = flags.advertise_peer;
  std::string_view rest = flags.initial_cluster;
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const std::size_t equals = item.find('=');
    const std::string_view address = equals == std::string_view::npos ? item : item.substr(equals + 1);
    if (equals != std::string_view::npos && item.substr(0, equals) == flags.name) {
      if (advertised.empty()) advertised = address;
      continue;
    }
    const Result<HostPort> peer = ParseAddress(address);
    if (!peer.ok()) return FlagError("initial-cluster", peer.status().message());
    config->join.push_back(*peer);
  }
  if (config->join.empty()) {
    return FlagError("join", "--initial-cluster must name peer addresses of the running cluster");
  }
  if (advertised.empty()) advertised = flags.listen_peer;
  if (advertised.empty()) {
    return FlagError("join",
                     "say with --listen-peer HOST:PORT (and --advertise-peer) where the others reach this member");
  }
  const Result<HostPort> peer = ParseAddress(advertised);
  if (!peer.ok()) return FlagError("advertise-peer", peer.status().message());
  if (IsWildcard(peer->host)) return FlagError("advertise-peer", "nobody can reach the wildcard " + peer->host);
  config->advertise_peer = config->listen_peer = *peer;
  if (flags.listen_peer.empty()) return Status::Ok();
  const Result<HostPort> listen = ParseAddress(flags.listen_peer);
  if (!listen.ok()) return FlagError("listen-peer", listen.status().message());
  config->listen_peer = *listen;
  config->listen_peer_named = true;
  return Status::Ok();
}

Status SetMembers(const ServeFlags& flags, ServeConfig* config) {
  if (flags.initial_cluster.empty()) {
    const Result<HostPort> peer = ParseAddress(flags.advertise_peer.empty() ? kDefaultPeer : flags.advertise_peer);
    if (!peer.ok()) return FlagError("advertise-peer", peer.status().message());
    config->members = {{MakeReplicaId(flags.name, *peer, flags.cluster_token), flags.name, *peer}};
  } else {
    Result<std::vector<Member>> members = ParseInitialCluster(flags);
    if (!members.ok()) return members.status();
    config->members = *std::move(members);
  }
  const auto self = std::find_if(config->members.begin(), config->members.end(),
                                 [&](const Member& m) { return m.name == flags.name; });
  if (self == config->members.end()) {
    return FlagError("initial-cluster", "has no member called " + flags.name + " (--name)");
  }
  config->advertise_peer = self->peer;
  SetIdentities(config);
  if (flags.listen_peer.empty()) {
    if (config->members.size() > 1) config->listen_peer = self->peer;
    return Status::Ok();
  }
  const Result<HostPort> listen = ParseAddress(flags.listen_peer);
  if (!listen.ok()) return FlagError("listen-peer", listen.status().message());
  config->listen_peer = *listen;
  config->listen_peer_named = true;
  return Status::Ok();
}

Status SetLimits(const ServeFlags& flags, ServeConfig* config) {
  if (!flags.snapshot_rate.empty()) {
    const Result<std::uint64_t> rate = ParseBytes(flags.snapshot_rate);
    if (!rate.ok()) return FlagError("snapshot-rate", rate.status().message());
    config->snapshot_rate_bytes = *rate;
  }
  if (!flags.log_retention.empty()) {
    const Result<std::uint64_t> retention = ParseDuration(flags.log_retention);
    if (!retention.ok()) return FlagError("log-retention", retention.status().message());
    config->log_retention_ns = *retention;
  }
  if (!flags.log_keep.empty()) {
    const Result<std::uint64_t> keep = ParseBytes(flags.log_keep);
    if (!keep.ok()) return FlagError("log-keep", keep.status().message());
    if (*keep < kLogKeepMin) return FlagError("log-keep", "at least 1MiB");
    config->log_keep_bytes = *keep;
  }
  return Status::Ok();
}

}  // namespace

const std::vector<FlagSpec>& ServeFlagSpecs() {
  static const std::vector<FlagSpec> specs{
      {"name", &ServeFlags::name, "this member's name in --initial-cluster"},
      {"data-dir", &ServeFlags::data_dir, "where everything durable lives; made when absent"},
      {"protocol", &ServeFlags::protocol, "raft, paxos or zab; the same on all members, for good"},
      {"listen-peer", &ServeFlags::listen_peer,
       "HOST:PORT for the other members (default: this member's address in --initial-cluster)"},
      {"advertise-peer", &ServeFlags::advertise_peer,
       "HOST:PORT of a lone or a joining server's peer address, where the others reach it"},
      {"initial-cluster", &ServeFlags::initial_cluster,
       "n1=HOST:PORT,n2=... with peer addresses; ignored once the data directory exists"},
      {"initial-cluster-state", &ServeFlags::initial_cluster_state, "new, or existing: the same as --join"},
      {"quota-backend-bytes", &ServeFlags::quota_backend_bytes,
       "size of the keyspace at which writes are refused; 0 = 2147483648, negative = no limit"},
      {"cluster-token", &ServeFlags::cluster_token, "keeps clusters with the same addresses apart"},
      {"listen-etcd", &ServeFlags::listen_etcd, "HOST:PORT for etcd clients"},
      {"advertise-etcd", &ServeFlags::advertise_etcd, "HOST:PORT that clients reach this member at"},
      {"listen-admin", &ServeFlags::listen_admin, "HOST:PORT for /metrics and /health"},
      {"snapshot-rate", &ServeFlags::snapshot_rate,
       "bytes a second, like 50MiB, that snapshots sent to other members may take (default: no limit)"},
      {"log-retention", &ServeFlags::log_retention,
       "how long, like 24h, the log is kept for `quorate snapshot restore --to-time` (default: not at all)"},
      {"log-keep", &ServeFlags::log_keep,
       "bytes, like 64MiB, of the log that stay for a member that is behind; who is further behind gets a snapshot "
       "(default: 256MiB)"},
      {"memory", &ServeFlags::memory,
       "what the keyspace may take in memory, as 256MiB or 2GiB; at least 64MiB (values beyond it stay on the disk)"},
      {"listen-zookeeper", &ServeFlags::listen_zookeeper, "not in this build"},
      {"listen-consul", &ServeFlags::listen_consul, "not in this build"},
  };
  return specs;
}

Result<HostPort> ParseAddress(std::string_view text) {
  if (text.starts_with("https://")) {
    return Status::InvalidArgument("\"" + std::string(text) + "\": this build has no TLS");
  }
  for (const std::string_view scheme : {"http://", "tcp://"}) {
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  }
  return env::ParseHostPort(text);
}

ReplicaId MakeReplicaId(std::string_view name, const HostPort& peer, std::string_view token) {
  Writer w;
  w.PutBytes("quorate member");
  w.PutBytes(name);
  w.PutBytes(peer.ToString());
  w.PutBytes(token);
  return ReplicaId(Hash63(w.str()));
}

ClusterId MakeClusterId(const std::vector<Member>& members, std::string_view token) {
  Writer w;
  w.PutBytes("quorate cluster");
  for (const Member& member : members) w.PutId(member.id);
  w.PutBytes(token);
  return ClusterId(Hash63(w.str()));
}

void SetIdentities(ServeConfig* config) {
  config->cluster = MakeClusterId(config->members, config->token);
  config->initial_voters.clear();
  for (const Member& member : config->members) {
    config->initial_voters.push_back(member.id);
    if (member.name == config->name) config->self = member.id;
  }
}

Result<ServeConfig> Validate(const ServeFlags& flags) {
  ServeConfig config;
  if (flags.name.empty()) return FlagError("name", "must not be empty");
  if (flags.data_dir.empty()) return FlagError("data-dir", "must not be empty");
  config.name = flags.name;
  config.data_dir = flags.data_dir;
  config.token = flags.cluster_token;
  const Result<consensus::Protocol> protocol = consensus::ParseProtocol(flags.protocol);
  if (!protocol.ok()) return FlagError("protocol", protocol.status().message());
  config.protocol = *protocol;
  RETURN_IF_ERROR(SetMemory(flags, &config));
  const Result<std::int64_t> quota = ParseQuota(flags.quota_backend_bytes);
  if (!quota.ok()) return quota.status();
  config.quota_bytes = *quota;
  const std::string& state = flags.initial_cluster_state;
  if (!state.empty() && state != "new" && state != "existing") {
    return FlagError("initial-cluster-state", "\"" + state + "\" is neither new nor existing");
  }
  const bool joins = flags.join || state == "existing";
  RETURN_IF_ERROR(joins ? SetJoin(flags, &config) : SetMembers(flags, &config));
  RETURN_IF_ERROR(SetListeners(flags, &config));
  RETURN_IF_ERROR(SetLimits(flags, &config));
  return config;
}

}  // namespace quorate::server
