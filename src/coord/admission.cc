#include "coord/admission.h"

namespace quorate::coord {

Status Admission::AdmitCommand(const Command& command) const {
  RETURN_IF_ERROR(CheckAuth(command.envelope, command.body));
  RETURN_IF_ERROR(CheckQuota(command.body));
  RETURN_IF_ERROR(CheckFences(command.envelope));
  RETURN_IF_ERROR(CheckIntents(command.body));
  RETURN_IF_ERROR(CheckDuplicate(command.envelope));
  return CheckSessionGap(command.envelope);
}

Status Admission::AdmitRead(std::string_view key, std::string_view end) const {
  RETURN_IF_ERROR(CheckReadAuth(key, end));
  return CheckReadIntents(key, end);
}

Status Admission::CheckAuth(const Envelope&, const CommandBody&) const {
  return {};
}
Status Admission::CheckQuota(const CommandBody&) const {
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
Status Admission::CheckSessionGap(const Envelope&) const {
  return {};
}
Status Admission::CheckReadAuth(std::string_view, std::string_view) const {
  return {};
}
Status Admission::CheckReadIntents(std::string_view, std::string_view) const {
  return {};
}

}  // namespace quorate::coord
