#include "coord/admission.h"

#include <variant>

#include "coord/cluster/alarms.h"
#include "coord/cluster/feature_level.h"
#include "coord/errors.h"
#include "coord/machine.h"
#include "coord/session/sessions.h"

namespace quorate::coord {
namespace {

template <class... Kinds>
bool IsOneOf(const CommandBody& body) {
  return (std::holds_alternative<Kinds>(body) || ...);
}

}  // namespace

bool NeedsMembers(const CommandBody& body) {
  return IsOneOf<AddMember, RemoveMember, UpdateMember, PromoteMember, ReplaceMember, AlarmRequest>(body);
}

Status Admission::AdmitCommand(const Command& command) {
  RETURN_IF_ERROR(CheckSessionGap(command.envelope));
  RETURN_IF_ERROR(CheckAuth(command.envelope, command.body));
  RETURN_IF_ERROR(CheckLevel(command.body));
  RETURN_IF_ERROR(CheckAlarms(command.body));
  RETURN_IF_ERROR(CheckFences(command.envelope));
  RETURN_IF_ERROR(CheckIntents(command.body));
  return CheckDuplicate(command.envelope);
}

Status Admission::AdmitRead(std::string_view key, std::string_view end) const {
  RETURN_IF_ERROR(CheckReadAuth(key, end));
  return CheckReadIntents(key, end);
}

Status Admission::CheckAuth(const Envelope&, const CommandBody&) const {
  return {};
}
// Nobody proposes these at level 1, but a frontend that is asked at the wrong moment.
Status Admission::CheckLevel(const CommandBody& body) const {
  if (level_.now() < 3 && IsOneOf<OpenSessionRequest, CloseSessionRequest, RenewSessionsRequest>(body)) {
    return errors::NotCapable();
  }
  return level_.now() < 2 && NeedsMembers(body) ? errors::NotCapable() : Status();
}
// Sizes are compared with the quota before a command is proposed, by the member that was asked, because the quota is a
// flag of each. What is logged is the alarm, and that is what all members judge by.
Status Admission::CheckAlarms(const CommandBody& body) const {
  if (alarms_.empty()) return {};
  if (alarms_.Active(AlarmType::kCorrupt) &&
      IsOneOf<PutRequest, DeleteRangeRequest, TxnRequest, CompactRequest, LeaseGrantRequest, LeaseRevokeRequest>(
          body)) {
    return errors::Corrupt();
  }
  if (alarms_.Active(AlarmType::kNoSpace) && NeedsSpace(body)) return errors::NoSpace();
  return {};
}
Status Admission::CheckFences(const Envelope&) const {
  return {};
}
Status Admission::CheckIntents(const CommandBody&) const {
  return {};
}
Status Admission::CheckDuplicate(const Envelope&) const {
  return {};
}
// A protocol that fills holes with no-ops may decide a client's later command and never the earlier one (Multi-Paxos;
// design section 2). The turn is taken before the other rules judge: what they refuse was the client's command all the
// same, and those behind it go on, as in ZooKeeper.
Status Admission::CheckSessionGap(const Envelope& envelope) {
  return envelope.session ? sessions_.TakeTurn(envelope.session, envelope.sequence) : Status();
}
Status Admission::CheckReadAuth(std::string_view, std::string_view) const {
  return {};
}
Status Admission::CheckReadIntents(std::string_view, std::string_view) const {
  return {};
}

}  // namespace quorate::coord
