#include "consensus/raft/messages.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/codec.h"
#include "consensus/change.h"
#include "consensus/meta_codec.h"

namespace quorate::consensus::raft {
namespace {

constexpr std::uint8_t kMessageVersion = 1;
constexpr std::uint8_t kHardStateVersion = 1;
constexpr std::size_t kEntrySizeMin = 8;  // length, version and the smallest fields

// The byte that names a body on the wire is its place in the variant plus one; the order of the variant is part of the
// format.
void Put(Writer& w, const VoteRequest& m) {
  w.PutBool(m.pre);
  w.Put8(static_cast<std::uint8_t>(m.campaign));
  w.PutId(m.last_index);
  w.PutId(m.last_term);
}
void Put(Writer& w, const VoteReply& m) {
  w.PutBool(m.pre);
  w.PutBool(m.granted);
}
void Put(Writer& w, const AppendRequest& m) {
  w.PutId(m.prev_index);
  w.PutId(m.prev_term);
  w.PutId(m.commit);
  w.PutVarint(m.entries.size());
  std::string encoded;
  for (const Entry& entry : m.entries) {
    encoded.clear();
    EncodeEntry(entry, &encoded);
    w.PutBytes(encoded);
  }
}
void Put(Writer& w, const AppendReply& m) {
  w.PutId(m.match);
}
void Put(Writer& w, const AppendReject& m) {
  w.PutId(m.prev_index);
  w.PutId(m.hint_index);
  w.PutId(m.hint_term);
}
void Put(Writer& w, const Heartbeat& m) {
  w.PutId(m.commit);
  w.PutId(m.round);
  w.PutId(m.sent_upto);
}
void Put(Writer& w, const HeartbeatReply& m) {
  w.PutId(m.round);
  w.PutId(m.sent_upto);
  w.PutId(m.verified);
  w.PutId(m.match);
}
void Put(Writer& w, const CommitNotice& m) {
  w.PutId(m.commit);
}
void Put(Writer&, const TimeoutNow&) {}
void Put(Writer& w, const ReadRequestId& id) {
  w.PutId(id.life);
  w.PutVarint(id.counter);
}
void Put(Writer& w, const ReadRequest& m) {
  Put(w, m.id);
}
void Put(Writer& w, const ReadReply& m) {
  Put(w, m.id);
  w.PutBool(m.index.has_value());
  if (m.index) w.PutId(*m.index);
}

void Get(Reader& r, const Bytes&, VoteRequest* m) {
  m->pre = r.GetBool();
  const std::uint8_t campaign = r.Get8();
  if (campaign < 1 || campaign > 3) return r.Fail();
  m->campaign = static_cast<Campaign>(campaign);
  m->last_index = r.GetId<LogIndex>();
  m->last_term = r.GetId<Term>();
}
void Get(Reader& r, const Bytes&, VoteReply* m) {
  m->pre = r.GetBool();
  m->granted = r.GetBool();
}
void Get(Reader& r, const Bytes& input, AppendRequest* m) {
  m->prev_index = r.GetId<LogIndex>();
  m->prev_term = r.GetId<Term>();
  m->commit = r.GetId<LogIndex>();
  const std::size_t count = r.GetCount(kEntrySizeMin);
  if (m->prev_index.value > std::numeric_limits<std::uint64_t>::max() - count) return r.Fail();
  m->entries.reserve(count);
  Term floor = m->prev_term;
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<Entry> entry = DecodeEntry(input.SliceOf(r.GetBytes()));
    if (!entry || TermOf(*entry) < floor || entry->ballot.owner) return r.Fail();
    if (entry->kind == EntryKind::kMembership && !DecodeChange(entry->payload)) return r.Fail();
    floor = TermOf(*entry);
    entry->index = LogIndex(m->prev_index.value + 1 + i);
    m->entries.push_back(*std::move(entry));
  }
}
void Get(Reader& r, const Bytes&, AppendReply* m) {
  m->match = r.GetId<LogIndex>();
}
void Get(Reader& r, const Bytes&, AppendReject* m) {
  m->prev_index = r.GetId<LogIndex>();
  m->hint_index = r.GetId<LogIndex>();
  m->hint_term = r.GetId<Term>();
}
void Get(Reader& r, const Bytes&, Heartbeat* m) {
  m->commit = r.GetId<LogIndex>();
  m->round = r.GetId<ReadRound>();
  m->sent_upto = r.GetId<LogIndex>();
}
void Get(Reader& r, const Bytes&, HeartbeatReply* m) {
  m->round = r.GetId<ReadRound>();
  m->sent_upto = r.GetId<LogIndex>();
  m->verified = r.GetId<LogIndex>();
  m->match = r.GetId<LogIndex>();
}
void Get(Reader& r, const Bytes&, CommitNotice* m) {
  m->commit = r.GetId<LogIndex>();
}
void Get(Reader&, const Bytes&, TimeoutNow*) {}
ReadRequestId GetReadRequestId(Reader& r) {
  ReadRequestId id;
  id.life = r.GetId<Life>();
  id.counter = r.GetVarint();
  return id;
}
void Get(Reader& r, const Bytes&, ReadRequest* m) {
  m->id = GetReadRequestId(r);
}
void Get(Reader& r, const Bytes&, ReadReply* m) {
  m->id = GetReadRequestId(r);
  if (r.GetBool()) m->index = r.GetId<LogIndex>();
}

// Reads the body whose place in the variant is `place`.
template <std::size_t... Places>
bool GetBody(Reader& r, const Bytes& input, std::size_t place, Body* body, std::index_sequence<Places...>) {
  const auto try_one = [&](auto constant) {
    if (place != constant) return false;
    Get(r, input, &body->emplace<constant>());
    return true;
  };
  return (try_one(std::integral_constant<std::size_t, Places>{}) || ...);
}

}  // namespace

Bytes EncodeMessage(const Message& message) {
  std::size_t payload = 0;
  if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    for (const Entry& entry : append->entries) payload += entry.payload.size() + 40;
  }
  Writer w(payload + 40);
  w.Put8(kMessageVersion);
  w.Put8(static_cast<std::uint8_t>(message.body.index() + 1));
  w.PutId(message.term);
  std::visit([&w](const auto& body) { Put(w, body); }, message.body);
  return Bytes(std::move(w).Take());
}

std::optional<Message> DecodeMessage(const Bytes& input) {
  Reader r(input.view());
  if (r.Get8() != kMessageVersion) return std::nullopt;
  const std::uint8_t kind = r.Get8();
  Message message;
  message.term = r.GetId<Term>();
  if (kind == 0) return std::nullopt;
  if (!GetBody(r, input, kind - 1, &message.body, std::make_index_sequence<std::variant_size_v<Body>>{})) {
    return std::nullopt;
  }
  if (!r.Done()) return std::nullopt;
  // Before the first election there is nothing to say but whether one would be welcome.
  const auto* reply = std::get_if<VoteReply>(&message.body);
  if (!message.term && (reply == nullptr || !reply->pre)) return std::nullopt;
  if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    const Term highest = append->entries.empty() ? append->prev_term : TermOf(append->entries.back());
    if (highest > message.term) return std::nullopt;
  }
  return message;
}

Bytes EncodeHardState(const HardState& state) {
  Writer w;
  w.Put8(kHardStateVersion);
  w.PutId(state.term);
  w.PutId(state.vote);
  w.PutId(state.commit);
  w.PutId(state.life);
  PutReplicas(state.bootstrap.voters, &w);
  PutReplicas(state.bootstrap.learners, &w);
  return Bytes(std::move(w).Take());
}

std::optional<HardState> DecodeHardState(const Bytes& input) {
  Reader r(input.view());
  if (r.Get8() != kHardStateVersion) return std::nullopt;
  HardState state;
  state.term = r.GetId<Term>();
  state.vote = r.GetId<ReplicaId>();
  state.commit = r.GetId<LogIndex>();
  state.life = r.GetId<Life>();
  state.bootstrap.voters = GetReplicas(&r);
  state.bootstrap.learners = GetReplicas(&r);
  if (!r.Done()) return std::nullopt;
  return state;
}

}  // namespace quorate::consensus::raft
