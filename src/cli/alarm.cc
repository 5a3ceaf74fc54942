// `quorate alarm` and `quorate move-leader`: what an operator does to a cluster besides its members.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json.h"

namespace quorate::cli {
namespace {

void Print(const etcdserverpb::AlarmMember& alarm, bool json) {
  const std::string& name = etcdserverpb::AlarmType_Name(alarm.alarm());
  if (json) {
    std::puts(JsonObject().AddHex("member", alarm.memberid()).Add("alarm", name).Line().c_str());
  } else {
    std::printf("%s %s\n", Hex(alarm.memberid()).c_str(), name.c_str());
  }
}

int ListAlarms(const ConnectionArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("alarm list", client.status().message());
  const Result<etcdserverpb::AlarmResponse> response = (*client)->Alarm(etcdserverpb::AlarmRequest());
  if (!response.ok()) return Fail("alarm list", response.status());
  for (const etcdserverpb::AlarmMember& alarm : response->alarms()) Print(alarm, arguments.json);
  return kExitGood;
}

int Disarm(const ConnectionArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("alarm disarm", client.status().message());
  const Result<etcdserverpb::AlarmResponse> active = (*client)->Alarm(etcdserverpb::AlarmRequest());
  if (!active.ok()) return Fail("alarm disarm", active.status());
  for (const etcdserverpb::AlarmMember& alarm : active->alarms()) {
    etcdserverpb::AlarmRequest request;
    request.set_action(etcdserverpb::AlarmRequest::DEACTIVATE);
    request.set_memberid(alarm.memberid());
    request.set_alarm(alarm.alarm());
    const Result<etcdserverpb::AlarmResponse> response = (*client)->Alarm(request);
    if (!response.ok()) return Fail("alarm disarm", response.status());
    for (const etcdserverpb::AlarmMember& gone : response->alarms()) Print(gone, arguments.json);
  }
  return kExitGood;
}

struct MoveArguments : ConnectionArguments {
  std::string to;  // name or hexadecimal id
};

Result<std::uint64_t> FindMember(client::EtcdClient& client, const std::string& to) {
  const Result<etcdserverpb::MemberListResponse> members = client.MemberList(etcdserverpb::MemberListRequest());
  if (!members.ok()) return members.status();
  for (const etcdserverpb::Member& member : members->members()) {
    if (member.name() == to) return std::uint64_t{member.id()};
  }
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(to.data(), to.data() + to.size(), id, 16);
  if (error == std::errc() && end == to.data() + to.size()) return id;
  return Status::NotFound("no member is called " + to + ": see quorate member list");
}

// Only the leader takes the request, so each endpoint is asked whether it is the one.
int MoveLeader(const MoveArguments& arguments) {
  const Result<std::vector<client::Endpoint>> endpoints = Endpoints(arguments);
  if (!endpoints.ok()) return FailToRun("move-leader", endpoints.status().message());
  client::ClientOptions options;
  options.timeout_ns = arguments.timeout_ns();
  Status failure = Status::FailedPrecondition("none of the endpoints is the leader: name all members in --endpoints");
  for (const client::Endpoint& endpoint : *endpoints) {
    client::EtcdClient client({endpoint}, options);
    const Result<etcdserverpb::StatusResponse> status = client.MemberStatus();
    if (!status.ok()) {
      if (endpoints->size() == 1) failure = status.status();
      continue;
    }
    const std::uint64_t leader = status->header().member_id();
    if (status->leader() != leader) continue;
    const Result<std::uint64_t> to = FindMember(client, arguments.to);
    if (!to.ok()) return Fail("move-leader", to.status());
    etcdserverpb::MoveLeaderRequest request;
    request.set_targetid(*to);
    const Result<etcdserverpb::MoveLeaderResponse> moved = client.MoveLeader(request);
    if (!moved.ok()) return Fail("move-leader", moved.status());
    if (arguments.json) {
      std::puts(JsonObject().AddHex("from", leader).AddHex("to", *to).Line().c_str());
    } else {
      std::printf("Leadership transferred from %s to %s\n", Hex(leader).c_str(), Hex(*to).c_str());
    }
    return kExitGood;
  }
  return Fail("move-leader", failure);
}

}  // namespace

void AddAlarm(CLI::App& app, Action* action) {
  CLI::App* alarm = app.add_subcommand("alarm", "Alarms: NOSPACE refuses writes until it is disarmed.");
  alarm->require_subcommand(1);
  auto arguments = std::make_shared<ConnectionArguments>();
  CLI::App* list = alarm->add_subcommand("list", "Show the active alarms.");
  AddConnectionOptions(*list, arguments.get());
  list->callback([arguments, action] { *action = [arguments] { return ListAlarms(*arguments); }; });
  CLI::App* disarm = alarm->add_subcommand("disarm", "Take all alarms back; make room first, or they come again.");
  AddConnectionOptions(*disarm, arguments.get());
  disarm->callback([arguments, action] { *action = [arguments] { return Disarm(*arguments); }; });
}

void AddMoveLeader(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<MoveArguments>();
  CLI::App* move = app.add_subcommand("move-leader", "Let another member lead.");
  AddConnectionOptions(*move, arguments.get());
  move->add_option("MEMBER", arguments->to, "name or id of the one that shall lead")->required();
  move->callback([arguments, action] { *action = [arguments] { return MoveLeader(*arguments); }; });
}

}  // namespace quorate::cli
