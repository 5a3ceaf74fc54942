#include "sim/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace quorate::sim {
namespace {

constexpr ReplicaId kOne{1}, kTwo{2};

// One simulated process that writes down what its transport tells it.
class Peer final : public env::TransportListener {
 public:
  Peer(Scheduler& scheduler, Network& network, ReplicaId self, Incarnation incarnation)
      : process(scheduler.NewProcess()), transport(network.Attach(self, incarnation, process)) {
    transport->Start(this);
  }
  void OnLinkUp(ReplicaId, LinkId link, Incarnation incarnation) override {
    EXPECT_FALSE(current) << "two links at once";
    current = link;
    log.push_back("up " + std::to_string(incarnation.value));
  }
  void OnLinkDown(ReplicaId, LinkId link) override {
    EXPECT_EQ(link, current);
    current = {};
    log.push_back("down");
  }
  void OnLinkRefused(ReplicaId) override { log.push_back("refused"); }
  void OnFrame(ReplicaId, LinkId link, Bytes frame) override {
    EXPECT_EQ(link, current) << "a frame of another link";
    frames.push_back(frame.ToString());
  }

  ProcessId process;
  std::unique_ptr<env::Transport> transport;
  LinkId current;
  std::vector<std::string> log;
  std::vector<std::string> frames;
};

class NetworkTest : public testing::Test {
 protected:
  void Make(NetworkOptions options) {
    network_ = std::make_unique<Network>(scheduler_, SeededRandom(5), options, std::vector{kOne, kTwo}, trace_);
    one_ = std::make_unique<Peer>(scheduler_, *network_, kOne, Incarnation(1));
    two_ = std::make_unique<Peer>(scheduler_, *network_, kTwo, Incarnation(1));
    Run(kSecond);
  }
  void Run(std::uint64_t ns) { scheduler_.RunUntil(scheduler_.now() + ns, {}); }
  void SendMany(int count) {
    for (int i = 0; i < count; ++i) {
      one_->transport->Send(kTwo, Bytes::Copy(std::to_string(sent_++)));
      Run(100 * kMicrosecond);
    }
  }
  std::vector<std::string> Sent(int count) {
    std::vector<std::string> all;
    for (int i = 0; i < count; ++i) all.push_back(std::to_string(i));
    return all;
  }

  TraceHash trace_;
  Scheduler scheduler_{trace_};
  std::unique_ptr<Network> network_;
  std::unique_ptr<Peer> one_, two_;
  int sent_ = 0;
};

constexpr NetworkOptions kCalm{.reset_per_million = 0};

TEST_F(NetworkTest, FramesArriveOnceAndInOrder) {
  Make(kCalm);
  SendMany(500);
  Run(kSecond);
  EXPECT_EQ(two_->frames, Sent(500));
  EXPECT_EQ(two_->log, (std::vector<std::string>{"up 1"}));
}

TEST_F(NetworkTest, ALinkThatBreaksDeliversAPrefixAndAnotherFollows) {
  Make(kCalm);
  SendMany(50);
  network_->ResetLink(kOne, kTwo);
  const std::size_t before = two_->frames.size();
  Run(kSecond);
  EXPECT_GE(two_->frames.size(), before);
  std::vector<std::string> prefix = Sent(50);
  prefix.resize(two_->frames.size());
  EXPECT_EQ(two_->frames, prefix);
  EXPECT_EQ(two_->log, (std::vector<std::string>{"up 1", "down", "up 1"}));
  EXPECT_EQ(one_->current, two_->current);
}

TEST_F(NetworkTest, ACutIsSilentFirstAndLosesTheLinkLater) {
  Make(kCalm);
  network_->Cut(kOne, kTwo);
  SendMany(10);
  Run(100 * kMillisecond);
  EXPECT_TRUE(two_->frames.empty());
  two_->transport->Send(kOne, Bytes::Copy("still"));
  Run(100 * kMillisecond);
  EXPECT_EQ(one_->frames, (std::vector<std::string>{"still"}));
  EXPECT_EQ(two_->log.size(), 1u);
  Run(10 * kSecond);
  EXPECT_EQ(two_->log, (std::vector<std::string>{"up 1", "down"}));
  network_->HealAll();
  Run(2 * kSecond);
  EXPECT_EQ(two_->log.size(), 3u);
  EXPECT_TRUE(two_->frames.empty());
}

TEST_F(NetworkTest, AShortCutOnlyDelays) {
  Make(kCalm);
  network_->Cut(kOne, kTwo);
  SendMany(10);
  Run(100 * kMillisecond);
  network_->Heal(kOne, kTwo);
  Run(100 * kMillisecond);
  EXPECT_EQ(two_->frames, Sent(10));
}

TEST_F(NetworkTest, AKilledProcessIsRefusedAndComesBackWithItsNewIncarnation) {
  Make(kCalm);
  scheduler_.Kill(two_->process);
  network_->Detach(kTwo, Exit::kProcess);
  Run(kSecond);
  ASSERT_GE(one_->log.size(), 3u);
  EXPECT_EQ(one_->log[1], "down");
  EXPECT_EQ(one_->log[2], "refused");
  two_ = std::make_unique<Peer>(scheduler_, *network_, kTwo, Incarnation(2));
  Run(kSecond);
  EXPECT_EQ(one_->log.back(), "up 2");
}

TEST_F(NetworkTest, ALostHostIsSilent) {
  Make(kCalm);
  scheduler_.Kill(two_->process);
  network_->Detach(kTwo, Exit::kHost);
  Run(10 * kSecond);
  EXPECT_EQ(one_->log, (std::vector<std::string>{"up 1", "down"}));
}

TEST_F(NetworkTest, HoweverFastLinksBreakBothSidesEndUpOnTheSameOne) {
  Make({.delay_max_ns = 20 * kMillisecond, .reset_per_million = 0});
  SeededRandom random(3);
  for (int i = 0; i < 200; ++i) {
    network_->ResetLink(kOne, kTwo);
    Run(random.Below(40 * kMillisecond));
    if (i % 20 != 0) continue;
    Run(kSecond);
    EXPECT_TRUE(one_->current) << "reset " << i;
    EXPECT_EQ(one_->current, two_->current) << "reset " << i;
  }
}

TEST_F(NetworkTest, TheUnorderedModeLosesDoublesAndReorders) {
  Make({.reset_per_million = 0, .unordered = true, .lost_permille = 100, .doubled_permille = 100});
  SendMany(500);
  Run(kSecond);
  std::vector<std::string> sorted = two_->frames;
  std::sort(sorted.begin(), sorted.end());
  const auto distinct = static_cast<std::size_t>(std::unique(sorted.begin(), sorted.end()) - sorted.begin());
  EXPECT_LT(distinct, 500u);
  EXPECT_LT(distinct, two_->frames.size());
  EXPECT_FALSE(std::is_sorted(two_->frames.begin(), two_->frames.end(),
                              [](const auto& a, const auto& b) { return std::stoi(a) < std::stoi(b); }));
}

}  // namespace
}  // namespace quorate::sim
