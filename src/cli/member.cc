// `quorate member`: who belongs to the cluster.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
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

int List(const ConnectionArguments& arguments) {
  const Result<std::unique_ptr<client::EtcdClient>> client = MakeClient(arguments);
  if (!client.ok()) return FailToRun("member list", client.status().message());
  etcdserverpb::MemberListRequest request;
  request.set_linearizable(true);
  const Result<etcdserverpb::MemberListResponse> response = (*client)->MemberList(request);
  if (!response.ok()) return Fail("member list", response.status());
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

}  // namespace

void AddMember(CLI::App& app, Action* action) {
  CLI::App* member = app.add_subcommand("member", "Members of the cluster.");
  member->require_subcommand(1);
  auto arguments = std::make_shared<ConnectionArguments>();
  CLI::App* list = member->add_subcommand("list", "Show who belongs to the cluster.");
  AddConnectionOptions(*list, arguments.get());
  list->footer(
      "Ids are hexadecimal, as in etcdctl. Whether a member is up: quorate status.\n"
      "Example:\n"
      "  quorate member list --json | jq -r .client_urls[]");
  list->callback([arguments, action] { *action = [arguments] { return List(*arguments); }; });
}

}  // namespace quorate::cli
