// Requests and responses about the cluster itself: who belongs to it, which alarms are active, what all members
// understand. Made by frontends and by server/, executed by coord::Machine. Plain values, no thread rule.
//
// The member table is the desired configuration: a command changes it at once, and server/ then takes the consensus
// group there step by step (server/reconfiguration.h). Only AlarmRequest is about something else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace quorate::coord {

// What this build can execute. A cluster's level is the highest that all its members understand, is raised by a
// command, and never falls.
//   1: the first release
//   2: the commands of this file
inline constexpr std::uint32_t kFeatureLevelMin = 1;
inline constexpr std::uint32_t kFeatureLevelMax = 3;

struct PublishMember {  // a member tells the cluster its name and client URLs at start
  ReplicaId id;
  std::string name;
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
};
struct PublishMemberResponse {};

struct InitialMember {
  ReplicaId id;
  std::string name;
  std::vector<std::string> peer_urls;
  friend bool operator==(const InitialMember&, const InitialMember&) = default;
};
// The leader proposes it when every member understands `level`, and when the member table says nothing (a new cluster,
// or one restored from a snapshot): only then `members` are entered.
struct RaiseFeatureLevel {
  std::uint32_t level = kFeatureLevelMin;
  std::vector<InitialMember> members;
};
struct RaiseFeatureLevelResponse {
  std::uint32_t level = 0;  // as it is now
};

// A member that is not a learner takes part in votes as soon as it has caught up; until then it is taught like one.
struct AddMember {
  ReplicaId id;  // new: ids are never used again, not even those of removed members
  std::vector<std::string> peer_urls;
  bool learner = false;
};
struct RemoveMember {
  ReplicaId id;
};
struct UpdateMember {
  ReplicaId id;
  std::vector<std::string> peer_urls;
};
struct PromoteMember {
  ReplicaId id;
};
// Remove and add in one: the cluster never stands with one member less because the second half was forgotten. The new
// one takes the old one's place as voter or learner, and may have its address.
struct ReplaceMember {
  ReplicaId old_id;
  ReplicaId id;
  std::vector<std::string> peer_urls;
};
struct MemberInfo {
  ReplicaId id;
  std::string name;  // empty until the member has started and published itself
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  bool learner = false;
  friend bool operator==(const MemberInfo&, const MemberInfo&) = default;
};
// etcd's guard of the quorum: whether enough voters have ever started, with `entering` voters more (of which
// `entering_started`) and without `leaving`.
bool EnoughStarted(const std::vector<MemberInfo>& members, std::size_t entering, std::size_t entering_started,
                   ReplicaId leaving);
struct MembersResponse {            // to the five above
  std::vector<MemberInfo> members;  // as they are now, ascending by id
};

enum class AlarmType : std::uint8_t { kNone = 0, kNoSpace = 1, kCorrupt = 2 };  // etcd's numbers
struct Alarm {
  ReplicaId member;
  AlarmType type = AlarmType::kNone;
  auto operator<=>(const Alarm&) const = default;
};
struct AlarmRequest {
  bool activate = false;
  Alarm alarm;
};
struct AlarmResponse {
  std::vector<Alarm> alarms;  // that were touched: none when there was nothing to deactivate
};

}  // namespace quorate::coord
