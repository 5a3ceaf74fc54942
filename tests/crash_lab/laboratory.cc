#include "laboratory.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"
#include "client/etcd_client.h"

namespace quorate::crash_lab {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMembers = 3;
constexpr int kClients = 4;
constexpr std::size_t kPointsOfATurn = 9;
constexpr std::uint64_t kLifeMs = 8'000;  // for a life to come to its point
constexpr std::uint64_t kLastLifeMs = 300;
constexpr int kWritesOfAll = 60;                       // of the log in a life of which all members die
constexpr std::uint64_t kBehindBytes = 512 << 10;      // written while a member is away, so that it needs a snapshot
constexpr auto kPatience = std::chrono::seconds(120);  // for what must come true on a busy machine
constexpr auto kPause = std::chrono::milliseconds(10);

std::vector<std::uint16_t> FreePorts(int count) {
  std::vector<int> sockets;
  std::vector<std::uint16_t> ports;
  for (int i = 0; i < count; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
          ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0)
        << "no free port";
    ports.push_back(ntohs(at.sin_port));
    sockets.push_back(fd);
  }
  for (const int fd : sockets) ::close(fd);
  return ports;
}

std::unique_ptr<client::EtcdClient> ClientOf(const LabMember& member) {
  client::ClientOptions options;
  options.timeout_ns = 5'000'000'000;
  return std::make_unique<client::EtcdClient>(*client::ParseEndpoints(member.Endpoint()), options);
}

bool NeedsInstallation(const std::string& point) {
  return point.starts_with("snapshot.") || point.starts_with("install.");
}

bool IsOfAFreshDirectory(const std::string& point) {
  return point == "member.rename";
}

}  // namespace

Laboratory::Laboratory(LaboratoryOptions options) : options_(std::move(options)), dice_(options_.seed) {
  const std::vector<std::uint16_t> ports = FreePorts(2 * kMembers);
  std::vector<Address> all;
  for (std::size_t i = 0; i < kMembers; ++i) {
    all.push_back({"n" + std::to_string(i + 1), ports[2 * i], ports[2 * i + 1]});
  }
  for (std::size_t i = 0; i < kMembers; ++i) {
    members_.push_back(std::make_unique<LabMember>(options_.directory, i, all));
  }
  for (const std::string& point : AllPoints()) kills_[point] = 0;
}

std::string Laboratory::Unexpected(const LabMember& member, const std::string& what) const {
  std::ifstream file(member.LogPath());
  const std::string log((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return member.address().name + ": " + what + "\n---- the end of its log\n" +
         log.substr(log.size() > 3000 ? log.size() - 3000 : 0);
}

int Laboratory::Nth(const std::string& point) {
  static const std::map<std::string, int> often{{"log.write", 60},
                                                {"log.sync", 60},
                                                {"log.synced", 60},
                                                {"log.create", 3},
                                                {"log.rename", 3},
                                                {"log.directory-sync", 4},
                                                {"log.remove", 3},
                                                {"keyspace.write", 40},
                                                {"keyspace.sync", 20},
                                                {"keyspace.synced", 20},
                                                {"keyspace.create", 12},
                                                {"keyspace.link", 6},
                                                {"keyspace.directory-sync", 6},
                                                {"keyspace.rename", 3},
                                                {"keyspace.remove", 6},
                                                {"snapshot.write", 5},
                                                {"install.write", 20},
                                                {"install.sync", 8},
                                                {"install.link", 3}};
  const auto found = often.find(point);
  return found == often.end() ? 1 : 1 + static_cast<int>(dice_() % static_cast<std::uint64_t>(found->second));
}

// One life, from its start to its death at the point.
std::string Laboratory::Live(LabMember& victim, const std::string& point) {
  const int nth = missed_[point] > kills_[point] ? 1 : Nth(point);
  victim.Start({point, nth, dice_(), options_.lying});
  if (!victim.WaitForEnd(kLifeMs)) {
    ++missed_[point];
    victim.Kill();
    return "";
  }
  return Ended(victim, point);
}

std::string Laboratory::Ended(LabMember& victim, const std::string& point) {
  const std::optional<CutNote> note = victim.note();
  if (!note || !WIFSIGNALED(victim.exit_status()) || WTERMSIG(victim.exit_status()) != SIGKILL) {
    return Unexpected(
        victim, "it ended by itself, with status " + std::to_string(victim.exit_status()) + ", on the way to " + point);
  }
  ++kills_[note->point];
  ++killed_;
  unsynced_writes_ += note->unsynced_writes;
  names_open_ += note->names_open;
  names_undone_ += note->names_undone;
  return "";
}

std::vector<std::string> Laboratory::Choose(bool installing) {
  std::vector<std::string> points;
  for (const std::string& point : AllPoints()) {
    if (!IsOfAFreshDirectory(point) && NeedsInstallation(point) == installing) points.push_back(point);
  }
  std::shuffle(points.begin(), points.end(), dice_);
  std::stable_sort(points.begin(), points.end(), [this](const std::string& a, const std::string& b) {
    return kills_[a] + missed_[a] < kills_[b] + missed_[b];
  });
  points.resize(std::min(points.size(), kPointsOfATurn));
  if (!installing) return points;
  // In the order in which an installation comes to them, so that each life of the turn still has its own to do.
  std::vector<std::string> ordered;
  for (const std::string& point : AllPoints()) {
    if (std::find(points.begin(), points.end(), point) != points.end()) ordered.push_back(point);
  }
  return ordered;
}

std::string Laboratory::WaitForBytes(std::uint64_t bytes) {
  const std::uint64_t until = load_->acknowledged_bytes() + bytes;
  const Clock::time_point end = Clock::now() + kPatience;
  while (load_->acknowledged_bytes() < until) {
    if (Clock::now() > end) return "two members of three acknowledge nothing";
    std::this_thread::sleep_for(kPause);
  }
  return "";
}

std::string Laboratory::Turn(LabMember& victim) {
  ++turns_;
  victim.Kill();
  const bool installing = turns_ % 2 == 0;
  if (installing) {
    const std::string stuck = WaitForBytes(kBehindBytes);
    if (!stuck.empty()) return stuck;
  }
  for (const std::string& point : Choose(installing)) {
    if (Enough()) break;
    std::string wrong = Live(victim, point);
    if (!wrong.empty()) return wrong;
  }
  victim.Start({"", 1, 0, options_.lying});
  return WaitUntilEqual();
}

// All lose power while they write: what was acknowledged is then on the disks of two of them, or nowhere.
std::string Laboratory::TurnOfAll() {
  ++turns_;
  static const std::vector<std::string> points{"log.write", "log.sync", "log.synced"};
  std::vector<std::string> drawn;
  for (const auto& member : members_) member->Kill();
  for (const auto& member : members_) {
    drawn.push_back(points[dice_() % points.size()]);
    member->Start({drawn.back(), kWritesOfAll + static_cast<int>(dice_() % kWritesOfAll), dice_(), options_.lying});
  }
  for (std::size_t i = 0; i < members_.size(); ++i) {
    // The last one may be left without a quorum, and so without anything to write.
    if (!members_[i]->WaitForEnd(i == 0 ? kLifeMs : kLastLifeMs)) {
      members_[i]->Kill();
      continue;
    }
    std::string wrong = Ended(*members_[i], drawn[i]);
    if (!wrong.empty()) return wrong;
  }
  for (const auto& member : members_) member->Start({"", 1, 0, options_.lying});
  return WaitUntilEqual();
}

// All members at one revision, with the same hash.
std::string Laboratory::WaitUntilEqual() {
  const Clock::time_point end = Clock::now() + kPatience;
  std::string last = "no answer";
  while (Clock::now() < end) {
    for (const auto& member : members_) {
      if (!member->running() || member->WaitForEnd(0)) return Unexpected(*member, "it ended by itself");
    }
    const Result<etcdserverpb::StatusResponse> status = ClientOf(*members_[0])->MemberStatus();
    etcdserverpb::HashKVRequest request;
    request.set_revision(status.ok() ? status->header().revision() : 0);
    std::set<std::pair<std::uint32_t, std::int64_t>> hashes;
    std::size_t answers = 0;
    for (const auto& member : members_) {
      const Result<etcdserverpb::HashKVResponse> hash = ClientOf(*member)->HashKv(request);
      if (!hash.ok()) last = member->address().name + ": " + hash.status().message();
      if (!hash.ok() || !status.ok()) break;
      ++answers;
      hashes.emplace(hash->hash(), hash->compact_revision());
    }
    if (answers == members_.size() && hashes.size() == 1) return "";
    if (answers == members_.size()) last = "different hashes at revision " + std::to_string(request.revision());
    std::this_thread::sleep_for(kPause);
  }
  return "the members do not become equal: " + last;
}

// Fresh directories are made with the power going while they are: every member dies once before it is ever up.
std::string Laboratory::FirstStarts() {
  for (int i = 0; i < kMembers; ++i) {
    LabMember& member = *members_[static_cast<std::size_t>(i)];
    std::string wrong = Live(member, "member.rename");
    if (!wrong.empty()) return wrong;
  }
  for (const auto& member : members_) member->Start({"", 1, 0, options_.lying});
  return WaitUntilEqual();
}

std::string Laboratory::End() {
  load_->Stop();
  std::string unequal = WaitUntilEqual();
  if (!unequal.empty()) return unequal;
  std::string wrong;
  for (const std::string& line : load_->Check()) wrong += line + "\n";
  for (const auto& [point, kills] : kills_) {
    if (kills == 0) wrong += "nobody was killed at " + point + "\n";
  }
  const NetworkFaults faults = Faults();
  const bool fifo = ProtocolOfMembers() == "zab";
  if (faults.delayed == 0 || faults.resets == 0 || (!fifo && (faults.lost == 0 || faults.doubled == 0))) {
    wrong += "the network had none of one kind of faults\n";
  }
  return wrong;
}

NetworkFaults Laboratory::Faults() const {
  NetworkFaults all;
  for (const auto& member : members_) {
    const NetworkFaults its = member->network_faults();
    all.frames += its.frames;
    all.delayed += its.delayed;
    all.lost += its.lost;
    all.doubled += its.doubled;
    all.resets += its.resets;
    all.frames_cut_off += its.frames_cut_off;
  }
  return all;
}

void Laboratory::PrintReport(std::uint64_t acknowledged) const {
  std::printf("%-26s %6s %6s\n", "point", "kills", "missed");
  for (const std::string& point : AllPoints()) {
    const auto missed = missed_.find(point);
    std::printf("%-26s %6d %6d\n", point.c_str(), kills_.at(point), missed == missed_.end() ? 0 : missed->second);
  }
  std::printf(
      "%d kills in %d turns, seed %llu: %llu unsynced writes at risk, %llu of %llu names undone; "
      "%llu writes acknowledged\n",
      killed_, turns_, static_cast<unsigned long long>(options_.seed),
      static_cast<unsigned long long>(unsynced_writes_), static_cast<unsigned long long>(names_undone_),
      static_cast<unsigned long long>(names_open_), static_cast<unsigned long long>(acknowledged));
  const NetworkFaults faults = Faults();
  std::printf("of %llu frames %llu delayed, %llu lost, %llu doubled; %llu links reset with %llu frames under way\n",
              static_cast<unsigned long long>(faults.frames), static_cast<unsigned long long>(faults.delayed),
              static_cast<unsigned long long>(faults.lost), static_cast<unsigned long long>(faults.doubled),
              static_cast<unsigned long long>(faults.resets), static_cast<unsigned long long>(faults.frames_cut_off));
}

// A slow machine may miss a rare point for a while: it gets as many kills again to come to it.
bool Laboratory::Enough() const {
  if (killed_ < options_.kills) return false;
  return killed_ >= 2 * options_.kills ||
         std::all_of(kills_.begin(), kills_.end(), [](const auto& point) { return point.second > 0; });
}

std::string Laboratory::Run() {
  std::string wrong = FirstStarts();
  if (!wrong.empty()) return wrong;
  std::vector<std::string> endpoints;
  for (const auto& member : members_) endpoints.push_back(member->Endpoint());
  load_ = std::make_unique<Load>(endpoints, kClients);
  wrong = WaitForBytes(kBehindBytes);
  while (wrong.empty() && !Enough()) {
    wrong = turns_ % 5 == 4 ? TurnOfAll() : Turn(*members_[static_cast<std::size_t>(turns_) % kMembers]);
  }
  if (wrong.empty()) wrong = End();
  load_->Stop();
  PrintReport(load_->acknowledged());
  return wrong;
}

}  // namespace quorate::crash_lab
