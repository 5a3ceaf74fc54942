// `quorate member`: who belongs to the cluster.
#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json.h"
#include "cli/table.h"

namespace quorate::cli {
namespace {

std::string Join(const google::protobuf::RepeatedPtrField<std::string>& urls) {
  std::string text;
  for (const std::string& url : urls) text += (text.empty() ? "" : ",") + url;
  return text.empty() ? "-" : text;
}

std::vector<std::string> ToVector(const google::protobuf::RepeatedPtrField<std::string>& urls) {
  return {urls.begin(), urls.end()};
}

struct MemberArguments : ConnectionArguments {
  std::string target;  // a name or a hexadecimal id
  std::string name;    // of the new member
  std::string peer;
  bool learner = false;
};

// "HOST:PORT" as the URL that etcd's calls want; a URL stays one.
std::string PeerUrl(const std::string& peer) {
  return peer.find("://") == std::string::npos ? "http://" + peer : peer;
}

Result<etcdserverpb::MemberListResponse> AskMembers(client::EtcdClient& client) {
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(true);
  return client.MemberList(request);
}

// A name is looked for first: one that looks like an id must be one.
Result<std::uint64_t> FindMember(client::EtcdClient& client, const std::string& target) {
  const Result<etcdserverpb::MemberListResponse> members = AskMembers(client);
  if (!members.ok()) return members.status();
  std::uint64_t found = 0;
  int matches = 0;
  for (const etcdserverpb::Member& member : members->members()) {
    const bool same = member.name() == target || Hex(member.id()) == target;
    if (same) found = member.id();
    matches += same ? 1 : 0;
  }
  if (matches == 1) return found;
  if (matches > 1) return Status::FailedPrecondition("several members are called " + target + ": say which by its id");
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(target.data(), target.data() + target.size(), id, 16);
  if (error == std::errc() && end == target.data() + target.size()) return id;  // the server knows what is wrong
  return Status::NotFound("no member is called " + target + ": see quorate member list");
}

// Of a member that has started at least once.
Result<std::string> NameOf(client::EtcdClient& client, std::uint64_t id) {
  const Result<etcdserverpb::MemberListResponse> members = AskMembers(client);
  if (!members.ok()) return members.status();
  for (const etcdserverpb::Member& member : members->members()) {
    if (member.id() == id && !member.name().empty()) return member.name();
  }
  return Status::FailedPrecondition("member " + Hex(id) + " has never started and has no name: say the new one's name");
}

// What to run on the new member's machine.
std::string ServeCommand(const etcdserverpb::MemberAddResponse& response, const std::string& name) {
  std::string others;
  for (const etcdserverpb::Member& member : response.members()) {
    if (member.id() == response.member().id() || member.name().empty() || member.peerurls().empty()) continue;
    std::string_view url = member.peerurls(0);
    if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
    others += (others.empty() ? "" : ",") + member.name() + "=" + std::string(url);
  }
  std::string_view peer = response.member().peerurls_size() > 0 ? std::string_view(response.member().peerurls(0)) : "";
  if (const std::size_t scheme = peer.find("://"); scheme != std::string_view::npos) peer.remove_prefix(scheme + 3);
  return "quorate serve --join --name " + name + " --listen-peer " + std::string(peer) + " --initial-cluster " +
         others + " --data-dir DIR --listen-etcd HOST:PORT";
}

int PrintAdded(const MemberArguments& arguments, const etcdserverpb::MemberAddResponse& response, const char* done) {
  const std::string serve = ServeCommand(response, arguments.name);
  if (arguments.json) {
    JsonObject line;
    line.AddHex("id", response.member().id()).Add("name", arguments.name);
    line.Add("peer_urls", ToVector(response.member().peerurls())).Add("learner", response.member().islearner());
    line.Add("serve", serve);
    std::puts(line.Line().c_str());
  } else {
    std::printf("Member %s %s cluster %s. Start it with:\n  %s\n", Hex(response.member().id()).c_str(), done,
                Hex(response.header().cluster_id()).c_str(), serve.c_str());
  }
  return kExitGood;
}

int PrintDone(const MemberArguments& arguments, std::uint64_t id, const char* done, std::uint64_t cluster) {
  if (arguments.json) {
    std::puts(JsonObject().AddHex("id", id).Line().c_str());
  } else {
    std::printf("Member %s %s cluster %s\n", Hex(id).c_str(), done, Hex(cluster).c_str());
  }
  return kExitGood;
}

// The server's words are etcd's, which clients know; what to do about it is said here.
std::string_view Advice(const Status& status) {
  struct Line {
    std::string_view words;
    std::string_view advice;
  };
  static constexpr std::array<Line, 7> kLines{{
      {"Peer URLs already exists",
       "A member has this peer address: see quorate member list. If that one has lost its disk: quorate member "
       "replace."},
      {"unhealthy cluster",
       "A member cannot be reached, or those that are left would have no quorum: see quorate status. Start what is "
       "down "
       "first; if a member is lost for good, it is the one to remove or to replace."},
      {"not enough started members",
       "Members that were added have not been started yet: see quorate member list. Start or remove them first."},
      {"member not found", "See quorate member list."},
      {"in sync with leader", "It is still being taught: see quorate status, and try again when it has caught up."},
      {"too many learner members", "Promote or remove the learner that there is: see quorate member list."},
      {"request timed out",
       "Is there a leader and a quorum? See quorate status. Without a quorum the members cannot change: start those "
       "that "
       "are down; if most are lost for good: quorate snapshot restore makes a new cluster."},
  }};
  for (const Line& line : kLines) {
    if (status.message().find(line.words) != std::string_view::npos) return line.advice;
  }
  return {};
}

int FailMember(const std::string& command, const Status& status) {
  const int exit = Fail(command, status);
  if (const std::string_view advice = Advice(status); exit == kExitRefused && !advice.empty()) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(advice.size()), advice.data());
  }
  return exit;
}

// Two members of one name could not be told apart on the command line.
Status CheckNameIsFree(client::EtcdClient& client, const std::string& name) {
  const Result<etcdserverpb::MemberListResponse> members = AskMembers(client);
  if (!members.ok()) return members.status();
  for (const etcdserverpb::Member& member : members->members()) {
    if (member.name() != name) continue;
    return Status::FailedPrecondition("a member is called " + name +
                                      " already: choose another name, or put the new one in its place with quorate "
                                      "member replace " +
                                      name + " --peer HOST:PORT");
  }
  return Status::Ok();
}

int Add(const MemberArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("member add", client.status().message());
  if (const Status free = CheckNameIsFree(**client, arguments.name); !free.ok()) return FailMember("member add", free);
  etcdserverpb::MemberAddRequest request;
  request.add_peerurls(PeerUrl(arguments.peer));
  request.set_islearner(arguments.learner);
  const Result<etcdserverpb::MemberAddResponse> response = (*client)->MemberAdd(request);
  if (!response.ok()) return FailMember("member add", response.status());
  return PrintAdded(arguments, *response, "added to");
}

int Replace(const MemberArguments& given) {
  MemberArguments arguments = given;
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("member replace", client.status().message());
  const Result<std::uint64_t> old = FindMember(**client, arguments.target);
  if (!old.ok()) return FailMember("member replace", old.status());
  if (arguments.name.empty()) {
    const Result<std::string> name = NameOf(**client, *old);
    if (!name.ok()) return FailMember("member replace", name.status());
    arguments.name = *name;
  }
  quoratepb::MemberReplaceRequest request;
  request.set_old_id(*old);
  request.add_peer_urls(PeerUrl(arguments.peer));
  const Result<etcdserverpb::MemberAddResponse> response = (*client)->MemberReplace(request);
  if (!response.ok()) return FailMember("member replace", response.status());
  return PrintAdded(arguments, *response, ("takes the place of " + Hex(*old) + " in").c_str());
}

int Remove(const MemberArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("member remove", client.status().message());
  const Result<std::uint64_t> id = FindMember(**client, arguments.target);
  if (!id.ok()) return FailMember("member remove", id.status());
  etcdserverpb::MemberRemoveRequest request;
  request.set_id(*id);
  const Result<etcdserverpb::MemberRemoveResponse> response = (*client)->MemberRemove(request);
  if (!response.ok()) return FailMember("member remove", response.status());
  return PrintDone(arguments, *id, "removed from", response->header().cluster_id());
}

int Update(const MemberArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("member update", client.status().message());
  const Result<std::uint64_t> id = FindMember(**client, arguments.target);
  if (!id.ok()) return FailMember("member update", id.status());
  etcdserverpb::MemberUpdateRequest request;
  request.set_id(*id);
  request.add_peerurls(PeerUrl(arguments.peer));
  const Result<etcdserverpb::MemberUpdateResponse> response = (*client)->MemberUpdate(request);
  if (!response.ok()) return FailMember("member update", response.status());
  return PrintDone(arguments, *id, "updated in", response->header().cluster_id());
}

int Promote(const MemberArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("member promote", client.status().message());
  const Result<std::uint64_t> id = FindMember(**client, arguments.target);
  if (!id.ok()) return FailMember("member promote", id.status());
  etcdserverpb::MemberPromoteRequest request;
  request.set_id(*id);
  const Result<etcdserverpb::MemberPromoteResponse> response = (*client)->MemberPromote(request);
  if (!response.ok()) return FailMember("member promote", response.status());
  return PrintDone(arguments, *id, "promoted in", response->header().cluster_id());
}

int List(const MemberArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("member list", client.status().message());
  const Result<etcdserverpb::MemberListResponse> response = AskMembers(**client);
  if (!response.ok()) return FailMember("member list", response.status());
  Table table({"ID", "STATUS", "NAME", "PEER", "CLIENT", "LEARNER"});
  for (const etcdserverpb::Member& member : response->members()) {
    const bool started = !member.name().empty();  // a member publishes its name when it starts for the first time
    if (arguments.json) {
      JsonObject line;
      line.AddHex("id", member.id()).Add("name", member.name()).Add("started", started);
      line.Add("peer_urls", ToVector(member.peerurls())).Add("client_urls", ToVector(member.clienturls()));
      line.Add("learner", member.islearner());
      std::puts(line.Line().c_str());
    } else {
      table.Add({Hex(member.id()), started ? "started" : "unstarted", started ? member.name() : "-",
                 Join(member.peerurls()), Join(member.clienturls()), member.islearner() ? "yes" : "no"});
    }
  }
  if (!arguments.json) std::fputs(table.Text().c_str(), stdout);
  return kExitGood;
}

using Run = int (*)(const MemberArguments& arguments);

CLI::App* AddOne(CLI::App& member, Action* action, const char* name, const char* help, Run run,
                 const std::shared_ptr<MemberArguments>& arguments) {
  CLI::App* command = member.add_subcommand(name, help);
  AddConnectionOptions(*command, arguments.get());
  command->callback([arguments, action, run] { *action = [arguments, run] { return run(*arguments); }; });
  return command;
}

}  // namespace

void AddMember(CLI::App& app, Action* action) {
  CLI::App* member = app.add_subcommand("member", "Members of the cluster.");
  member->require_subcommand(1);
  const auto arguments = std::make_shared<MemberArguments>();
  AddOne(*member, action, "list", "Show who belongs to the cluster.", List, arguments)
      ->footer(
          "Ids are hexadecimal, as in etcdctl. Whether a member is up: quorate status.\n"
          "Example:\n"
          "  quorate member list --json | jq -r .client_urls[]");
  CLI::App* add =
      AddOne(*member, action, "add", "Take in a new member; prints the command that starts it.", Add, arguments);
  add->add_option("NAME", arguments->name, "its name")->required();
  add->add_option("--peer", arguments->peer, "HOST:PORT where the other members reach it")->required();
  add->add_flag("--learner", arguments->learner, "it is taught, but does not vote before it is promoted");
  add->footer(
      "The member is taught first, and votes by itself once it has caught up.\n"
      "Example:\n"
      "  quorate member add n4 --peer 10.0.0.4:2380");
  const auto with_target = [&](CLI::App* command) {
    command->add_option("MEMBER", arguments->target, "name or id")->required();
    return command;
  };
  with_target(AddOne(*member, action, "remove", "Take a member out, for good.", Remove, arguments));
  with_target(AddOne(*member, action, "promote", "Let a learner vote.", Promote, arguments));
  with_target(AddOne(*member, action, "update", "Tell the cluster a member's new peer address.", Update, arguments))
      ->add_option("--peer", arguments->peer, "HOST:PORT where the other members reach it")
      ->required();
  CLI::App* replace = with_target(AddOne(
      *member, action, "replace", "Put a new member in the place of a dead or damaged one.", Replace, arguments));
  replace->add_option("NAME", arguments->name, "the new member's name (default: the old one's)");
  replace->add_option("--peer", arguments->peer, "HOST:PORT where the other members reach it")->required();
  replace->footer(
      "One step: the old member leaves and the new one is taken in. It may have the old one's address, with an empty\n"
      "data directory.\n"
      "Example:\n"
      "  quorate member replace n2 --peer 10.0.0.2:2380\n"
      "  quorate member replace n2 n4 --peer 10.0.0.4:2380");
}

}  // namespace quorate::cli
