// Command: what goes through the log, and CommandOutcome: what executing it gave. Our own versioned encoding, never a
// client's message.
//
// Made by frontends (through coord::Backend) and the leader's timers, executed by coord::Machine. Plain values, no
// thread rule. The encoding changes only in a commit of its own; an unknown version or kind halts apply, it is never
// skipped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "coord/cluster/types.h"
#include "coord/kv/types.h"
#include "coord/session/types.h"
#include "replica/state_machine.h"

namespace quorate::coord {

// A fencing token that the command brings along; enforced by admission when locks exist. (space, lock, grant revision)
struct Fence {
  std::uint64_t space = 0;
  std::string lock;
  Revision granted = 0;
  friend bool operator==(const Fence&, const Fence&) = default;
};

// Origin and proposal id travel in consensus::Entry. The clocks and their leader are written by the leader
// (StampCommand), not by the origin.
struct Envelope {
  GroupId group{1};
  std::uint64_t cluster_time_ns = 0;  // see coord/time; apply takes the maximum
  std::int64_t wall_time_ns = 0;      // for people and for choosing a restore point; never read by apply's logic
  consensus::Ballot leader;           // who wrote the clocks, where its commands may come late; zero elsewhere
  SessionId session;                  // of a pipelined client; 0 = none
  std::uint64_t sequence = 0;         // in that session, from 1: executed only right after its predecessor
  std::string idempotency_id;         // empty = none
  std::string principal;              // empty = no auth
  std::uint64_t auth_revision = 0;
  std::vector<Fence> fences;
  std::uint64_t trace_id = 0;
  friend bool operator==(const Envelope&, const Envelope&) = default;
};

struct AdvanceTime {};  // an otherwise idle leader lets cluster time be logged
struct AdvanceTimeResponse {};

using CommandBody = std::variant<PutRequest, DeleteRangeRequest, TxnRequest, CompactRequest, LeaseGrantRequest,
                                 LeaseRevokeRequest, LeaseRenewRequest, ExpireRequest, AdvanceTime, PublishMember,
                                 RaiseFeatureLevel, AddMember, RemoveMember, UpdateMember, PromoteMember, ReplaceMember,
                                 AlarmRequest, OpenSessionRequest, CloseSessionRequest, RenewSessionsRequest>;
struct Command {
  Envelope envelope;
  CommandBody body;
};

std::string EncodeCommand(const Command& command);
Result<Command> DecodeCommand(const Bytes& encoded);  // values share `encoded`'s memory
// Overwrites the two clocks of an encoded command in place, and puts `leader` into it unless that is zero.
void StampCommand(std::string& encoded, std::uint64_t cluster_time_ns, std::int64_t wall_time_ns,
                  consensus::Ballot leader = {});

using ResponseBody =
    std::variant<std::monostate, PutResponse, DeleteRangeResponse, TxnResponse, CompactResponse, LeaseGrantResponse,
                 LeaseRevokeResponse, LeaseRenewResponse, ExpireResponse, AdvanceTimeResponse, PublishMemberResponse,
                 RaiseFeatureLevelResponse, MembersResponse, AlarmResponse, OpenSessionResponse, CloseSessionResponse,
                 RenewSessionsResponse>;
struct CommandOutcome final : replica::Outcome {
  Status status;          // why it was refused; texts are etcd's
  Revision revision = 0;  // the store's after this command: what a response header carries
  ResponseBody body;      // monostate when refused
};

}  // namespace quorate::coord
