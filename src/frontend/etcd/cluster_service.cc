#include "frontend/etcd/cluster_service.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "frontend/etcd/convert.h"
#include "frontend/etcd/errors.h"
#include "quorate/cluster.pb.h"

namespace quorate::frontend::etcd {
namespace {

void Fill(const coord::MemberInfo& member, etcdserverpb::Member* listed) {
  listed->set_id(member.id.value);
  listed->set_name(member.name);
  for (const std::string& url : member.peer_urls) listed->add_peerurls(url);
  for (const std::string& url : member.client_urls) listed->add_clienturls(url);
  listed->set_islearner(member.learner);
}

template <class Answer>
void FillMembers(const std::vector<coord::MemberInfo>& members, Answer* answer) {
  for (const coord::MemberInfo& member : members) Fill(member, answer->add_members());
}

const coord::MemberInfo* Find(const std::vector<coord::MemberInfo>& members, ReplicaId id) {
  const auto found = std::find_if(members.begin(), members.end(), [id](const auto& member) { return member.id == id; });
  return found == members.end() ? nullptr : &*found;
}

// SCHEME://HOST:PORT and nothing else, as etcd takes them, less https: peers are dialled without TLS.
bool IsPeerUrl(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return false;
  url.remove_prefix(kScheme.size());
  const std::size_t colon = url.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view port = url.substr(colon + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !port.empty() && port.size() <= 5 && std::all_of(port.begin(), port.end(), is_digit) &&
         url.find('/') == std::string_view::npos;
}

// Sorted, as etcd keeps them; nothing if any of them is wrong.
template <class Urls>
std::optional<std::vector<std::string>> PeerUrls(const Urls& wire) {
  std::vector<std::string> urls(wire.begin(), wire.end());
  if (urls.empty() || !std::all_of(urls.begin(), urls.end(), IsPeerUrl)) return std::nullopt;
  std::sort(urls.begin(), urls.end());
  return urls;
}

const std::vector<coord::MemberInfo>& MembersOf(const coord::CommandOutcome& outcome) {
  return std::get<coord::MembersResponse>(outcome.body).members;
}

// The answer of etcd's calls that say nothing but who the members are now.
template <class Answer>
void ProposeAndList(const Wiring& wiring, coord::CommandBody body, const Reply& reply) {
  ProposeThen(wiring.backend, std::move(body), reply, [&wiring, reply](const coord::CommandOutcome& outcome) {
    Answer answer;
    FillHeader(wiring.backend, 0, answer.mutable_header());
    FillMembers(MembersOf(outcome), &answer);
    reply.Send(answer);
  });
}

template <class Answer>
void ProposeNew(const Wiring& wiring, coord::CommandBody body, ReplicaId id, const Reply& reply) {
  ProposeThen(wiring.backend, std::move(body), reply, [&wiring, reply, id](const coord::CommandOutcome& outcome) {
    Answer answer;
    FillHeader(wiring.backend, 0, answer.mutable_header());
    if (const coord::MemberInfo* added = Find(MembersOf(outcome), id)) Fill(*added, answer.mutable_member());
    FillMembers(MembersOf(outcome), &answer);
    reply.Send(answer);
  });
}

}  // namespace

// Random, of 63 bits: none was ever given before, and apply checks it.
ReplicaId ClusterService::NewId() const {
  const std::uint64_t id = wiring_.random.Next() & ~(std::uint64_t{1} << 63);
  return ReplicaId(id == 0 ? 1 : id);
}

void ClusterService::MemberList(std::string_view message, const Reply& reply) {
  etcdserverpb::MemberListRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  WhenReadable(wiring_.backend, !wire.linearizable(), net::AnswerSize::kSmall, reply, [this, reply] {
    etcdserverpb::MemberListResponse answer;
    FillHeader(wiring_.backend, 0, answer.mutable_header());
    FillMembers(wiring_.backend.members(), &answer);
    reply.Send(answer);
  });
}

void ClusterService::MemberAdd(std::string_view message, const Reply& reply) {
  etcdserverpb::MemberAddRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  std::optional<std::vector<std::string>> urls = PeerUrls(wire.peerurls());
  if (!urls) return reply.Fail(BadMemberUrls());
  coord::AddMember add{NewId(), *std::move(urls), wire.islearner()};
  const ReplicaId id = add.id;
  ProposeNew<etcdserverpb::MemberAddResponse>(wiring_, std::move(add), id, reply);
}

void ClusterService::MemberRemove(std::string_view message, const Reply& reply) {
  etcdserverpb::MemberRemoveRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  ProposeAndList<etcdserverpb::MemberRemoveResponse>(wiring_, coord::RemoveMember{ReplicaId(wire.id())}, reply);
}

void ClusterService::MemberUpdate(std::string_view message, const Reply& reply) {
  etcdserverpb::MemberUpdateRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  std::optional<std::vector<std::string>> urls = PeerUrls(wire.peerurls());
  if (!urls) return reply.Fail(BadMemberUrls());
  coord::UpdateMember update{ReplicaId(wire.id()), *std::move(urls)};
  ProposeAndList<etcdserverpb::MemberUpdateResponse>(wiring_, std::move(update), reply);
}

void ClusterService::MemberPromote(std::string_view message, const Reply& reply) {
  etcdserverpb::MemberPromoteRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  ProposeAndList<etcdserverpb::MemberPromoteResponse>(wiring_, coord::PromoteMember{ReplicaId(wire.id())}, reply);
}

void ClusterService::MemberReplace(std::string_view message, const Reply& reply) {
  quoratepb::MemberReplaceRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  std::optional<std::vector<std::string>> urls = PeerUrls(wire.peer_urls());
  if (!urls) return reply.Fail(BadMemberUrls());
  coord::ReplaceMember replace{ReplicaId(wire.old_id()), NewId(), *std::move(urls)};
  const ReplicaId id = replace.id;
  ProposeNew<etcdserverpb::MemberAddResponse>(wiring_, std::move(replace), id, reply);
}

}  // namespace quorate::frontend::etcd
