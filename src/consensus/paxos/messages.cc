#include "consensus/paxos/messages.h"

#include <string>
#include <utility>

#include "base/codec.h"
#include "consensus/change.h"
#include "consensus/meta_codec.h"

namespace quorate::consensus::paxos {
namespace {

constexpr std::uint8_t kMessageVersion = 1;
constexpr std::uint8_t kHardStateVersion = 1;
constexpr std::size_t kEntrySizeMin = 9;  // slot, length, version and the smallest fields
constexpr std::size_t kRangeSizeMin = 2;

void PutBallot(const Ballot& ballot, Writer& w) {
  w.PutVarint(ballot.number);
  w.PutId(ballot.owner);
}
void PutParameters(const Parameters& parameters, Writer& w) {
  w.PutVarint(parameters.alpha);
  w.PutVarint(parameters.phase1_quorum);
  w.PutVarint(parameters.phase2_quorum);
}
void PutEntries(const std::vector<Entry>& entries, Writer& w) {
  w.PutVarint(entries.size());
  std::string encoded;
  for (const Entry& entry : entries) {
    w.PutId(entry.index);
    encoded.clear();
    EncodeEntry(entry, &encoded);
    w.PutBytes(encoded);
  }
}

// The byte that names a body on the wire is its place in the variant plus one; the order of the variant is part of the
// format.
void Put(Writer& w, const Poll& m) {
  w.PutVarint(m.number);
  w.Put8(static_cast<std::uint8_t>(m.campaign));
  w.PutId(m.first_open);
}
void Put(Writer& w, const PollReply& m) {
  w.PutVarint(m.number);
  w.PutBool(m.granted);
}
void Put(Writer& w, const Phase1a& m) {
  w.Put8(static_cast<std::uint8_t>(m.campaign));
  w.PutId(m.from);
  PutBallot(m.handed, w);
}
void Put(Writer& w, const Phase1b& m) {
  w.PutId(m.from);
  w.PutId(m.chosen);
  w.PutId(m.next);
  PutEntries(m.accepted, w);
}
void Put(Writer&, const Preempted&) {}
void Put(Writer& w, const Phase2a& m) {
  w.PutId(m.chosen);
  PutEntries(m.entries, w);
}
void Put(Writer& w, const Phase2b& m) {
  w.PutId(m.match);
  w.PutVarint(m.accepted.size());
  for (const SlotRange& range : m.accepted) {
    w.PutId(range.first);
    w.PutVarint(range.last.value - range.first.value);
  }
}
void Put(Writer& w, const Chosen& m) {
  w.PutId(m.upto);
}
void Put(Writer& w, const Decision& m) {
  w.PutId(m.chosen);
  PutEntries(m.entries, w);
}
void Put(Writer& w, const Learned& m) {
  w.PutId(m.match);
}
void Put(Writer& w, const Learn& m) {
  w.PutId(m.from);
}
void Put(Writer& w, const Heartbeat& m) {
  w.PutId(m.chosen);
  w.PutId(m.round);
  w.PutId(m.sent);
  w.PutId(m.match);
}
void Put(Writer& w, const HeartbeatReply& m) {
  w.PutId(m.round);
  w.PutId(m.sent);
  w.PutId(m.echoed);
  w.PutId(m.held);
  w.PutId(m.match);
  w.PutId(m.known);
  w.PutBool(m.lease);
}
void Put(Writer&, const TakeOver&) {}
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

Ballot GetBallot(Reader& r) {
  Ballot ballot;
  ballot.number = r.GetVarint();
  ballot.owner = r.GetId<ReplicaId>();
  if (ballot.number > kRoundMax) r.Fail();
  return ballot;
}
Parameters GetParameters(Reader& r) {
  Parameters parameters;
  parameters.alpha = r.GetVarint();
  parameters.phase1_quorum = r.GetVarint();
  parameters.phase2_quorum = r.GetVarint();
  return parameters;
}
LogIndex GetSlot(Reader& r) {
  const auto slot = r.GetId<LogIndex>();
  if (slot > kSlotMax) r.Fail();
  return slot;
}
Campaign GetCampaign(Reader& r) {
  const std::uint8_t campaign = r.Get8();
  if (campaign < 1 || campaign > 3) r.Fail();
  return static_cast<Campaign>(campaign);
}
void GetEntries(Reader& r, const Bytes& input, std::vector<Entry>* entries) {
  const std::size_t count = r.GetCount(kEntrySizeMin);
  entries->reserve(count);
  LogIndex last;
  for (std::size_t i = 0; i < count; ++i) {
    const LogIndex slot = GetSlot(r);
    std::optional<Entry> entry = DecodeEntry(input.SliceOf(r.GetBytes()));
    if (!entry || slot <= last || !entry->ballot.owner || entry->ballot.number > kRoundMax) return r.Fail();
    if (entry->kind == EntryKind::kMembership && !DecodeChange(entry->payload)) return r.Fail();
    entry->index = last = slot;
    entries->push_back(*std::move(entry));
  }
}

void Get(Reader& r, const Bytes&, Poll* m) {
  m->number = r.GetVarint();
  m->campaign = GetCampaign(r);
  m->first_open = GetSlot(r);
}
void Get(Reader& r, const Bytes&, PollReply* m) {
  m->number = r.GetVarint();
  m->granted = r.GetBool();
}
void Get(Reader& r, const Bytes&, Phase1a* m) {
  m->campaign = GetCampaign(r);
  m->from = GetSlot(r);
  m->handed = GetBallot(r);
  if (!m->from) r.Fail();
}
void Get(Reader& r, const Bytes& input, Phase1b* m) {
  m->from = GetSlot(r);
  m->chosen = GetSlot(r);
  m->next = GetSlot(r);
  GetEntries(r, input, &m->accepted);
  for (const Entry& entry : m->accepted) {
    if (entry.index < m->from || entry.index <= m->chosen || (m->next && entry.index >= m->next)) return r.Fail();
  }
  if (m->next && m->next <= m->from) r.Fail();
}
void Get(Reader&, const Bytes&, Preempted*) {}
void Get(Reader& r, const Bytes& input, Phase2a* m) {
  m->chosen = GetSlot(r);
  GetEntries(r, input, &m->entries);
}
void Get(Reader& r, const Bytes&, Phase2b* m) {
  m->match = GetSlot(r);
  const std::size_t count = r.GetCount(kRangeSizeMin);
  LogIndex last;
  for (std::size_t i = 0; i < count; ++i) {
    SlotRange range{GetSlot(r), {}};
    const std::uint64_t length = r.GetVarint();
    if (range.first <= last || length > kSlotMax.value - range.first.value) return r.Fail();
    range.last = last = LogIndex(range.first.value + length);
    m->accepted.push_back(range);
  }
}
void Get(Reader& r, const Bytes&, Chosen* m) {
  m->upto = GetSlot(r);
}
void Get(Reader& r, const Bytes& input, Decision* m) {
  m->chosen = GetSlot(r);
  GetEntries(r, input, &m->entries);
  if (!m->entries.empty() && m->entries.back().index > m->chosen) r.Fail();
}
void Get(Reader& r, const Bytes&, Learned* m) {
  m->match = GetSlot(r);
}
void Get(Reader& r, const Bytes&, Learn* m) {
  m->from = GetSlot(r);
  if (!m->from) r.Fail();
}
void Get(Reader& r, const Bytes&, Heartbeat* m) {
  m->chosen = GetSlot(r);
  m->round = r.GetId<ReadRound>();
  m->sent = GetSlot(r);
  m->match = GetSlot(r);
}
void Get(Reader& r, const Bytes&, HeartbeatReply* m) {
  m->round = r.GetId<ReadRound>();
  m->sent = GetSlot(r);
  m->echoed = GetSlot(r);
  m->held = GetSlot(r);
  m->match = GetSlot(r);
  m->known = GetSlot(r);
  m->lease = r.GetBool();
  if (m->match > m->held) r.Fail();
}
void Get(Reader&, const Bytes&, TakeOver*) {}
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
  if (r.GetBool()) m->index = GetSlot(r);
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
  if (const auto* m = std::get_if<Phase1b>(&body)) return &m->accepted;
  if (const auto* m = std::get_if<Phase2a>(&body)) return &m->entries;
  if (const auto* m = std::get_if<Decision>(&body)) return &m->entries;
  return nullptr;
}

// Before the first phase 1 there is nothing to say but whether one would be welcome.
bool NeedsOwner(const Body& body) {
  return !std::holds_alternative<Poll>(body) && !std::holds_alternative<PollReply>(body) &&
         !std::holds_alternative<ReadRequest>(body) && !std::holds_alternative<ReadReply>(body);
}

bool BallotsFit(const Message& message) {
  if (NeedsOwner(message.body) && !message.ballot.owner) return false;
  const std::vector<Entry>* entries = EntriesOf(message.body);
  if (entries == nullptr) return true;
  const bool exactly = std::holds_alternative<Phase2a>(message.body);
  for (const Entry& entry : *entries) {
    if (exactly ? entry.ballot != message.ballot : entry.ballot > message.ballot) return false;
  }
  return true;
}

}  // namespace

Bytes EncodeMessage(const Message& message) {
  std::size_t reserve = 48;
  if (const std::vector<Entry>* entries = EntriesOf(message.body)) {
    for (const Entry& entry : *entries) reserve += entry.payload.size() + 48;
  }
  Writer w(reserve);
  w.Put8(kMessageVersion);
  w.Put8(static_cast<std::uint8_t>(message.body.index() + 1));
  PutParameters(message.parameters, w);
  PutBallot(message.ballot, w);
  std::visit([&w](const auto& body) { Put(w, body); }, message.body);
  return Bytes(std::move(w).Take());
}

std::optional<Message> DecodeMessage(const Bytes& input) {
  Reader r(input.view());
  if (r.Get8() != kMessageVersion) return std::nullopt;
  const std::uint8_t kind = r.Get8();
  Message message;
  message.parameters = GetParameters(r);
  message.ballot = GetBallot(r);
  if (kind == 0) return std::nullopt;
  if (!GetBody(r, input, kind - 1, &message.body, std::make_index_sequence<std::variant_size_v<Body>>{})) {
    return std::nullopt;
  }
  if (!r.Done() || !BallotsFit(message)) return std::nullopt;
  return message;
}

Bytes EncodeHardState(const HardState& state) {
  Writer w;
  w.Put8(kHardStateVersion);
  PutParameters(state.parameters, w);
  PutBallot(state.promised, w);
  w.PutId(state.chosen);
  w.PutId(state.life);
  PutReplicas(state.bootstrap.voters, &w);
  PutReplicas(state.bootstrap.learners, &w);
  return Bytes(std::move(w).Take());
}

std::optional<HardState> DecodeHardState(const Bytes& input) {
  Reader r(input.view());
  if (r.Get8() != kHardStateVersion) return std::nullopt;
  HardState state;
  state.parameters = GetParameters(r);
  state.promised = GetBallot(r);
  state.chosen = GetSlot(r);
  state.life = r.GetId<Life>();
  state.bootstrap.voters = GetReplicas(&r);
  state.bootstrap.learners = GetReplicas(&r);
  if (!r.Done()) return std::nullopt;
  return state;
}

}  // namespace quorate::consensus::paxos
