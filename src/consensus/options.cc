#include "consensus/options.h"

#include <string>

#include "consensus/change.h"

namespace quorate::consensus {
namespace {

Status CheckRange(std::string_view field, std::uint64_t value, std::uint64_t low, std::uint64_t high) {
  if (low <= value && value <= high) return Status::Ok();
  return Status::InvalidArgument(std::string(field) + " = " + std::to_string(value) + " is outside [" +
                                 std::to_string(low) + ", " + std::to_string(high) + "]");
}

}  // namespace

Status ValidateOptions(const Options& options) {
  if (!options.self) return Status::InvalidArgument("self must not be 0");
  RETURN_IF_ERROR(CheckRange("heartbeat_ticks", options.heartbeat_ticks, 1, 1'000));
  RETURN_IF_ERROR(CheckRange("election_ticks", options.election_ticks, 2 * options.heartbeat_ticks, 10'000));
  RETURN_IF_ERROR(CheckRange("inflight_bytes_max", options.inflight_bytes_max, 1, 1u << 30));
  RETURN_IF_ERROR(CheckRange("inflight_messages_max", options.inflight_messages_max, 1, 1u << 16));
  RETURN_IF_ERROR(CheckRange("message_bytes_max", options.message_bytes_max, 1, 1u << 26));
  RETURN_IF_ERROR(CheckRange("uncommitted_bytes_max", options.uncommitted_bytes_max, 1, std::uint64_t{1} << 36));
  RETURN_IF_ERROR(CheckRange("log_cache_bytes", options.log_cache_bytes, 0, std::uint64_t{1} << 36));
  RETURN_IF_ERROR(CheckRange("alpha", options.alpha, 1, 1u << 16));
  RETURN_IF_ERROR(CheckRange("phase1_quorum", options.phase1_quorum, 0, 1u << 16));
  return CheckRange("phase2_quorum", options.phase2_quorum, 0, 1u << 16);
}

Status CheckMembers(const Membership& members, std::string_view field) {
  if (members == Membership()) return Status::Ok();  // a member that joins
  if (members.voters.empty()) return Status::InvalidArgument(std::string(field) + " has no voters");
  if (!IsWellFormed(members)) {
    return Status::InvalidArgument(std::string(field) + " must be sorted, without 0 and without repetition");
  }
  if (!members.outgoing.empty()) return Status::InvalidArgument(std::string(field) + ".outgoing must be empty");
  return Status::Ok();
}

}  // namespace quorate::consensus
