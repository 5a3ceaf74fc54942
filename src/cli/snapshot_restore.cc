// `quorate snapshot restore`: a data directory for a member of a new cluster.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/json.h"
#include "cli/snapshot_parts.h"
#include "server/config.h"
#include "server/restore.h"

namespace quorate::cli {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

struct RestoreArguments {
  server::ServeFlags flags;
  std::string file;
  std::string from_data_dir;
  std::string to_time;
  std::optional<Revision> to_revision;
  Revision bump = server::kDefaultBump;
  bool show_range = false;
  bool json = false;
};

int FailRestore(const Status& status) {
  return FailToRun("snapshot restore", status.message());
}

void PrintRange(const server::RestoreRange& range, bool json) {
  if (json) {
    JsonObject line;
    line.Add("first_index", range.first.value).Add("last_index", range.last.value);
    line.Add("from_revision", range.from_revision.value_or(0)).Add("to_revision", range.to_revision.value_or(0));
    line.Add("from_time", FormatTime(range.first_wall_ns)).Add("to_time", FormatTime(range.last_wall_ns));
    line.Add("gap", range.gap);
    std::puts(line.Line().c_str());
    return;
  }
  std::printf("revisions %lld to %lld, %s to %s (entries %llu to %llu)\n",
              static_cast<long long>(range.from_revision.value_or(0)),
              static_cast<long long>(range.to_revision.value_or(0)), FormatTime(range.first_wall_ns).c_str(),
              FormatTime(range.last_wall_ns).c_str(), static_cast<unsigned long long>(range.first.value),
              static_cast<unsigned long long>(range.last.value));
  if (!range.gap.empty()) std::printf("it goes back no further because of %s\n", range.gap.c_str());
}

void PrintReport(const server::RestoreReport& report, const RestoreArguments& arguments) {
  if (arguments.json) {
    JsonObject line;
    line.Add("data_dir", arguments.flags.data_dir).AddHex("cluster_id", report.cluster.value);
    line.AddHex("member_id", report.member.value).Add("revision", std::int64_t{report.revision});
    line.Add("old_revision", std::int64_t{report.old_revision}).Add("applied_index", report.last.value);
    line.Add("rows", report.rows).Add("bytes", report.bytes);
    std::puts(line.Line().c_str());
    return;
  }
  std::printf("restored member %s of the new cluster %s in %s: the state of revision %lld, now revision %lld\n",
              arguments.flags.name.c_str(), Hex(report.cluster.value).c_str(), arguments.flags.data_dir.c_str(),
              static_cast<long long>(report.old_revision), static_cast<long long>(report.revision));
}

int RunRestore(const RestoreArguments& arguments) {
  const bool with_log = !arguments.from_data_dir.empty();
  const bool with_goal = arguments.to_revision.has_value() || !arguments.to_time.empty();
  if (!with_log && (with_goal || arguments.show_range)) {
    return FailRestore(Status::InvalidArgument(
        "--to-revision, --to-time and --show-range need the log of a member: name its directory with --from-data-dir"));
  }
  if (with_log && !with_goal && !arguments.show_range) {
    return FailRestore(Status::InvalidArgument("--from-data-dir needs --to-revision, --to-time or --show-range"));
  }
  if (!with_log && arguments.file.empty()) return FailRestore(Status::InvalidArgument("which FILE?"));
  server::RestoreOptions options;
  options.file = arguments.file;
  options.from_data_dir = arguments.from_data_dir;
  options.to_revision = arguments.to_revision;
  options.bump = arguments.bump;
  options.progress = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  if (!arguments.to_time.empty()) {
    const Result<std::int64_t> time = ParseTime(arguments.to_time);
    if (!time.ok()) return FailRestore(Status::InvalidArgument("--to-time: " + time.status().message()));
    options.to_wall_ns = *time;
  }
  if (arguments.show_range) {
    const Result<server::RestoreRange> range = server::ShowRestoreRange(options);
    if (!range.ok()) return FailRestore(range.status());
    PrintRange(*range, arguments.json);
    return kExitGood;
  }
  Result<server::ServeConfig> config = server::Validate(arguments.flags);
  if (!config.ok()) return FailRestore(config.status());
  options.config = *std::move(config);
  const Result<server::RestoreReport> report = server::Restore(options);
  if (!report.ok()) return FailRestore(report.status());
  PrintReport(*report, arguments);
  return kExitGood;
}

// "+02:00" in seconds; 0 for "Z".
std::optional<std::int64_t> ParseOffset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  int hours = 0;
  int minutes = 0;
  const auto digits = [&](std::size_t at, int* out) {
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + 2, *out);
    return error == std::errc() && end == text.data() + at + 2;
  };
  if (!digits(1, &hours) || !digits(4, &minutes) || hours > 23 || minutes > 59) return std::nullopt;
  const std::int64_t seconds = hours * 3600 + minutes * 60;
  return text[0] == '-' ? -seconds : seconds;
}

}  // namespace

Result<std::int64_t> ParseTime(std::string_view text) {
  const Status wrong =
      Status::InvalidArgument("\"" + std::string(text) +
                              "\" is not a time like 2026-11-25T01:02:03Z, 2026-11-25T01:02:03.5+02:00, "
                              "or seconds since 1970");
  const std::string copy(text);
  std::int64_t seconds = 0;
  std::string_view rest;
  if (copy.find('T') == std::string::npos) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc()) return wrong;
    rest = text.substr(static_cast<std::size_t>(end - text.data()));
  } else {
    std::tm parts{};
    const char* end = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (end == nullptr) return wrong;
    seconds = timegm(&parts);
    rest = text.substr(static_cast<std::size_t>(end - copy.c_str()));
  }
  std::int64_t fraction_ns = 0;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    std::int64_t unit = kNsPerSecond;
    while (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') {
      unit /= 10;
      fraction_ns += (rest[0] - '0') * unit;
      rest.remove_prefix(1);
    }
  }
  if (copy.find('T') != std::string::npos) {
    const std::optional<std::int64_t> offset = ParseOffset(rest);
    if (!offset) return wrong;
    seconds -= *offset;
  } else if (!rest.empty()) {
    return wrong;
  }
  if (seconds < 0 || seconds > 9'000'000'000) return wrong;
  return seconds * kNsPerSecond + fraction_ns;
}

void AddSnapshotRestore(CLI::App& snapshot, Action* action) {
  auto arguments = std::make_shared<RestoreArguments>();
  CLI::App* restore = snapshot.add_subcommand("restore", "Make the data directory of a member of a new cluster.");
  restore->add_option("FILE", arguments->file, "a snapshot; every member restores the same one");
  for (const server::FlagSpec& spec : server::ServeFlagSpecs()) {
    const std::string name(spec.name);
    if (name != "name" && name != "data-dir" && name != "protocol" && name != "initial-cluster" &&
        name != "cluster-token" && name != "advertise-peer") {
      continue;
    }
    restore->add_option("--" + name, arguments->flags.*spec.field, std::string(spec.help));
  }
  restore->add_option("--bump-revision", arguments->bump, "by how much the revision is raised; 0: it goes on as it was")
      ->check(CLI::Range(Revision{0}, Revision{1} << 62))
      ->capture_default_str();
  restore->add_option("--from-data-dir", arguments->from_data_dir,
                      "a stopped member's directory: its log goes on where the snapshot ends");
  auto* revision = restore->add_option("--to-revision", arguments->to_revision, "replay the log up to this revision");
  restore->add_option("--to-time", arguments->to_time, "replay the log up to this moment, by the leader's clock")
      ->excludes(revision);
  restore->add_flag("--show-range", arguments->show_range, "only say what --from-data-dir could be replayed to");
  restore->add_flag("--json", arguments->json, "one JSON object, for scripts");
  restore->footer(
      "Makes --data-dir, which must not exist; then start `quorate serve` with it. The new cluster has a new id, the\n"
      "members of --initial-cluster, all keys and leases (with the time they had left), no alarms. The revision is "
      "raised\n"
      "and everything before counts as compacted, so that no client takes a new revision for one it has seen.\n"
      "Examples:\n"
      "  quorate snapshot restore backup.snap --name n1 --data-dir n1.data "
      "--initial-cluster n1=10.0.0.1:2380,n2=10.0.0.2:2380,n3=10.0.0.3:2380\n"
      "  quorate snapshot restore backup.snap --from-data-dir old.data --to-time 2026-11-25T01:02:03Z --data-dir "
      "n1.data\n"
      "A member keeps its log for the second kind with `quorate serve --log-retention 24h`.");
  restore->callback([arguments, action] { *action = [arguments] { return RunRestore(*arguments); }; });
}

}  // namespace quorate::cli
