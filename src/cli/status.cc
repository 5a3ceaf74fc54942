// `quorate status`: every endpoint asked for itself, side by side.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json.h"
#include "cli/table.h"

namespace quorate::cli {
namespace {

struct Report {
  client::Endpoint endpoint;
  std::unique_ptr<client::EtcdClient> client;
  Status failure;  // why there is no status
  etcdserverpb::StatusResponse status;
  std::optional<etcdserverpb::HashKVResponse> hash;
  Status hash_failure;
};

Report AskStatus(const client::Endpoint& endpoint, const ConnectionArguments& arguments) {
  client::ClientOptions options;
  options.timeout_ns = arguments.timeout_ns();
  Report report;
  report.endpoint = endpoint;
  report.client = std::make_unique<client::EtcdClient>(std::vector<client::Endpoint>{endpoint}, options);
  Result<etcdserverpb::StatusResponse> status = report.client->MemberStatus();
  if (status.ok()) {
    report.status = *std::move(status);
  } else {
    report.failure = status.status();
  }
  return report;
}

// Hashes are compared at one revision that all have: the smallest of those reported.
void AskHashes(std::vector<Report>* reports) {
  std::int64_t revision = 0;
  for (const Report& report : *reports) {
    if (!report.failure.ok()) continue;
    const std::int64_t here = report.status.header().revision();
    revision = revision == 0 ? here : std::min(revision, here);
  }
  for (Report& report : *reports) {
    if (!report.failure.ok()) continue;
    etcdserverpb::HashKVRequest request;
    request.set_revision(revision);
    Result<etcdserverpb::HashKVResponse> hash = report.client->HashKv(request);
    if (hash.ok()) {
      hash->set_hash_revision(revision);
      report.hash = *std::move(hash);
    } else {
      report.hash_failure = hash.status();
    }
  }
}

// Member ids and their names; empty when nobody answers.
std::map<std::uint64_t, std::string> AskNames(const std::vector<Report>& reports) {
  std::map<std::uint64_t, std::string> names;
  for (const Report& report : reports) {
    if (!report.failure.ok()) continue;
    const Result<etcdserverpb::MemberListResponse> members =
        report.client->MemberList(etcdserverpb::MemberListRequest());  // this member's own view: needs no leader
    if (!members.ok()) continue;
    for (const etcdserverpb::Member& member : members->members()) names[member.id()] = member.name();
    break;
  }
  return names;
}

// True unless two members, compacted alike, have different content at the same revision.
bool HashesAgree(const std::vector<Report>& reports) {
  std::map<std::int64_t, std::uint32_t> by_compaction;
  for (const Report& report : reports) {
    if (!report.hash) continue;
    const auto [found, added] = by_compaction.emplace(report.hash->compact_revision(), report.hash->hash());
    if (!added && found->second != report.hash->hash()) return false;
  }
  return true;
}

void PrintJson(const Report& report, const std::map<std::uint64_t, std::string>& names) {
  JsonObject line;
  line.Add("endpoint", report.endpoint.ToString()).Add("reachable", report.failure.ok());
  if (!report.failure.ok()) {
    line.Add("error", report.failure.message());
  } else {
    const etcdserverpb::StatusResponse& status = report.status;
    const auto name = names.find(status.header().member_id());
    line.Add("name", name == names.end() ? std::string_view() : std::string_view(name->second));
    line.AddHex("id", status.header().member_id()).AddHex("cluster_id", status.header().cluster_id());
    line.Add("version", status.version()).AddHex("leader", status.leader());
    line.Add("is_leader", status.leader() == status.header().member_id());
    line.Add("learner", status.islearner()).Add("term", std::uint64_t{status.raftterm()});
    line.Add("revision", std::int64_t{status.header().revision()});
    line.Add("commit_index", std::uint64_t{status.raftindex()});
    line.Add("applied_index", std::uint64_t{status.raftappliedindex()});
    line.Add("db_size_bytes", std::int64_t{status.dbsize()}).Add("db_quota_bytes", std::int64_t{status.dbsizequota()});
    if (report.hash) {
      line.AddHex("hash", report.hash->hash()).Add("hash_revision", std::int64_t{report.hash->hash_revision()});
      line.Add("compact_revision", std::int64_t{report.hash->compact_revision()});
    }
    line.Add("errors", std::vector<std::string>(status.errors().begin(), status.errors().end()));
  }
  std::puts(line.Line().c_str());
}

std::string Size(std::int64_t bytes) {
  char text[32];
  if (bytes >= 10 * 1024 * 1024) {
    std::snprintf(text, sizeof text, "%lld MiB", static_cast<long long>(bytes / (1024 * 1024)));
  } else if (bytes < 10 * 1024) {
    std::snprintf(text, sizeof text, "%lld B", static_cast<long long>(bytes));
  } else {
    std::snprintf(text, sizeof text, "%lld KiB", static_cast<long long>(bytes / 1024));
  }
  return text;
}

std::vector<std::string> Row(const Report& report, const std::map<std::uint64_t, std::string>& names) {
  const auto name_of = [&](std::uint64_t id) {
    const auto found = names.find(id);
    return found == names.end() || found->second.empty() ? Hex(id) : found->second;
  };
  const etcdserverpb::StatusResponse& status = report.status;
  const std::uint64_t self = status.header().member_id();
  std::string leader = status.leader() == 0 ? "none" : name_of(status.leader());
  if (status.leader() == self) leader += " (this)";
  if (status.islearner()) leader += " (this learns)";
  std::string hash = "?";
  if (report.hash) hash = Hex(report.hash->hash()) + "@" + std::to_string(report.hash->hash_revision());
  return {report.endpoint.ToString(),
          name_of(self),
          Hex(self),
          status.version(),
          leader,
          std::to_string(status.raftterm()),
          std::to_string(status.header().revision()),
          std::to_string(status.raftindex()) + "/" + std::to_string(status.raftappliedindex()),
          Size(status.dbsize()) + (status.dbsizequota() > 0 ? " of " + Size(status.dbsizequota()) : ""),
          hash};
}

int RunStatus(const ConnectionArguments& arguments) {
  const Result<std::vector<client::Endpoint>> endpoints = Endpoints(arguments);
  if (!endpoints.ok()) return FailToRun("status", endpoints.status().message());
  std::vector<Report> reports;
  for (const client::Endpoint& endpoint : *endpoints) reports.push_back(AskStatus(endpoint, arguments));
  AskHashes(&reports);
  const std::map<std::uint64_t, std::string> names = AskNames(reports);
  Table table(
      {"ENDPOINT", "NAME", "ID", "VERSION", "LEADER", "TERM", "REVISION", "COMMIT/APPLIED", "DB SIZE", "HASH@REV"});
  bool good = true;
  for (const Report& report : reports) {
    good = good && report.failure.ok();
    if (arguments.json) {
      PrintJson(report, names);
    } else if (report.failure.ok()) {
      table.Add(Row(report, names));
    } else {
      table.Add({report.endpoint.ToString(), "unreachable"});
    }
  }
  if (!arguments.json) std::fputs(table.Text().c_str(), stdout);
  std::fflush(stdout);
  for (const Report& report : reports) {
    if (!report.failure.ok()) {
      std::fprintf(stderr, "quorate status: %s is unreachable: %s\n", report.endpoint.ToString().c_str(),
                   report.failure.message().c_str());
    }
    for (const std::string& error : report.status.errors()) {
      std::fprintf(stderr, "quorate status: %s says: %s\n", report.endpoint.ToString().c_str(), error.c_str());
    }
    if (!report.hash_failure.ok()) {
      std::fprintf(stderr, "quorate status: %s gives no hash: %s\n", report.endpoint.ToString().c_str(),
                   report.hash_failure.message().c_str());
    }
  }
  if (!HashesAgree(reports)) {
    std::fprintf(stderr, "quorate status: the members hold different content at the same revision\n");
    good = false;
  }
  return good ? kExitGood : kExitRefused;
}

}  // namespace

void AddStatus(CLI::App& app, Action* action) {
  auto arguments = std::make_shared<ConnectionArguments>();
  CLI::App* status = app.add_subcommand("status", "Ask every endpoint how it is, side by side.");
  AddConnectionOptions(*status, arguments.get());
  status->footer(
      "COMMIT/APPLIED are positions in the log; HASH@REV is the hash of the whole keyspace at a revision that all "
      "have:\n"
      "equal hashes mean equal content. Exit status 1 when an endpoint cannot be reached or hashes differ.\n"
      "Examples:\n"
      "  quorate status --endpoints 127.0.0.1:2379,127.0.0.1:2479,127.0.0.1:2579\n"
      "  quorate status --json | jq -r 'select(.is_leader) | .endpoint'");
  status->callback([arguments, action] { *action = [arguments] { return RunStatus(*arguments); }; });
}

}  // namespace quorate::cli
