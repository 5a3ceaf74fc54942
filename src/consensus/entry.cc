#include "base/codec.h"
#include "consensus/core.h"

namespace quorate::consensus {

void EncodeEntry(const Entry& entry, std::string* out) {
  Writer w;
  w.Put8(1);  // format version
  w.PutId(entry.ballot.owner);
  w.PutVarint(entry.ballot.number);
  w.Put8(static_cast<std::uint8_t>(entry.kind));
  w.PutId(entry.origin.replica);
  w.PutId(entry.origin.incarnation);
  w.PutId(entry.origin.proposal);
  w.PutBytes(entry.payload.view());
  out->append(w.str());
}

std::optional<Entry> DecodeEntry(const Bytes& input) {
  Reader r(input.view());
  Entry entry;
  if (r.Get8() != 1) return std::nullopt;
  entry.ballot.owner = r.GetId<ReplicaId>();
  entry.ballot.number = r.GetVarint();
  const std::uint8_t kind = r.Get8();
  if (kind < 1 || kind > 3) return std::nullopt;
  entry.kind = static_cast<EntryKind>(kind);
  entry.origin.replica = r.GetId<ReplicaId>();
  entry.origin.incarnation = r.GetId<Incarnation>();
  entry.origin.proposal = r.GetId<ProposalId>();
  entry.payload = input.SliceOf(r.GetBytes());
  if (!r.Done()) return std::nullopt;
  return entry;
}

}  // namespace quorate::consensus
