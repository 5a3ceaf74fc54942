#include "server/join.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <thread>
#include <utility>

#include "base/codec.h"
#include "base/log.h"
#include "env/posix/peer_frame.h"
#include "env/posix/peer_handshake.h"

namespace quorate::server {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kAnswerBytesMax = 1 << 20;
constexpr auto kPatience = std::chrono::seconds(3);  // with one member
constexpr auto kPause = std::chrono::milliseconds(500);
constexpr int kRefusalRounds = 6;  // a member that has just been added is not known everywhere at the same moment

void PutAddress(const HostPort& address, Writer* w) {
  w->PutBytes(address.host);
  w->PutVarint(address.port);
}
HostPort GetAddress(Reader* r) {
  HostPort address;
  address.host = r->GetBytes();
  address.port = static_cast<std::uint16_t>(r->GetVarint());
  return address;
}

// One question to one member; why there is no answer.
Result<JoinAnswer> Ask(const HostPort& member, const std::string& request) {
  boost::asio::ip::tcp::iostream stream;
  stream.expires_after(kPatience);
  stream.connect(member.host, std::to_string(member.port));
  const auto failed = [&](const std::string& what) {
    return Status::Unavailable(member.ToString() + ": " + what +
                               (stream.error() ? ": " + stream.error().message() : ""));
  };
  if (!stream) return failed("cannot connect");
  const env::PeerFrameHeader header =
      env::EncodePeerFrameHeader(env::PeerFrameKind::kJoin, env::kPeerHandshakeVersion, request);
  stream.write(header.data(), static_cast<std::streamsize>(header.size()));
  stream.write(request.data(), static_cast<std::streamsize>(request.size()));
  stream.flush();
  env::PeerFrameParser parser(env::kPeerHandshakeVersion, kAnswerBytesMax);
  char byte = 0;
  while (stream.get(byte)) {
    std::string_view input(&byte, 1);
    const std::optional<env::PeerFrame> frame = parser.Next(&input);
    if (!frame && parser.error() == nullptr) continue;
    std::optional<JoinAnswer> answer;
    if (frame && frame->kind == env::PeerFrameKind::kJoinAnswer) answer = DecodeJoinAnswer(frame->payload.view());
    if (!answer) return failed("does not answer as a member of this version does");
    return *std::move(answer);
  }
  return failed("no answer");
}

void Accept(JoinAnswer answer, ServeConfig* config) {
  config->cluster = answer.cluster;
  config->token = std::move(answer.token);
  config->self = answer.self;
  config->initial_voters.clear();
  config->members = std::move(answer.members);
  for (Member& member : config->members) {
    if (member.id == config->self) {
      member.name = config->name;
    } else {
      config->initial_voters.push_back(member.id);
    }
  }
}

}  // namespace

std::string EncodeJoinRequest(const JoinRequest& request) {
  Writer w;
  w.Put8(kVersion);
  w.PutBytes(request.name);
  PutAddress(request.peer, &w);
  w.PutBytes(request.protocol);
  w.PutVarint(request.feature_level);
  return std::move(w).Take();
}

std::optional<JoinRequest> DecodeJoinRequest(std::string_view input) {
  Reader r(input);
  if (r.Get8() != kVersion) return std::nullopt;
  JoinRequest request;
  request.name = r.GetBytes();
  request.peer = GetAddress(&r);
  request.protocol = r.GetBytes();
  request.feature_level = static_cast<std::uint32_t>(r.GetVarint());
  return r.Done() ? std::optional(std::move(request)) : std::nullopt;
}

std::string EncodeJoinAnswer(const JoinAnswer& answer) {
  Writer w;
  w.Put8(kVersion);
  w.PutBytes(answer.refusal);
  w.PutBool(answer.unknown);
  w.Put64(answer.cluster.value);
  w.PutBytes(answer.token);
  w.PutId(answer.self);
  w.PutVarint(answer.members.size());
  for (const Member& member : answer.members) {
    w.PutId(member.id);
    w.PutBytes(member.name);
    PutAddress(member.peer, &w);
  }
  return std::move(w).Take();
}

std::optional<JoinAnswer> DecodeJoinAnswer(std::string_view input) {
  Reader r(input);
  if (r.Get8() != kVersion) return std::nullopt;
  JoinAnswer answer;
  answer.refusal = r.GetBytes();
  answer.unknown = r.GetBool();
  answer.cluster = ClusterId(r.Get64());
  answer.token = r.GetBytes();
  answer.self = r.GetId<ReplicaId>();
  answer.members.resize(r.GetCount(4));
  for (Member& member : answer.members) {
    member.id = r.GetId<ReplicaId>();
    member.name = r.GetBytes();
    member.peer = GetAddress(&r);
  }
  return r.Done() ? std::optional(std::move(answer)) : std::nullopt;
}

std::vector<Member> AddressesOf(const std::vector<coord::MemberInfo>& members) {
  std::vector<Member> out;
  for (const coord::MemberInfo& info : members) {
    for (const std::string& url : info.peer_urls) {
      const Result<HostPort> peer = ParseAddress(url);
      if (!peer.ok()) continue;
      out.push_back({info.id, info.name, *peer});
      break;
    }
  }
  return out;
}

JoinAnswer AnswerJoin(const JoinRequest& request, const JoinHost& host) {
  JoinAnswer answer;
  if (request.protocol != host.protocol) {
    answer.refusal = "the cluster runs " + host.protocol + ": start this member with --protocol " + host.protocol;
    return answer;
  }
  if (request.feature_level < host.feature_level) {
    answer.refusal = "the cluster is at feature level " + std::to_string(host.feature_level) + ", this build knows " +
                     std::to_string(request.feature_level) + ": use the build that the others run, or a newer one";
    return answer;
  }
  for (const coord::MemberInfo& member : host.members) {
    const std::vector<Member> addresses = AddressesOf({member});
    if (addresses.empty() || addresses.front().peer != request.peer) continue;
    if (!member.name.empty()) {
      answer.refusal = "member " + member.name + " at " + request.peer.ToString() +
                       " has started before, with another data directory. Bring that directory back; or, if it is "
                       "lost, replace the member: quorate member replace " +
                       member.name + " NEW-NAME --peer " + request.peer.ToString();
      return answer;
    }
    answer.cluster = host.cluster;
    answer.token = host.token;
    answer.self = member.id;
    answer.members = AddressesOf(host.members);
    return answer;
  }
  answer.unknown = true;
  answer.refusal =
      "you are not a member: run quorate member add " + request.name + " --peer " + request.peer.ToString() + " first";
  return answer;
}

Status AskToJoin(ServeConfig* config) {
  const std::string request =
      EncodeJoinRequest({config->name, config->advertise_peer, std::string(consensus::ProtocolName(config->protocol)),
                         coord::kFeatureLevelMax});
  for (int refusals = 0;;) {
    std::string refusal, silence;
    for (const HostPort& member : config->join) {
      Result<JoinAnswer> answer = Ask(member, request);
      if (!answer.ok()) {
        silence = answer.status().message();
      } else if (answer->refusal.empty()) {
        LogInfo("member " + config->name + " joins, as " + member.ToString() + " says");
        Accept(*std::move(answer), config);
        return Status::Ok();
      } else {
        refusal = answer->refusal;
        if (!answer->unknown) refusals = kRefusalRounds;
      }
    }
    if (!refusal.empty() && ++refusals >= kRefusalRounds) return Status::FailedPrecondition("--join: " + refusal);
    if (refusal.empty()) LogWarn("joining: nobody answers yet (" + silence + "); trying again");
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace quorate::server
