#include "frontend/etcd/cluster_service.h"

#include <string>

#include "frontend/etcd/convert.h"

namespace quorate::frontend::etcd {

void ClusterService::MemberList(std::string_view message, const Reply& reply) {
  etcdserverpb::MemberListRequest wire;
  if (!ParseRequest(message, &wire, reply)) return;
  WhenReadable(wiring_.backend, !wire.linearizable(), reply, [this, reply] {
    etcdserverpb::MemberListResponse answer;
    FillHeader(wiring_.backend, 0, answer.mutable_header());
    for (const coord::MemberInfo& member : wiring_.backend.members()) {
      etcdserverpb::Member* listed = answer.add_members();
      listed->set_id(member.id.value);
      listed->set_name(member.name);
      for (const std::string& url : member.peer_urls) listed->add_peerurls(url);
      for (const std::string& url : member.client_urls) listed->add_clienturls(url);
      listed->set_islearner(member.learner);
    }
    reply.Send(answer);
  });
}

}  // namespace quorate::frontend::etcd
