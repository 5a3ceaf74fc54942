#include "server/data_directory.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/log.h"

namespace quorate::server {
namespace {

constexpr std::string_view kClusterMagic = "QRTCLUS2";     // the last character is the format version
constexpr std::string_view kClusterMagicOne = "QRTCLUS1";  // without the identities: they followed from the members
constexpr std::string_view kPeersMagic = "QRTPEER1";
const std::string kClusterName = "cluster";
const std::string kPeersName = "peers";
const std::string kLogName = "wal";

std::string Seal(Writer w) {
  w.Put32(Crc32c(w.str()));
  return std::move(w).Take();
}

// What stands between magic and checksum, or why it cannot be believed.
Result<std::string_view> Unseal(std::string_view content, std::string_view magic, const std::string& name) {
  const Status damaged =
      Status::DataLoss("the file \"" + name + "\" in the data directory is damaged (" + std::to_string(content.size()) +
                       " bytes, wrong checksum). Bring it back from a backup, or move the data "
                       "directory away and replace this member by one with a new id");
  if (content.size() < magic.size() + 4) return damaged;
  Reader tail(content.substr(content.size() - 4));
  content.remove_suffix(4);
  if (tail.Get32() != Crc32c(content)) return damaged;
  if (!content.starts_with(magic)) {
    return Status::DataLoss(
        "the file \"" + name + "\" in the data directory has a format that this build does not know (" +
        std::string(content.substr(0, magic.size())) + "): use the build that wrote it, or a newer one");
  }
  return content.substr(magic.size());
}

Status WriteWhole(env::Disk& disk, const std::string& name, std::string_view content) {
  const std::string temporary = name + ".new";
  if (disk.Exists(temporary)) RETURN_IF_ERROR(disk.Remove(temporary));
  {
    Result<std::unique_ptr<env::File>> file = disk.Create(temporary);
    if (!file.ok()) return file.status();
    RETURN_IF_ERROR((*file)->Write(0, content));
    RETURN_IF_ERROR((*file)->Sync());
  }
  RETURN_IF_ERROR(disk.Rename(temporary, name));
  return disk.SyncDirectory("");
}

Result<std::string> ReadWhole(env::Disk& disk, const std::string& name) {
  const Result<std::unique_ptr<env::File>> file = disk.Open(name);
  if (!file.ok()) return file.status();
  const Result<std::uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  return (*file)->Read(0, *size);
}

const Member* Find(const std::vector<Member>& members, ReplicaId id) {
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.id == id; });
  return found == members.end() ? nullptr : &*found;
}

// What version 1 left to be computed. Its directories are of first members, and the flags say by which name.
void SetIdentitiesOfVersionOne(ClusterFile* file, const std::string& name) {
  file->cluster = MakeClusterId(file->members, file->token);
  for (const Member& member : file->members) {
    file->initial_voters.push_back(member.id);
    if (member.name == name) file->self = member.id;
  }
}

}  // namespace

std::string EncodeClusterFile(const ClusterFile& file) {
  Writer w;
  w.PutRaw(kClusterMagic);
  w.PutBytes(file.token);
  w.PutVarint(file.members.size());
  for (const Member& member : file.members) {
    w.PutId(member.id);
    w.PutBytes(member.name);
    w.PutBytes(member.peer.host);
    w.PutVarint(member.peer.port);
  }
  w.Put64(file.directory);
  w.PutBool(file.log_exists);
  w.Put64(file.cluster.value);
  w.PutId(file.self);
  w.PutVarint(file.initial_voters.size());
  for (const ReplicaId voter : file.initial_voters) w.PutId(voter);
  return Seal(std::move(w));
}

Result<ClusterFile> DecodeClusterFile(std::string_view content) {
  const bool version_one = content.starts_with(kClusterMagicOne);
  const Result<std::string_view> body = Unseal(content, version_one ? kClusterMagicOne : kClusterMagic, kClusterName);
  if (!body.ok()) return body.status();
  Reader r(*body);
  ClusterFile file;
  file.token = r.GetBytes();
  file.members.resize(r.GetCount());
  for (Member& member : file.members) {
    member.id = r.GetId<ReplicaId>();
    member.name = r.GetBytes();
    member.peer.host = r.GetBytes();
    member.peer.port = static_cast<std::uint16_t>(r.GetVarint());
  }
  file.directory = r.Get64();
  file.log_exists = r.GetBool();
  if (!version_one) {
    file.cluster = ClusterId(r.Get64());
    file.self = r.GetId<ReplicaId>();
    file.initial_voters.resize(r.GetCount());
    for (ReplicaId& voter : file.initial_voters) voter = r.GetId<ReplicaId>();
  }
  if (!r.Done()) return Status::DataLoss("the file \"cluster\" in the data directory does not decode");
  return file;
}

std::string EncodePeersFile(const PeerDirectories& peers) {
  Writer w;
  w.PutRaw(kPeersMagic);
  w.PutVarint(peers.size());
  for (const auto& [peer, directory] : peers) {
    w.PutId(peer);
    w.Put64(directory);
  }
  return Seal(std::move(w));
}

Result<PeerDirectories> DecodePeersFile(std::string_view content) {
  const Result<std::string_view> body = Unseal(content, kPeersMagic, kPeersName);
  if (!body.ok()) return body.status();
  Reader r(*body);
  PeerDirectories peers;
  for (std::size_t left = r.GetCount(9); left > 0; --left) {
    const ReplicaId peer = r.GetId<ReplicaId>();
    peers[peer] = r.Get64();
  }
  if (!r.Done()) return Status::DataLoss("the file \"peers\" in the data directory does not decode");
  return peers;
}

Result<DataDirectory> DataDirectory::Open(env::Disk& disk, env::Random& random, ServeConfig* config,
                                          const std::function<Status(ServeConfig*)>& join) {
  DataDirectory directory(disk);
  directory.path_ = config->data_dir;
  RETURN_IF_ERROR(disk.Lock("lock"));
  if (disk.Exists(kClusterName)) {
    RETURN_IF_ERROR(directory.Load(config));
    return directory;
  }
  RETURN_IF_ERROR(directory.CheckNew());
  if (!config->join.empty()) RETURN_IF_ERROR(join(config));
  RETURN_IF_ERROR(directory.Create(*config, random));
  return directory;
}

Status DataDirectory::CheckNew() const {
  if (disk_->Exists(kLogName)) {
    return Status::DataLoss("the data directory " + path_ + " has a log but no file \"" + kClusterName +
                            "\": it no longer says who the members are. Bring the file back from a backup, or move the "
                            "directory away and replace this member by one with a new id");
  }
  return Status::Ok();
}

Status DataDirectory::Create(const ServeConfig& config, env::Random& random) {
  cluster_ = {config.token,   config.members, random.Next() | 1,    false,
              config.cluster, config.self,    config.initial_voters};
  return WriteWhole(*disk_, kClusterName, EncodeClusterFile(cluster_));
}

Status DataDirectory::Load(ServeConfig* config) {
  const Result<std::string> content = ReadWhole(*disk_, kClusterName);
  if (!content.ok()) return content.status();
  Result<ClusterFile> file = DecodeClusterFile(*content);
  if (!file.ok()) return file.status();
  cluster_ = *std::move(file);
  if (disk_->Exists(kPeersName)) {
    const Result<std::string> peers = ReadWhole(*disk_, kPeersName);
    if (!peers.ok()) return peers.status();
    Result<PeerDirectories> decoded = DecodePeersFile(*peers);
    if (!decoded.ok()) return decoded.status();
    peers_ = *std::move(decoded);
  }
  if (!cluster_.cluster) SetIdentitiesOfVersionOne(&cluster_, config->name);
  const Member* self = Find(cluster_.members, cluster_.self);
  if (self != nullptr && self->name != config->name) {
    return Status::FailedPrecondition("the data directory " + path_ + " belongs to member " + self->name + ", not to " +
                                      config->name + ": check --name and --data-dir");
  }
  if (self == nullptr) {
    return Status::FailedPrecondition("the data directory " + path_ + " belongs to a cluster without a member called " +
                                      config->name + ": check --name and --data-dir");
  }
  if (config->join.empty() && (config->cluster != cluster_.cluster || config->self != cluster_.self)) {
    LogInfo("the flags name other members than " + path_ + " was made for, and are ignored");
  }
  if (cluster_.members.size() > 1 && !config->listen_peer_named) config->listen_peer = self->peer;
  config->advertise_peer = self->peer;
  config->join.clear();
  config->cluster = cluster_.cluster;
  config->self = cluster_.self;
  config->initial_voters = cluster_.initial_voters;
  config->members = cluster_.members;
  config->token = cluster_.token;
  return Status::Ok();
}

Status DataDirectory::LogOpened(bool fresh) {
  if (fresh && cluster_.log_exists) {
    return Status::DataLoss("the log in " + path_ + "/" + kLogName +
                            " is missing: this member has forgotten what it promised. Bring the directory back from a "
                            "backup, or move it away and replace this member by one with a new id");
  }
  if (cluster_.log_exists) return Status::Ok();
  cluster_.log_exists = true;
  return WriteWhole(*disk_, kClusterName, EncodeClusterFile(cluster_));
}

Status DataDirectory::SetMembers(const std::vector<Member>& members) {
  if (members == cluster_.members) return Status::Ok();
  cluster_.members = members;
  return WriteWhole(*disk_, kClusterName, EncodeClusterFile(cluster_));
}

Status DataDirectory::RememberPeer(ReplicaId peer, std::uint64_t directory) {
  peers_[peer] = directory;
  return WriteWhole(*disk_, kPeersName, EncodePeersFile(peers_));
}

}  // namespace quorate::server
