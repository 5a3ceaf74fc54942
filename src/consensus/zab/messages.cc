#include "consensus/zab/messages.h"

#include <limits>
#include <string>
#include <utility>

#include "base/codec.h"
#include "consensus/change.h"
#include "consensus/meta_codec.h"

namespace quorate::consensus::zab {
namespace {

constexpr std::uint8_t kMessageVersion = 1;
constexpr std::uint8_t kHardStateVersion = 1;
constexpr std::size_t kEntrySizeMin = 8;  // length, version and the smallest fields
constexpr std::size_t kRunSizeMin = 2;
// Of epochs and election rounds: the next one must still be a number.
constexpr std::uint64_t kNumberMax = std::numeric_limits<std::uint64_t>::max() / 2;

// The byte that names a body on the wire is its place in the variant plus one; the order of the variant is part of the
// format.
void PutZxid(Writer& w, const Zxid& zxid) {
  w.PutId(zxid.epoch);
  w.PutId(zxid.index);
}
void PutVote(Writer& w, const Vote& vote) {
  w.PutId(vote.epoch);
  PutZxid(w, vote.last);
  w.PutBool(vote.nominated);
  w.PutId(vote.leader);
}
void PutEntries(Writer& w, const std::vector<Entry>& entries) {
  w.PutVarint(entries.size());
  std::string encoded;
  for (const Entry& entry : entries) {
    encoded.clear();
    EncodeEntry(entry, &encoded);
    w.PutBytes(encoded);
  }
}
void PutRequestId(Writer& w, const ReadRequestId& id) {
  w.PutId(id.life);
  w.PutVarint(id.counter);
}

void Put(Writer& w, const Notification& m) {
  w.Put8(static_cast<std::uint8_t>(m.state));
  w.PutBool(m.established);
  w.PutVarint(m.round);
  PutVote(w, m.vote);
  PutZxid(w, m.config);
}
void Put(Writer& w, const CEpoch& m) {
  w.PutVarint(m.accepted.number);
  w.PutId(m.accepted.owner);
}
void Put(Writer& w, const NewEpoch& m) {
  w.PutBool(m.secured);
}
void Put(Writer& w, const AckEpoch& m) {
  w.PutId(m.current);
  w.PutId(m.start);
  w.PutVarint(m.runs.size());
  for (const Run& run : m.runs) {
    w.PutId(run.generation);
    w.PutId(run.last);
  }
  PutZxid(w, m.staged);
}
void Put(Writer& w, const Trunc& m) {
  PutZxid(w, m.last_kept);
}
void Put(Writer& w, const Snap& m) {
  PutZxid(w, m.last);
}
void Put(Writer& w, const Diff& m) {
  PutZxid(w, m.after);
  PutEntries(w, m.entries);
}
void Put(Writer& w, const Received& m) {
  w.PutId(m.upto);
}
void Put(Writer& w, const NewLeader& m) {
  PutZxid(w, m.last);
}
void Put(Writer&, const AckLeader&) {}
void Put(Writer& w, const UpToDate& m) {
  w.PutId(m.commit);
}
void Put(Writer& w, const Propose& m) {
  PutZxid(w, m.after);
  w.PutId(m.commit);
  PutEntries(w, m.entries);
}
void Put(Writer& w, const Ack& m) {
  w.PutId(m.upto);
}
void Put(Writer& w, const Commit& m) {
  w.PutId(m.upto);
}
void Put(Writer& w, const Inform& m) {
  PutZxid(w, m.after);
  PutEntries(w, m.entries);
}
void Put(Writer& w, const Ping& m) {
  w.PutId(m.round);
}
void Put(Writer& w, const Pong& m) {
  w.PutId(m.round);
}
void Put(Writer&, const Restart&) {}
void Put(Writer& w, const Handover& m) {
  PutVote(w, m.vote);
}
void Put(Writer& w, const ReadRequest& m) {
  PutRequestId(w, m.id);
}
void Put(Writer& w, const ReadReply& m) {
  PutRequestId(w, m.id);
  w.PutBool(m.index.has_value());
  if (m.index) w.PutId(*m.index);
}

Zxid GetZxid(Reader& r) {
  Zxid zxid;
  zxid.epoch = r.GetId<Epoch>();
  zxid.index = r.GetId<LogIndex>();
  return zxid;
}
Vote GetVote(Reader& r) {
  Vote vote;
  vote.epoch = r.GetId<Epoch>();
  vote.last = GetZxid(r);
  vote.nominated = r.GetBool();
  vote.leader = r.GetId<ReplicaId>();
  return vote;
}
ReadRequestId GetRequestId(Reader& r) {
  ReadRequestId id;
  id.life = r.GetId<Life>();
  id.counter = r.GetVarint();
  return id;
}
void GetEntries(Reader& r, const Bytes& input, const Zxid& after, std::vector<Entry>* entries) {
  const std::size_t count = r.GetCount(kEntrySizeMin);
  if (after.index.value > std::numeric_limits<std::uint64_t>::max() - count - 1) return r.Fail();
  entries->reserve(count);
  Epoch floor = after.epoch;
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<Entry> entry = DecodeEntry(input.SliceOf(r.GetBytes()));
    if (!entry || GenerationOf(*entry) < floor || entry->ballot.owner) return r.Fail();
    if (entry->kind == EntryKind::kMembership && !DecodeChange(entry->payload)) return r.Fail();
    floor = GenerationOf(*entry);
    entry->index = LogIndex(after.index.value + 1 + i);
    entries->push_back(*std::move(entry));
  }
}

void Get(Reader& r, const Bytes&, Notification* m) {
  const std::uint8_t state = r.Get8();
  if (state < 1 || state > 4) return r.Fail();
  m->state = static_cast<State>(state);
  m->established = r.GetBool();
  m->round = r.GetVarint();
  m->vote = GetVote(r);
  m->config = GetZxid(r);
  if (m->round > kNumberMax) r.Fail();
}
void Get(Reader& r, const Bytes&, CEpoch* m) {
  m->accepted.number = r.GetVarint();
  m->accepted.owner = r.GetId<ReplicaId>();
  if (m->accepted.number > kNumberMax) r.Fail();
}
void Get(Reader& r, const Bytes&, NewEpoch* m) {
  m->secured = r.GetBool();
}
void Get(Reader& r, const Bytes&, AckEpoch* m) {
  m->current = r.GetId<Epoch>();
  m->start = r.GetId<LogIndex>();
  m->runs.resize(r.GetCount(kRunSizeMin));
  for (std::size_t i = 0; i < m->runs.size(); ++i) {
    m->runs[i].generation = r.GetId<Epoch>();
    m->runs[i].last = r.GetId<LogIndex>();
    const bool rises =
        i == 0 || (m->runs[i - 1].generation < m->runs[i].generation && m->runs[i - 1].last <= m->runs[i].last);
    if (!rises || m->runs[i].last < m->start) return r.Fail();
  }
  m->staged = GetZxid(r);
  if (m->runs.empty()) r.Fail();
}
void Get(Reader& r, const Bytes&, Trunc* m) {
  m->last_kept = GetZxid(r);
}
void Get(Reader& r, const Bytes&, Snap* m) {
  m->last = GetZxid(r);
}
void Get(Reader& r, const Bytes& input, Diff* m) {
  m->after = GetZxid(r);
  GetEntries(r, input, m->after, &m->entries);
}
void Get(Reader& r, const Bytes&, Received* m) {
  m->upto = r.GetId<LogIndex>();
}
void Get(Reader& r, const Bytes&, NewLeader* m) {
  m->last = GetZxid(r);
}
void Get(Reader&, const Bytes&, AckLeader*) {}
void Get(Reader& r, const Bytes&, UpToDate* m) {
  m->commit = r.GetId<LogIndex>();
}
void Get(Reader& r, const Bytes& input, Propose* m) {
  m->after = GetZxid(r);
  m->commit = r.GetId<LogIndex>();
  GetEntries(r, input, m->after, &m->entries);
}
void Get(Reader& r, const Bytes&, Ack* m) {
  m->upto = r.GetId<LogIndex>();
}
void Get(Reader& r, const Bytes&, Commit* m) {
  m->upto = r.GetId<LogIndex>();
}
void Get(Reader& r, const Bytes& input, Inform* m) {
  m->after = GetZxid(r);
  GetEntries(r, input, m->after, &m->entries);
}
void Get(Reader& r, const Bytes&, Ping* m) {
  m->round = r.GetId<ReadRound>();
}
void Get(Reader& r, const Bytes&, Pong* m) {
  m->round = r.GetId<ReadRound>();
}
void Get(Reader&, const Bytes&, Restart*) {}
void Get(Reader& r, const Bytes&, Handover* m) {
  m->vote = GetVote(r);
}
void Get(Reader& r, const Bytes&, ReadRequest* m) {
  m->id = GetRequestId(r);
}
void Get(Reader& r, const Bytes&, ReadReply* m) {
  m->id = GetRequestId(r);
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

const std::vector<Entry>* EntriesOf(const Body& body) {
  if (const auto* diff = std::get_if<Diff>(&body)) return &diff->entries;
  if (const auto* propose = std::get_if<Propose>(&body)) return &propose->entries;
  if (const auto* inform = std::get_if<Inform>(&body)) return &inform->entries;
  return nullptr;
}

bool FitsItsEpoch(const Message& message) {
  const bool outside =
      std::holds_alternative<Notification>(message.body) || std::holds_alternative<CEpoch>(message.body);
  if (outside != !message.epoch || message.epoch.value > kNumberMax) return false;
  if (std::holds_alternative<Notification>(message.body) != !message.session) return false;
  const std::vector<Entry>* entries = EntriesOf(message.body);
  if (entries == nullptr || entries->empty()) return true;
  if (std::holds_alternative<Diff>(message.body)) return GenerationOf(entries->back()) <= message.epoch;
  return GenerationOf(entries->front()) == message.epoch && GenerationOf(entries->back()) == message.epoch;
}

}  // namespace

Bytes EncodeMessage(const Message& message) {
  std::size_t payload = 0;
  if (const std::vector<Entry>* entries = EntriesOf(message.body)) {
    for (const Entry& entry : *entries) payload += entry.payload.size() + 40;
  }
  Writer w(payload + 48);
  w.Put8(kMessageVersion);
  w.Put8(static_cast<std::uint8_t>(message.body.index() + 1));
  w.PutId(message.epoch);
  w.PutId(message.session);
  std::visit([&w](const auto& body) { Put(w, body); }, message.body);
  return Bytes(std::move(w).Take());
}

std::optional<Message> DecodeMessage(const Bytes& input) {
  Reader r(input.view());
  if (r.Get8() != kMessageVersion) return std::nullopt;
  const std::uint8_t kind = r.Get8();
  Message message;
  message.epoch = r.GetId<Epoch>();
  message.session = r.GetId<SessionNumber>();
  if (kind == 0) return std::nullopt;
  if (!GetBody(r, input, kind - 1, &message.body, std::make_index_sequence<std::variant_size_v<Body>>{})) {
    return std::nullopt;
  }
  if (!r.Done() || !FitsItsEpoch(message)) return std::nullopt;
  return message;
}

Bytes EncodeHardState(const HardState& state) {
  Writer w;
  w.Put8(kHardStateVersion);
  w.PutVarint(state.accepted.number);
  w.PutId(state.accepted.owner);
  w.PutId(state.current);
  w.PutId(state.commit);
  PutReplicas(state.bootstrap.voters, &w);
  PutReplicas(state.bootstrap.learners, &w);
  return Bytes(std::move(w).Take());
}

std::optional<HardState> DecodeHardState(const Bytes& input) {
  Reader r(input.view());
  if (r.Get8() != kHardStateVersion) return std::nullopt;
  HardState state;
  state.accepted.number = r.GetVarint();
  state.accepted.owner = r.GetId<ReplicaId>();
  state.current = r.GetId<Epoch>();
  state.commit = r.GetId<LogIndex>();
  state.bootstrap.voters = GetReplicas(&r);
  state.bootstrap.learners = GetReplicas(&r);
  if (!r.Done()) return std::nullopt;
  return state;
}

std::string_view StateName(State state) {
  switch (state) {
    case State::kLooking:
      return "looking";
    case State::kFollowing:
      return "following";
    case State::kLeading:
      return "leading";
    case State::kObserving:
      return "observing";
  }
  return "?";
}

}  // namespace quorate::consensus::zab
