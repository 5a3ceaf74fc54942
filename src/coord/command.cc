// The command encoding, format versions 1 and 2:
//
//   version (1 byte) | cluster time (8, fixed) | wall time (8, fixed) | rest of the envelope | kind (1 byte) | body
//
// Version 2 has the ballot of the leader that wrote the clocks right behind them (number and owner, 8 and 8, fixed). It
// is written only where a leader's commands may come late (consensus::Leadership).
//
// The two clocks stand at fixed places right after the version, so that the leader can write them into a command that
// is encoded already. Everything else is varints and length-prefixed bytes. tests: command_test.cc holds golden bytes.
#include "coord/command.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/codec.h"

namespace quorate::coord {
namespace {

constexpr std::uint8_t kFormatVersion = 1;
constexpr std::uint8_t kFormatVersionOfLeader = 2;
constexpr std::size_t kClocksEnd = 17;
constexpr std::size_t kLeaderEnd = 33;

// On disk: never reused.
enum class Kind : std::uint8_t {
  kPut = 1,
  kDeleteRange = 2,
  kTxn = 3,
  kCompact = 4,
  kLeaseGrant = 5,
  kLeaseRevoke = 6,
  kLeaseRenew = 7,
  kExpire = 8,
  kAdvanceTime = 9,
  kPublishMember = 10,
  kRaiseFeatureLevel = 11,
  kAddMember = 12,
  kRemoveMember = 13,
  kUpdateMember = 14,
  kPromoteMember = 15,
  kReplaceMember = 16,
  kAlarm = 17,
  kOpenSession = 18,
  kCloseSession = 19,
  kRenewSessions = 20,
};
enum class OpKind : std::uint8_t { kEmpty = 0, kRange = 1, kPut = 2, kDeleteRange = 3, kTxn = 4 };

constexpr std::uint8_t kFlagPrevKv = 1;
constexpr std::uint8_t kFlagIgnoreValue = 2;
constexpr std::uint8_t kFlagIgnoreLease = 4;
constexpr std::uint8_t kFlagKeysOnly = 1;
constexpr std::uint8_t kFlagCountOnly = 2;

std::uint8_t Flag(bool set, std::uint8_t flag) {
  return set ? flag : 0;
}

class Encoder {
 public:
  explicit Encoder(std::size_t reserve) : out_(reserve) {}

  void operator()(const PutRequest& put) {
    PutKind(Kind::kPut);
    Body(put);
  }
  void operator()(const DeleteRangeRequest& erase) {
    PutKind(Kind::kDeleteRange);
    Body(erase);
  }
  void operator()(const TxnRequest& txn) {
    PutKind(Kind::kTxn);
    Body(txn);
  }
  void operator()(const CompactRequest& compact) {
    PutKind(Kind::kCompact);
    out_.PutSigned(compact.revision);
  }
  void operator()(const LeaseGrantRequest& grant) {
    PutKind(Kind::kLeaseGrant);
    out_.PutSigned(grant.id);
    out_.PutSigned(grant.ttl);
  }
  void operator()(const LeaseRevokeRequest& revoke) {
    PutKind(Kind::kLeaseRevoke);
    out_.PutSigned(revoke.id);
  }
  void operator()(const LeaseRenewRequest& renew) {
    PutKind(Kind::kLeaseRenew);
    out_.PutSigned(renew.id);
  }
  void operator()(const ExpireRequest& expire) {
    PutKind(Kind::kExpire);
    out_.PutVarint(expire.leases.size());
    for (const std::int64_t id : expire.leases) out_.PutSigned(id);
  }
  void operator()(const AdvanceTime&) { PutKind(Kind::kAdvanceTime); }
  void operator()(const PublishMember& member) {
    PutKind(Kind::kPublishMember);
    out_.PutId(member.id);
    out_.PutBytes(member.name);
    Strings(member.peer_urls);
    Strings(member.client_urls);
  }
  void operator()(const RaiseFeatureLevel& raise) {
    PutKind(Kind::kRaiseFeatureLevel);
    out_.PutVarint(raise.level);
    out_.PutVarint(raise.members.size());
    for (const InitialMember& member : raise.members) {
      out_.PutId(member.id);
      out_.PutBytes(member.name);
      Strings(member.peer_urls);
    }
  }
  void operator()(const AddMember& add) {
    PutKind(Kind::kAddMember);
    out_.PutId(add.id);
    Strings(add.peer_urls);
    out_.PutBool(add.learner);
  }
  void operator()(const RemoveMember& remove) {
    PutKind(Kind::kRemoveMember);
    out_.PutId(remove.id);
  }
  void operator()(const UpdateMember& update) {
    PutKind(Kind::kUpdateMember);
    out_.PutId(update.id);
    Strings(update.peer_urls);
  }
  void operator()(const PromoteMember& promote) {
    PutKind(Kind::kPromoteMember);
    out_.PutId(promote.id);
  }
  void operator()(const ReplaceMember& replace) {
    PutKind(Kind::kReplaceMember);
    out_.PutId(replace.old_id);
    out_.PutId(replace.id);
    Strings(replace.peer_urls);
  }
  void operator()(const AlarmRequest& request) {
    PutKind(Kind::kAlarm);
    out_.PutBool(request.activate);
    out_.PutId(request.alarm.member);
    out_.Put8(static_cast<std::uint8_t>(request.alarm.type));
  }
  void operator()(const OpenSessionRequest& open) {
    PutKind(Kind::kOpenSession);
    out_.PutId(open.id);
    out_.PutVarint(open.ttl_ms);
  }
  void operator()(const CloseSessionRequest& close) {
    PutKind(Kind::kCloseSession);
    out_.PutId(close.id);
  }
  void operator()(const RenewSessionsRequest& renew) {
    PutKind(Kind::kRenewSessions);
    out_.PutVarint(renew.ids.size());
    for (const SessionId id : renew.ids) out_.PutId(id);
  }

  void Head(const Envelope& envelope) {
    const bool leader = envelope.leader != consensus::Ballot();
    out_.Put8(leader ? kFormatVersionOfLeader : kFormatVersion);
    out_.Put64(envelope.cluster_time_ns);
    out_.Put64(static_cast<std::uint64_t>(envelope.wall_time_ns));
    if (leader) {
      out_.Put64(envelope.leader.number);
      out_.Put64(envelope.leader.owner.value);
    }
    out_.PutId(envelope.group);
    out_.PutId(envelope.session);
    out_.PutVarint(envelope.sequence);
    out_.PutBytes(envelope.idempotency_id);
    out_.PutBytes(envelope.principal);
    out_.PutVarint(envelope.auth_revision);
    out_.PutVarint(envelope.fences.size());
    for (const Fence& fence : envelope.fences) {
      out_.PutVarint(fence.space);
      out_.PutBytes(fence.lock);
      out_.PutSigned(fence.granted);
    }
    out_.PutVarint(envelope.trace_id);
  }
  std::string Take() && { return std::move(out_).Take(); }

 private:
  void PutKind(Kind kind) { out_.Put8(static_cast<std::uint8_t>(kind)); }
  void PutOpKind(OpKind kind) { out_.Put8(static_cast<std::uint8_t>(kind)); }

  void Strings(const std::vector<std::string>& strings) {
    out_.PutVarint(strings.size());
    for (const std::string& text : strings) out_.PutBytes(text);
  }

  void Body(const PutRequest& put) {
    out_.Put8(Flag(put.prev_kv, kFlagPrevKv) | Flag(put.ignore_value, kFlagIgnoreValue) |
              Flag(put.ignore_lease, kFlagIgnoreLease));
    out_.PutBytes(put.key);
    out_.PutBytes(put.value.view());
    out_.PutSigned(put.lease);
  }
  void Body(const DeleteRangeRequest& erase) {
    out_.Put8(Flag(erase.prev_kv, kFlagPrevKv));
    out_.PutBytes(erase.key);
    out_.PutBytes(erase.end);
  }
  void Body(const RangeRequest& range) {
    out_.Put8(Flag(range.keys_only, kFlagKeysOnly) | Flag(range.count_only, kFlagCountOnly));
    out_.PutBytes(range.key);
    out_.PutBytes(range.end);
    out_.PutSigned(range.limit);
    out_.PutSigned(range.revision);
    out_.Put8(static_cast<std::uint8_t>(range.order));
    out_.Put8(static_cast<std::uint8_t>(range.target));
    out_.PutSigned(range.min_mod);
    out_.PutSigned(range.max_mod);
    out_.PutSigned(range.min_create);
    out_.PutSigned(range.max_create);
  }
  void Body(const TxnRequest& txn) {
    out_.PutVarint(txn.compares.size());
    for (const Compare& compare : txn.compares) {
      out_.Put8(static_cast<std::uint8_t>(compare.result));
      out_.Put8(static_cast<std::uint8_t>(compare.target));
      out_.PutBytes(compare.key);
      out_.PutBytes(compare.end);
      out_.PutSigned(compare.number);
      out_.PutBytes(compare.value);
    }
    Ops(txn.success);
    Ops(txn.failure);
  }
  void Ops(const std::vector<RequestOp>& ops) {
    out_.PutVarint(ops.size());
    for (const RequestOp& op : ops) {
      if (const auto* range = std::get_if<RangeRequest>(&op)) {
        PutOpKind(OpKind::kRange);
        Body(*range);
      } else if (const auto* put = std::get_if<PutRequest>(&op)) {
        PutOpKind(OpKind::kPut);
        Body(*put);
      } else if (const auto* erase = std::get_if<DeleteRangeRequest>(&op)) {
        PutOpKind(OpKind::kDeleteRange);
        Body(*erase);
      } else {
        const auto& nested = std::get<std::shared_ptr<const TxnRequest>>(op);
        PutOpKind(nested ? OpKind::kTxn : OpKind::kEmpty);
        if (nested) Body(*nested);
      }
    }
  }

  Writer out_;
};

class Decoder {
 public:
  explicit Decoder(const Bytes& memory) : memory_(memory), in_(memory.view()) {}

  Result<Command> Run() {
    const std::uint8_t version = in_.Get8();
    if (!in_.ok()) return Status::DataLoss("command: empty");
    if (version != kFormatVersion && version != kFormatVersionOfLeader) {
      return Status(StatusCode::kUnimplemented, "command: format version " + std::to_string(version) +
                                                    " is unknown to this build, which knows " +
                                                    std::to_string(kFormatVersionOfLeader));
    }
    Command command;
    Head(version == kFormatVersionOfLeader, &command.envelope);
    const std::uint8_t kind = in_.Get8();
    if (in_.ok() && !Body(kind, &command.body)) {
      return Status(StatusCode::kUnimplemented, "command: kind " + std::to_string(kind) + " is unknown to this build");
    }
    if (!in_.Done()) return Status::DataLoss("command: malformed, of " + std::to_string(memory_.size()) + " bytes");
    return command;
  }

 private:
  void Head(bool leader, Envelope* envelope) {
    envelope->cluster_time_ns = in_.Get64();
    envelope->wall_time_ns = static_cast<std::int64_t>(in_.Get64());
    if (leader) {
      envelope->leader.number = in_.Get64();
      envelope->leader.owner = ReplicaId(in_.Get64());
      if (envelope->leader == consensus::Ballot()) in_.Fail();
    }
    envelope->group = in_.GetId<GroupId>();
    envelope->session = in_.GetId<SessionId>();
    envelope->sequence = in_.GetVarint();
    envelope->idempotency_id = in_.GetBytes();
    envelope->principal = in_.GetBytes();
    envelope->auth_revision = in_.GetVarint();
    envelope->fences.resize(in_.GetCount(3));
    for (Fence& fence : envelope->fences) {
      fence.space = in_.GetVarint();
      fence.lock = in_.GetBytes();
      fence.granted = in_.GetSigned();
    }
    envelope->trace_id = in_.GetVarint();
  }

  // False: the kind is unknown.
  bool Body(std::uint8_t kind, CommandBody* body) {
    switch (static_cast<Kind>(kind)) {
      case Kind::kPut:
        Read(&body->emplace<PutRequest>());
        return true;
      case Kind::kDeleteRange:
        Read(&body->emplace<DeleteRangeRequest>());
        return true;
      case Kind::kTxn:
        Read(&body->emplace<TxnRequest>(), 1);
        return true;
      case Kind::kCompact:
        body->emplace<CompactRequest>().revision = in_.GetSigned();
        return true;
      case Kind::kLeaseGrant: {
        auto& grant = body->emplace<LeaseGrantRequest>();
        grant.id = in_.GetSigned();
        grant.ttl = in_.GetSigned();
        return true;
      }
      case Kind::kLeaseRevoke:
        body->emplace<LeaseRevokeRequest>().id = in_.GetSigned();
        return true;
      case Kind::kLeaseRenew:
        body->emplace<LeaseRenewRequest>().id = in_.GetSigned();
        return true;
      case Kind::kExpire: {
        auto& expire = body->emplace<ExpireRequest>();
        expire.leases.resize(in_.GetCount());
        for (std::int64_t& id : expire.leases) id = in_.GetSigned();
        return true;
      }
      case Kind::kAdvanceTime:
        body->emplace<AdvanceTime>();
        return true;
      default:
        return SessionBody(static_cast<Kind>(kind), body) || ClusterBody(static_cast<Kind>(kind), body);
    }
  }

  bool SessionBody(Kind kind, CommandBody* body) {
    switch (kind) {
      case Kind::kOpenSession: {
        auto& open = body->emplace<OpenSessionRequest>();
        open.id = in_.GetId<SessionId>();
        open.ttl_ms = in_.GetVarint();
        return true;
      }
      case Kind::kCloseSession:
        body->emplace<CloseSessionRequest>().id = in_.GetId<SessionId>();
        return true;
      case Kind::kRenewSessions: {
        auto& renew = body->emplace<RenewSessionsRequest>();
        renew.ids.resize(in_.GetCount());
        for (SessionId& id : renew.ids) id = in_.GetId<SessionId>();
        return true;
      }
      default:
        return false;
    }
  }

  bool ClusterBody(Kind kind, CommandBody* body) {
    switch (kind) {
      case Kind::kPublishMember:
        Read(&body->emplace<PublishMember>());
        return true;
      case Kind::kRaiseFeatureLevel:
        Read(&body->emplace<RaiseFeatureLevel>());
        return true;
      case Kind::kAddMember: {
        auto& add = body->emplace<AddMember>();
        add.id = in_.GetId<ReplicaId>();
        Read(&add.peer_urls);
        add.learner = in_.GetBool();
        return true;
      }
      case Kind::kRemoveMember:
        body->emplace<RemoveMember>().id = in_.GetId<ReplicaId>();
        return true;
      case Kind::kUpdateMember: {
        auto& update = body->emplace<UpdateMember>();
        update.id = in_.GetId<ReplicaId>();
        Read(&update.peer_urls);
        return true;
      }
      case Kind::kPromoteMember:
        body->emplace<PromoteMember>().id = in_.GetId<ReplicaId>();
        return true;
      case Kind::kReplaceMember: {
        auto& replace = body->emplace<ReplaceMember>();
        replace.old_id = in_.GetId<ReplicaId>();
        replace.id = in_.GetId<ReplicaId>();
        Read(&replace.peer_urls);
        return true;
      }
      case Kind::kAlarm: {
        auto& request = body->emplace<AlarmRequest>();
        request.activate = in_.GetBool();
        request.alarm.member = in_.GetId<ReplicaId>();
        request.alarm.type = static_cast<AlarmType>(in_.Get8());
        return true;
      }
      default:
        return false;
    }
  }

  std::uint8_t Flags(std::uint8_t known) {
    const std::uint8_t flags = in_.Get8();
    if ((flags & ~known) != 0) in_.Fail();
    return flags;
  }

  void Read(std::vector<std::string>* strings) {
    strings->resize(in_.GetCount());
    for (std::string& text : *strings) text = in_.GetBytes();
  }
  void Read(PublishMember* member) {
    member->id = in_.GetId<ReplicaId>();
    member->name = in_.GetBytes();
    Read(&member->peer_urls);
    Read(&member->client_urls);
  }
  void Read(RaiseFeatureLevel* raise) {
    const std::uint64_t level = in_.GetVarint();
    if (level > UINT32_MAX) return in_.Fail();
    raise->level = static_cast<std::uint32_t>(level);
    const std::size_t members = in_.GetCount(3);
    for (std::size_t i = 0; i < members && in_.ok(); ++i) {
      InitialMember& member = raise->members.emplace_back();
      member.id = in_.GetId<ReplicaId>();
      member.name = in_.GetBytes();
      Read(&member.peer_urls);
    }
  }
  void Read(PutRequest* put) {
    const std::uint8_t flags = Flags(kFlagPrevKv | kFlagIgnoreValue | kFlagIgnoreLease);
    put->prev_kv = (flags & kFlagPrevKv) != 0;
    put->ignore_value = (flags & kFlagIgnoreValue) != 0;
    put->ignore_lease = (flags & kFlagIgnoreLease) != 0;
    put->key = in_.GetBytes();
    put->value = memory_.SliceOf(in_.GetBytes());
    put->lease = in_.GetSigned();
  }
  void Read(DeleteRangeRequest* erase) {
    erase->prev_kv = Flags(kFlagPrevKv) != 0;
    erase->key = in_.GetBytes();
    erase->end = in_.GetBytes();
  }
  // Sort options and compare operators are the client's bytes: kept as they are, and judged by CheckTxn and when
  // executed. Refusing them here would halt every member on one client's mistake.
  void Read(RangeRequest* range) {
    const std::uint8_t flags = Flags(kFlagKeysOnly | kFlagCountOnly);
    range->keys_only = (flags & kFlagKeysOnly) != 0;
    range->count_only = (flags & kFlagCountOnly) != 0;
    range->key = in_.GetBytes();
    range->end = in_.GetBytes();
    range->limit = in_.GetSigned();
    range->revision = in_.GetSigned();
    range->order = static_cast<RangeRequest::SortOrder>(in_.Get8());
    range->target = static_cast<RangeRequest::SortTarget>(in_.Get8());
    range->min_mod = in_.GetSigned();
    range->max_mod = in_.GetSigned();
    range->min_create = in_.GetSigned();
    range->max_create = in_.GetSigned();
  }
  void Read(Compare* compare) {
    compare->result = static_cast<Compare::Result>(in_.Get8());
    compare->target = static_cast<Compare::Target>(in_.Get8());
    compare->key = in_.GetBytes();
    compare->end = in_.GetBytes();
    compare->number = in_.GetSigned();
    compare->value = in_.GetBytes();
  }
  void Read(TxnRequest* txn, std::size_t depth) {
    if (depth > kTxnDepthMax) return in_.Fail();
    const std::size_t compares = in_.GetCount(6);
    for (std::size_t i = 0; i < compares && in_.ok(); ++i) Read(&txn->compares.emplace_back());
    Read(&txn->success, depth);
    Read(&txn->failure, depth);
  }
  // Grows op by op, so that a hostile count costs no more memory than the bytes that back it.
  void Read(std::vector<RequestOp>* ops, std::size_t depth) {
    const std::size_t count = in_.GetCount();
    for (std::size_t i = 0; i < count && in_.ok(); ++i) {
      RequestOp& op = ops->emplace_back();
      switch (static_cast<OpKind>(in_.Get8())) {
        case OpKind::kEmpty:
          op.emplace<std::shared_ptr<const TxnRequest>>();
          break;
        case OpKind::kRange:
          Read(&op.emplace<RangeRequest>());
          break;
        case OpKind::kPut:
          Read(&op.emplace<PutRequest>());
          break;
        case OpKind::kDeleteRange:
          Read(&op.emplace<DeleteRangeRequest>());
          break;
        case OpKind::kTxn: {
          auto nested = std::make_shared<TxnRequest>();
          Read(nested.get(), depth + 1);
          op = std::shared_ptr<const TxnRequest>(std::move(nested));
          break;
        }
        default:
          in_.Fail();
      }
    }
  }

  const Bytes& memory_;
  Reader in_;
};

std::size_t SizeHint(const CommandBody& body) {
  const auto* put = std::get_if<PutRequest>(&body);
  return 64 + (put == nullptr ? 64 : put->key.size() + put->value.size());
}

}  // namespace

std::string EncodeCommand(const Command& command) {
  Encoder encoder(SizeHint(command.body));
  encoder.Head(command.envelope);
  std::visit(encoder, command.body);
  return std::move(encoder).Take();
}

Result<Command> DecodeCommand(const Bytes& encoded) {
  return Decoder(encoded).Run();
}

void StampCommand(std::string& encoded, std::uint64_t cluster_time_ns, std::int64_t wall_time_ns,
                  consensus::Ballot leader) {
  const std::uint8_t version = encoded.empty() ? 0 : static_cast<std::uint8_t>(encoded[0]);
  const bool has_leader = version == kFormatVersionOfLeader;
  CHECK((version == kFormatVersion || has_leader) && encoded.size() >= (has_leader ? kLeaderEnd : kClocksEnd))
      << "not an encoded command: " << encoded.size() << " bytes";
  const bool wants_leader = leader != consensus::Ballot();
  if (wants_leader && !has_leader) encoded.insert(kClocksEnd, kLeaderEnd - kClocksEnd, '\0');
  if (!wants_leader && has_leader) encoded.erase(kClocksEnd, kLeaderEnd - kClocksEnd);
  encoded[0] = static_cast<char>(wants_leader ? kFormatVersionOfLeader : kFormatVersion);
  // In place, as every command passes here.
  std::size_t at = 1;
  const auto put = [&encoded, &at](std::uint64_t value) {
    std::memcpy(encoded.data() + at, &value, sizeof value);
    at += sizeof value;
  };
  put(cluster_time_ns);
  put(static_cast<std::uint64_t>(wall_time_ns));
  if (wants_leader) {
    put(leader.number);
    put(leader.owner.value);
  }
}

}  // namespace quorate::coord
