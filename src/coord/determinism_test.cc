// The same entries give the same state and outcomes: on two members, after reopening, and whatever is read in between.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <sstream>

#include "coord/machine_test_util.h"

namespace quorate::coord {
namespace {

std::string AnyKey() {
  return std::string(1, *rc::gen::element('a', 'b', 'c', 'd', 'e'));
}
std::string AnyEnd() {
  return *rc::gen::element<std::string>("", "", "c", "e", std::string("\0", 1));
}
std::int64_t AnyLease() {
  return *rc::gen::inRange<std::int64_t>(0, 5);
}
PutRequest AnyPut() {
  PutRequest put = MachineHarness::MakePut(AnyKey(), std::to_string(*rc::gen::inRange(0, 3)), AnyLease());
  put.prev_kv = *rc::gen::arbitrary<bool>();
  if (*rc::gen::inRange(0, 6) == 0) put.ignore_lease = true;
  if (*rc::gen::inRange(0, 6) == 0) {
    put.ignore_value = true;
    put.value = Bytes();
  }
  return put;
}
RequestOp AnyOp(int depth);
TxnRequest AnyTxn(int depth) {
  TxnRequest txn;
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    Compare compare;
    compare.result = static_cast<Compare::Result>(*rc::gen::inRange(0, 4));
    compare.target = static_cast<Compare::Target>(*rc::gen::inRange(0, 5));
    compare.key = AnyKey();
    compare.end = AnyEnd();
    compare.number = *rc::gen::inRange(0, 10);
    compare.value = std::to_string(*rc::gen::inRange(0, 3));
    txn.compares.push_back(compare);
  }
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) txn.success.push_back(AnyOp(depth));
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) txn.failure.push_back(AnyOp(depth));
  return txn;
}
RequestOp AnyOp(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 4 : 3)) {
    case 0:
      return AnyPut();
    case 1:
      return DeleteRangeRequest{AnyKey(), AnyEnd(), *rc::gen::arbitrary<bool>()};
    case 2: {
      RangeRequest range;
      range.key = AnyKey();
      range.end = AnyEnd();
      range.revision = *rc::gen::element<Revision>(0, 0, 0, 3, 5, 100);
      return range;
    }
    default:
      return std::make_shared<const TxnRequest>(AnyTxn(depth - 1));
  }
}
ReplicaId AnyReplica() {
  return ReplicaId(*rc::gen::inRange<std::uint64_t>(1, 5));
}
CommandBody AnyClusterBody() {
  switch (*rc::gen::inRange(0, 7)) {
    case 0:
      return RaiseFeatureLevel{*rc::gen::inRange<std::uint32_t>(2, kFeatureLevelMax + 1),
                               {{AnyReplica(), AnyKey(), {AnyKey()}}}};
    case 1:
      return AddMember{AnyReplica(), {AnyKey()}, *rc::gen::arbitrary<bool>()};
    case 2:
      return RemoveMember{AnyReplica()};
    case 3:
      return UpdateMember{AnyReplica(), {AnyKey()}};
    case 4:
      return PromoteMember{AnyReplica()};
    case 5:
      return ReplaceMember{AnyReplica(), AnyReplica(), {AnyKey()}};
    default:
      return AlarmRequest{*rc::gen::inRange(0, 3) == 0, {AnyReplica(), AlarmType::kNoSpace}};
  }
}
SessionId AnySession() {
  return SessionId(*rc::gen::inRange<std::uint64_t>(1, 4));
}
CommandBody AnySessionBody() {
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
    case 1:
      return OpenSessionRequest{AnySession(), *rc::gen::inRange<std::uint64_t>(0, 5'000)};
    case 2:
      return CloseSessionRequest{AnySession()};
    default:
      return RenewSessionsRequest{{AnySession(), AnySession()}};
  }
}
Envelope AnyEnvelope() {
  Envelope envelope;
  if (*rc::gen::inRange(0, 3) != 0) return envelope;
  envelope.session = AnySession();
  envelope.sequence = *rc::gen::inRange<std::uint64_t>(0, 6);
  return envelope;
}
CommandBody AnyBody() {
  switch (*rc::gen::inRange(0, 16)) {
    case 14:
    case 15:
      return AnySessionBody();
    case 0:
    case 1:
      return AnyPut();
    case 2:
      return DeleteRangeRequest{AnyKey(), AnyEnd(), *rc::gen::arbitrary<bool>()};
    case 3:
    case 4:
    case 5:
      return AnyTxn(2);
    case 6:
      return CompactRequest{*rc::gen::inRange<Revision>(0, 20)};
    case 7:
      return LeaseGrantRequest{AnyLease(), *rc::gen::inRange<std::int64_t>(0, 5)};
    case 8:
      return LeaseRevokeRequest{AnyLease()};
    case 9:
      return LeaseRenewRequest{AnyLease()};
    case 10:
      return ExpireRequest{{AnyLease(), AnyLease()}};
    case 11:
    case 12:
      return AnyClusterBody();
    default:
      return PublishMember{ReplicaId(*rc::gen::inRange<std::uint64_t>(1, 3)), AnyKey(), {AnyKey()}, {}};
  }
}

// A response as text, for comparison.
class Printer {
 public:
  void operator()(const std::monostate&) { out_ << "refused"; }
  void operator()(const PutResponse& put) {
    out_ << "put ";
    if (put.prev_kv) Print(*put.prev_kv);
  }
  void operator()(const DeleteRangeResponse& erase) {
    out_ << "deleted " << erase.deleted << " ";
    for (const store::KeyValue& kv : erase.prev_kvs) Print(kv);
  }
  void operator()(const RangeResponse& range) {
    out_ << "range " << range.count << " ";
    for (const store::KeyValue& kv : range.kvs) Print(kv);
  }
  void operator()(const TxnResponse& txn) {
    out_ << (txn.succeeded ? "then (" : "else (");
    for (const ResponseOp& op : txn.responses) std::visit(*this, op);
    out_ << ")";
  }
  void operator()(const std::shared_ptr<const TxnResponse>& txn) { (*this)(*txn); }
  void operator()(const LeaseGrantResponse& grant) { out_ << "granted " << grant.ttl; }
  void operator()(const LeaseRenewResponse& renew) { out_ << "renewed " << renew.ttl; }
  void operator()(const MembersResponse& response) {
    for (const MemberInfo& member : response.members) {
      out_ << member.id.value << " " << member.name << (member.learner ? " learns; " : "; ");
    }
  }
  void operator()(const AlarmResponse& response) { out_ << "alarms " << response.alarms.size(); }
  template <class Other>
  void operator()(const Other&) {
    out_ << "done";
  }
  std::string Text(const CommandOutcome& outcome) {
    out_ << outcome.status.message() << "|" << outcome.revision << "|";
    std::visit(*this, outcome.body);
    return out_.str();
  }

 private:
  void Print(const store::KeyValue& kv) {
    out_ << kv.key.view() << "=" << kv.value.view() << "/" << kv.create_revision << "/" << kv.mod_revision << "/"
         << kv.version << "/" << kv.lease << " ";
  }
  std::ostringstream out_;
};

TEST(DeterminismTest, TwoMembersAgreeAfterEveryEntryAlsoWhenOneLeadsAndOneReopens) {
  EXPECT_TRUE(rc::check([] {
    // One keeps everything in memory, the other nearly nothing, and removes what is compacted at its own pace.
    MachineOptions tight;
    tight.memory_bytes = 1 << 10;
    tight.buffer.batch_bytes = 300;
    tight.buffer.batch_records = 3;
    MachineHarness leader, follower(tight);
    leader.check_hash = follower.check_hash = *rc::gen::inRange(0, 4) == 0;
    leader.settle = follower.settle = *rc::gen::arbitrary<bool>();
    consensus::Leadership leads;
    leads.role = consensus::Role::kLeader;
    leader->OnLeadership(leads, 0);
    std::uint64_t now = 0;
    for (int step = *rc::gen::inRange(1, 80); step > 0; --step) {
      now += *rc::gen::inRange<std::uint64_t>(0, 2 * kSecond);
      std::string encoded = EncodeCommand({AnyEnvelope(), AnyBody()});
      leader->Stamp(encoded, now, 1);
      std::string next = EncodeCommand({Envelope{}, AdvanceTime{}});
      leader->Stamp(next, now + kSecond, 2);  // in flight while the first one is applied
      leader->Due(now);
      const Bytes payload(encoded);
      const std::string here = Printer().Text(leader.ApplyEncoded(payload));
      const std::string there = Printer().Text(follower.ApplyEncoded(payload));
      RC_ASSERT(here == there);
      RC_ASSERT(leader->StateHash() == follower->StateHash());
      RC_ASSERT(leader->revision() == follower->revision());
      RC_ASSERT(leader->Hash(0)->hash == follower->Hash(0)->hash);
      if (*rc::gen::inRange(0, 8) == 0) {
        follower.Reopen();
        RC_ASSERT(leader->StateHash() == follower->StateHash());
      }
    }
  }));
}

TEST(DeterminismTest, ARefusedCommandOfAnyKindLeavesTheStateHashAlone) {
  EXPECT_TRUE(rc::check([] {
    MachineHarness m;
    for (int step = *rc::gen::inRange(1, 80); step > 0; --step) {
      const std::uint64_t before = m->StateHash();
      const Revision revision = m->revision();
      const CommandOutcome outcome = m.Apply(AnyBody());
      if (outcome.status.ok()) continue;
      RC_ASSERT(m->StateHash() == before);
      RC_ASSERT(m->revision() == revision);
      RC_ASSERT(std::holds_alternative<std::monostate>(outcome.body));
    }
  }));
}

}  // namespace
}  // namespace quorate::coord
