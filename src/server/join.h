// Joining: how somebody with an empty data directory learns who it is in a running cluster.
//
// It asks the existing members on their peer ports, before it has an id, a log or links: one request and one answer
// per connection, in place of the handshake (env/posix/peer_frame.h). The members answer from the member table, where
// `quorate member add` has entered the newcomer's peer address. Thread rule: AskToJoin blocks, at start; the rest are
// plain functions. Both messages begin with a format version and are total: garbage decodes to nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "coord/cluster/types.h"
#include "server/config.h"

namespace quorate::server {

struct JoinRequest {
  std::string name;
  HostPort peer;  // where the cluster would reach it
  std::string protocol;
  std::uint32_t feature_level = 0;  // the highest that its build knows
};
struct JoinAnswer {
  std::string refusal;   // empty: welcome
  bool unknown = false;  // refused because this address is no member's, as far as the asked one knows
  ClusterId cluster;
  std::string token;
  ReplicaId self;
  std::vector<Member> members;  // the newcomer too
};
std::string EncodeJoinRequest(const JoinRequest& request);
std::optional<JoinRequest> DecodeJoinRequest(std::string_view input);
std::string EncodeJoinAnswer(const JoinAnswer& answer);
std::optional<JoinAnswer> DecodeJoinAnswer(std::string_view input);

// What a member knows that is asked.
struct JoinHost {
  ClusterId cluster;
  std::string token;
  std::string protocol;
  std::uint32_t feature_level = 0;  // of the cluster
  std::vector<coord::MemberInfo> members;
};
JoinAnswer AnswerJoin(const JoinRequest& request, const JoinHost& host);

// Members of the table as addresses; those that have none that this build can dial are left out.
std::vector<Member> AddressesOf(const std::vector<coord::MemberInfo>& members);

// Asks config->join one after another until one says who this member is, and fills in the identities. Members that do
// not answer are asked again and again; when all who answer refuse, it gives up with their reason
// (FAILED_PRECONDITION).
Status AskToJoin(ServeConfig* config);

}  // namespace quorate::server
