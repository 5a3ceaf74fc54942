#include "sim/session_clients.h"

#include <utility>

#include "sim/history.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kClientsMax = 3;
constexpr std::uint64_t kWindow = 6;                             // commands under way of one session
constexpr std::uint64_t kFirstSession = std::uint64_t{1} << 40;  // far from the leases of sim/background
constexpr std::uint64_t kCommandsMax = 200;                      // of one session
constexpr std::uint64_t kSilentTurnsMax = 150;                   // its member has crashed, perhaps

}  // namespace

SessionClients::SessionClients(std::uint64_t seed, const Scenario& scenario, Cluster& cluster)
    : count_(scenario.sessions),
      cluster_(cluster),
      random_(SeededRandom::ForPurpose(seed, "sessions")),
      last_session_(kFirstSession) {}

void SessionClients::Start() {
  const Span count = count_.value_or(Span{0, kClientsMax});
  clients_.resize(random_.Between(count.low, count.high));
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    clients_[i].number = i + 1;
    Turn(i);
  }
}

void SessionClients::Turn(std::size_t client) {
  cluster_.scheduler().After(random_.Below(60 * kMillisecond), kSimulator, [this, client] {
    if (stopped_) return;
    Client& it = clients_[client];
    if (it.session && ++it.silent > kSilentTurnsMax) GiveUp(it);
    if (it.session) {
      SendNext(it);
    } else {
      Open(it);
    }
    Turn(client);
  });
}

void SessionClients::GiveUp(Client& client) {
  client.session = {};
  client.opened = false;
  client.sent = client.answered = client.silent = 0;
}

void SessionClients::Open(Client& client) {
  const std::vector<Member*> members = cluster_.WithStanding(Standing::kMember);
  Member* member = members.empty() ? nullptr : random_.Pick(members);
  if (member == nullptr || !member->running()) return;
  client.home = member->id();
  client.session = SessionId(++last_session_);
  if (member->machine().feature_level() < coord::kFeatureLevelMax) {
    Propose(client, {{}, coord::RaiseFeatureLevel{coord::kFeatureLevelMax, {}}}, nullptr);
  }
  Propose(client, {{}, coord::OpenSessionRequest{client.session, random_.Between(500, 5'000)}},
          &SessionClients::OnOpened);
}

// Puts that name what was sent before them, now and then a renewal, at last the session's end.
void SessionClients::SendNext(Client& client) {
  if (!client.opened || client.sent - client.answered >= kWindow) return;
  for (std::uint64_t i = random_.Between(1, kWindow - (client.sent - client.answered)); i > 0; --i) {
    coord::Command command;
    command.envelope.session = client.session;
    command.envelope.sequence = ++client.sent;
    if (client.sent % 8 == 0) {
      command.body = coord::RenewSessionsRequest{{client.session}};
    } else {
      coord::PutRequest put;
      put.key = Numbered("s", client.number);
      put.value = Bytes(Numbered("x", client.sent));
      if (random_.Chance(200)) put.lease = static_cast<std::int64_t>(client.session.value);
      command.body = std::move(put);
    }
    Propose(client, command, &SessionClients::OnExecuted);
  }
  if (client.sent < kCommandsMax) return;
  Propose(client, {{}, coord::CloseSessionRequest{client.session}}, nullptr);
  GiveUp(client);
}

void SessionClients::Propose(Client& client, const coord::Command& command,
                             void (SessionClients::*answered)(Client&, bool good)) {
  Member& member = cluster_.member(client.home);
  if (!member.running()) return GiveUp(client);
  const std::size_t position = client.number - 1;
  cluster_.scheduler().After(
      0, member.process(),
      [this, &member, position, session = client.session, answered, encoded = coord::EncodeCommand(command)] {
        member.group().Propose(encoded, 0, [=, this](const replica::ProposeResult& result) {
          Client& asked = clients_[position];
          if (answered == nullptr || asked.session != session) return;
          asked.silent = 0;
          const auto* outcome = static_cast<const coord::CommandOutcome*>(result.outcome.get());
          (this->*answered)(asked, outcome != nullptr && outcome->status.ok());
        });
      });
}

void SessionClients::OnOpened(Client& client, bool good) {
  if (!good) return GiveUp(client);
  client.opened = true;
}

void SessionClients::OnExecuted(Client& client, bool good) {
  if (!good) return GiveUp(client);
  ++client.answered;
}

}  // namespace quorate::sim
