// Sender and receiver of snapshots over links that are cut, slow disks and a clock that the test moves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "env/memory_disk.h"
#include "replica/snapshot_directory.h"
#include "replica/snapshot_receiver.h"
#include "replica/snapshot_sender.h"
#include "replica/snapshot_testing.h"

namespace quorate::replica {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMillisecond = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kBallot = 9;

// Carries encoded messages between members in order, a millisecond each way; what is under way when a link goes down is
// lost.
class Network {
 public:
  using Deliver = std::function<void(ReplicaId from, SnapshotMessage message)>;

  explicit Network(VirtualLoop& loop) : loop_(loop) {}
  void Join(ReplicaId member, Deliver deliver) { members_[member] = std::move(deliver); }
  void Send(ReplicaId from, ReplicaId to, const SnapshotMessage& message) {
    if (down.contains({from, to})) return;
    if (const auto* data = std::get_if<SnapshotData>(&message)) {
      data_bytes[to] += data->bytes.size();
      in_flight[to] += data->bytes.size();
      in_flight_max = std::max(in_flight_max, in_flight[to]);
    }
    loop_.After(kMillisecond, [this, from, to, bytes = EncodeSnapshotMessage(message), epoch = epochs_[{from, to}]] {
      std::optional<SnapshotMessage> arrived = DecodeSnapshotMessage(bytes);
      ASSERT_TRUE(arrived.has_value());
      if (const auto* data = std::get_if<SnapshotData>(&*arrived)) in_flight[to] -= data->bytes.size();
      if (epoch == epochs_[{from, to}]) members_[to](from, *std::move(arrived));
    });
  }
  void Cut(ReplicaId a, ReplicaId b) {
    for (const auto& link : {std::pair(a, b), std::pair(b, a)}) {
      down.insert(link);
      ++epochs_[link];
    }
  }
  void Heal(ReplicaId a, ReplicaId b) {
    down.erase({a, b});
    down.erase({b, a});
  }

  std::map<ReplicaId, std::uint64_t> data_bytes;  // sent to each member
  std::map<ReplicaId, std::uint64_t> in_flight;
  std::uint64_t in_flight_max = 0;
  std::set<std::pair<ReplicaId, ReplicaId>> down;

 private:
  VirtualLoop& loop_;
  std::map<ReplicaId, Deliver> members_;
  std::map<std::pair<ReplicaId, ReplicaId>, std::uint64_t> epochs_;
};

class Leader final : public SnapshotSenderHost {
 public:
  Leader(ReplicaId self, Network& network, VirtualLoop& loop, SnapshotSenderOptions options, Rows rows)
      : self_(self), network_(network), loop_(loop), rows_(std::move(rows)), sender(options, loop, loop, *this) {
    network.Join(self, [this](ReplicaId from, const SnapshotMessage& message) {
      if (std::holds_alternative<SnapshotWanted>(message)) sender.OnWanted(from, kBallot);
      if (const auto* m = std::get_if<SnapshotAccept>(&message)) sender.OnMessage(from, *m);
      if (const auto* m = std::get_if<SnapshotRefused>(&message)) sender.OnMessage(from, *m);
      if (const auto* m = std::get_if<SnapshotProgress>(&message)) sender.OnMessage(from, *m);
    });
  }
  Result<std::shared_ptr<SnapshotStream>> OpenSnapshotStream() override {
    ++opened;
    auto source = std::make_shared<RowsSource>(rows_, loop_);
    pinned.push_back(source);
    return std::make_shared<SnapshotStream>(MakeHeader(self_.value * 100 + opened), source, loop_);
  }
  bool SnapshotIsUseful(const consensus::SnapshotMeta&) const override { return useful; }
  void SendSnapshotMessage(ReplicaId to, const SnapshotMessage& message) override { network_.Send(self_, to, message); }
  void OnSnapshotSent(ReplicaId to, const consensus::SnapshotMeta&, bool delivered) override {
    sent[to].push_back(delivered);
  }
  std::size_t pins() const {
    std::size_t alive = 0;
    for (const auto& source : pinned) alive += source.expired() ? 0 : 1;
    return alive;
  }

 private:
  const ReplicaId self_;
  Network& network_;
  VirtualLoop& loop_;
  const Rows rows_;

 public:
  std::uint64_t opened = 0;
  bool useful = true;
  std::vector<std::weak_ptr<RowsSource>> pinned;
  std::map<ReplicaId, std::vector<bool>> sent;
  SnapshotSender sender;
};

class Follower final : public SnapshotReceiverHost {
 public:
  Follower(ReplicaId self, Network& network, VirtualLoop& loop)
      : disk(loop, self.value), self_(self), network_(network), receiver(Options(), Prepared(disk), loop, loop, *this) {
    network.Join(self, [this](ReplicaId from, const SnapshotMessage& message) {
      if (const auto* m = std::get_if<SnapshotOffer>(&message)) receiver.OnMessage(from, *m);
      if (const auto* m = std::get_if<SnapshotData>(&message)) receiver.OnMessage(from, *m);
      if (const auto* m = std::get_if<SnapshotStopped>(&message)) receiver.OnMessage(from, *m);
    });
  }
  static SnapshotReceiverOptions Options() {
    SnapshotReceiverOptions options;
    options.cluster = ClusterId(0x1234);
    options.sync_bytes = 1 << 20;
    return options;
  }
  static env::MemoryDisk& Prepared(env::MemoryDisk& disk) {
    EXPECT_TRUE(PrepareSnapshotDirectory(disk).ok());
    return disk;
  }
  std::string WhyNotSnapshot(const SnapshotOffer&) const override { return why_not; }
  void SendSnapshotMessage(ReplicaId to, const SnapshotMessage& message) override {
    if (std::holds_alternative<SnapshotRefused>(message)) refusals.push_back(std::get<SnapshotRefused>(message).why);
    network_.Send(self_, to, message);
  }
  void OnSnapshotReceived(ReplicaId from, const SnapshotHeader& header, bool wanted) override {
    received.push_back({from, header.meta.id, wanted});
  }
  Rows Content(std::uint64_t id) const {
    SnapshotReader reader;
    EXPECT_TRUE(reader.Add(disk.Content(SnapshotPath(id))).ok());
    EXPECT_TRUE(reader.Finish().ok());
    return reader.TakeRows();
  }
  std::uint64_t FileBytes(std::uint64_t id) const { return disk.Content(SnapshotPath(id)).size(); }

  struct Received {
    ReplicaId from;
    std::uint64_t id = 0;
    bool wanted = false;
  };
  env::MemoryDisk disk;
  std::string why_not;
  std::vector<Received> received;
  std::vector<std::string> refusals;

 private:
  const ReplicaId self_;
  Network& network_;

 public:
  SnapshotReceiver receiver;
};

class SnapshotTransferTest : public ::testing::Test {
 protected:
  Leader& MakeLeader(SnapshotSenderOptions options = {}, ReplicaId self = ReplicaId(1)) {
    leaders_.push_back(std::make_unique<Leader>(self, network_, loop_, options, rows_));
    return *leaders_.back();
  }
  void Cut(Leader& leader, ReplicaId self = ReplicaId(1)) {
    network_.Cut(self, ReplicaId(2));
    leader.sender.OnLinkDown(ReplicaId(2));
  }

  VirtualLoop loop_;
  Network network_{loop_};
  const Rows rows_ = MakeRows(12'000, 1000);  // about 12 MB
  Follower follower_{ReplicaId(2), network_, loop_};
  Follower third_{ReplicaId(3), network_, loop_};
  std::vector<std::unique_ptr<Leader>> leaders_;
};

TEST_F(SnapshotTransferTest, ArrivesWholeDurableAndIsToldToBothCores) {
  Leader& leader = MakeLeader();
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return !leader.sent[ReplicaId(2)].empty(); }));
  EXPECT_EQ(leader.sent[ReplicaId(2)], std::vector<bool>{true});
  ASSERT_EQ(follower_.received.size(), 1u);
  EXPECT_EQ(follower_.received[0].id, 101u);
  EXPECT_FALSE(follower_.received[0].wanted);
  EXPECT_EQ(network_.data_bytes[ReplicaId(2)], follower_.FileBytes(101));
  follower_.disk.Crash(env::Survival::kNothing);
  EXPECT_TRUE(SameRows(follower_.Content(101), rows_));
  EXPECT_LE(network_.in_flight_max, SnapshotSenderOptions{}.window_bytes);
}

TEST_F(SnapshotTransferTest, ALinkCutAtHalfWayCostsHalfASecondTime) {
  Leader& leader = MakeLeader();
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return network_.data_bytes[ReplicaId(2)] > 6'200'000; }));
  Cut(leader);
  EXPECT_EQ(leader.sent[ReplicaId(2)], std::vector<bool>{false});
  loop_.RunFor(60 * kSecond);
  network_.Heal(ReplicaId(1), ReplicaId(2));
  network_.data_bytes.clear();
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return leader.sent[ReplicaId(2)].size() == 2; }));
  EXPECT_TRUE(leader.sent[ReplicaId(2)][1]);
  EXPECT_EQ(leader.opened, 1u);
  EXPECT_LE(network_.data_bytes[ReplicaId(2)], follower_.FileBytes(101) * 60 / 100);
  EXPECT_TRUE(SameRows(follower_.Content(101), rows_));
}

TEST_F(SnapshotTransferTest, SurvivesALinkThatIsCutAgainAndAgain) {
  Leader& leader = MakeLeader();
  for (std::uint64_t round = 1; follower_.received.empty(); ++round) {
    ASSERT_LT(round, 60u);
    network_.Heal(ReplicaId(1), ReplicaId(2));
    leader.sender.Send(ReplicaId(2), kBallot);
    loop_.RunFor(round % 7 * 5 * kMillisecond + 3 * kMillisecond);
    if (follower_.received.empty()) Cut(leader);
  }
  EXPECT_TRUE(SameRows(follower_.Content(follower_.received[0].id), rows_));
  EXPECT_LE(network_.data_bytes[ReplicaId(2)], 3 * follower_.FileBytes(101));
}

TEST_F(SnapshotTransferTest, TheRateIsKept) {
  SnapshotSenderOptions options;
  options.rate_bytes = 2'000'000;
  Leader& leader = MakeLeader(options);
  leader.sender.Send(ReplicaId(2), kBallot);
  loop_.RunFor(kSecond);
  for (int second = 0; second < 4; ++second) {
    const std::uint64_t before = network_.data_bytes[ReplicaId(2)];
    loop_.RunFor(kSecond);
    const std::uint64_t bytes = network_.data_bytes[ReplicaId(2)] - before;
    EXPECT_GE(bytes, 1'600'000u);
    EXPECT_LE(bytes, 2'400'000u);
  }
  const SnapshotSenderStatus status = leader.sender.status();
  const double seconds = static_cast<double>(status.sending_ns) / kSecond;
  EXPECT_NEAR(static_cast<double>(status.bytes_sent) / seconds, 2'000'000, 400'000) << "by its own counters";
}

TEST_F(SnapshotTransferTest, ALowRateIsNoStallAndIsSharedByTwoReceivers) {
  SnapshotSenderOptions options;
  options.rate_bytes = 200'000;
  options.stall_ns = 2 * kSecond;
  Leader& leader = MakeLeader(options);
  leader.sender.Send(ReplicaId(2), kBallot);
  leader.sender.Send(ReplicaId(3), kBallot);
  loop_.RunFor(20 * kSecond);
  const std::uint64_t both = network_.data_bytes[ReplicaId(2)] + network_.data_bytes[ReplicaId(3)];
  EXPECT_GE(both, 3'200'000u);
  EXPECT_LE(both, 4'800'000u);
  EXPECT_GE(network_.data_bytes[ReplicaId(2)], both / 3);
  EXPECT_GE(network_.data_bytes[ReplicaId(3)], both / 3);
  EXPECT_TRUE(leader.sent.empty());
}

TEST_F(SnapshotTransferTest, TwoReceiversShareOneSource) {
  Leader& leader = MakeLeader();
  leader.sender.Send(ReplicaId(2), kBallot);
  loop_.RunFor(10 * kMillisecond);
  leader.sender.Send(ReplicaId(3), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return leader.sent.size() == 2; }));
  EXPECT_EQ(leader.opened, 1u);
  EXPECT_TRUE(SameRows(follower_.Content(101), rows_));
  EXPECT_TRUE(SameRows(third_.Content(101), rows_));
}

// A core that did not install it yet, and lost its session with the leader, is offered it once more.
TEST_F(SnapshotTransferTest, AMemberThatHasItWholeIsNotSentItAgain) {
  Leader& leader = MakeLeader();
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return leader.sent[ReplicaId(2)].size() == 1; }));
  const std::uint64_t bytes = network_.data_bytes[ReplicaId(2)];
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return leader.sent[ReplicaId(2)].size() == 2; }));
  EXPECT_EQ(leader.sent[ReplicaId(2)], (std::vector<bool>{true, true}));
  EXPECT_EQ(leader.opened, 1u);
  EXPECT_EQ(network_.data_bytes[ReplicaId(2)], bytes);
}

TEST_F(SnapshotTransferTest, AnotherLeaderStartsOverAndTheOldPartIsDropped) {
  Leader& first = MakeLeader();
  first.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return network_.data_bytes[ReplicaId(2)] > 6'000'000; }));
  first.sender.StopAll();
  EXPECT_EQ(first.sent[ReplicaId(2)], std::vector<bool>{false});
  EXPECT_EQ(first.pins(), 0u);
  Leader& second = MakeLeader({}, ReplicaId(4));
  second.sender.Send(ReplicaId(2), kBallot + 1);
  ASSERT_TRUE(loop_.RunUntil([&] { return !follower_.received.empty(); }));
  EXPECT_EQ(follower_.received[0].from, ReplicaId(4));
  EXPECT_FALSE(follower_.disk.Exists(SnapshotPartPath(101)));
  EXPECT_TRUE(SameRows(follower_.Content(401), rows_));
  // The old leader, who may not know it yet, is not listened to.
  first.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return first.sent[ReplicaId(2)].size() == 2; }));
  EXPECT_THAT(follower_.refusals.back(), HasSubstr("another member leads"));
}

TEST_F(SnapshotTransferTest, AMemberWhoseKeyspaceIsGoneAsksUntilItHasOne) {
  Leader& leader = MakeLeader();
  network_.Cut(ReplicaId(1), ReplicaId(2));
  follower_.receiver.Want();
  follower_.receiver.SetLeader(ReplicaId(1));
  loop_.RunFor(5 * kSecond);
  network_.Heal(ReplicaId(1), ReplicaId(2));
  ASSERT_TRUE(loop_.RunUntil([&] { return !follower_.received.empty(); }));
  EXPECT_TRUE(follower_.received[0].wanted);
  loop_.RunFor(5 * kSecond);
  EXPECT_EQ(follower_.received.size(), 1u);
  EXPECT_TRUE(leader.sent.empty()) << "the core did not ask, and must not be told";
}

TEST_F(SnapshotTransferTest, ARefusalOrAFullDiskFailsTheTransferAfterAWhile) {
  Leader& leader = MakeLeader();
  follower_.why_not = "has applied more already";
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return !leader.sent[ReplicaId(2)].empty(); }));
  EXPECT_FALSE(leader.sent[ReplicaId(2)][0]);
  follower_.why_not.clear();
  follower_.disk.FailWrites(SnapshotPartPath(101), 1, Status::ResourceExhausted("no space left on device"));
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return leader.sent[ReplicaId(2)].size() == 2; }));
  EXPECT_FALSE(leader.sent[ReplicaId(2)][1]);
  EXPECT_THAT(follower_.refusals.back(), HasSubstr("no space"));
  EXPECT_FALSE(follower_.disk.Exists(SnapshotPartPath(101)));
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return leader.sent[ReplicaId(2)].size() == 3; }));
  EXPECT_TRUE(leader.sent[ReplicaId(2)][2]);
}

TEST_F(SnapshotTransferTest, ASilentReceiverIsGivenUpAndTheSourceIsLetGoLater) {
  Leader& leader = MakeLeader();
  network_.down.insert({ReplicaId(2), ReplicaId(1)});
  leader.sender.Send(ReplicaId(2), kBallot);
  loop_.RunFor(31 * kSecond);
  EXPECT_EQ(leader.sent[ReplicaId(2)], std::vector<bool>{false});
  EXPECT_EQ(leader.pins(), 1u);
  loop_.RunFor(301 * kSecond);
  EXPECT_EQ(leader.pins(), 0u);
}

TEST_F(SnapshotTransferTest, ASnapshotThatTheLogNoLongerReachesIsReplaced) {
  Leader& leader = MakeLeader();
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return network_.data_bytes[ReplicaId(2)] > 3'000'000; }));
  Cut(leader);
  leader.useful = false;
  loop_.RunFor(kSecond);
  EXPECT_EQ(leader.pins(), 0u);
  leader.useful = true;
  network_.Heal(ReplicaId(1), ReplicaId(2));
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return !follower_.received.empty(); }));
  EXPECT_EQ(follower_.received[0].id, 102u);
  EXPECT_FALSE(follower_.disk.Exists(SnapshotPartPath(101)));
}

TEST_F(SnapshotTransferTest, ASlowDiskSlowsTheSenderInsteadOfFillingMemory) {
  follower_.disk.SetLatency([](const std::string&, std::uint64_t) { return 50 * kMillisecond; });
  Leader& leader = MakeLeader();
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return !leader.sent[ReplicaId(2)].empty(); }));
  EXPECT_TRUE(leader.sent[ReplicaId(2)][0]);
  EXPECT_TRUE(SameRows(follower_.Content(101), rows_));
}

TEST_F(SnapshotTransferTest, NoByteOfASnapshotThatArrivesDamagedIsKept) {
  Leader& leader = MakeLeader();
  leader.sender.Send(ReplicaId(2), kBallot);
  ASSERT_TRUE(loop_.RunUntil([&] { return network_.data_bytes[ReplicaId(2)] > 3'000'000; }));
  const std::uint64_t at = follower_.receiver.status().bytes;
  loop_.RunFor(0);
  follower_.receiver.OnMessage(ReplicaId(1), SnapshotData{101, at, false, Bytes(std::string(600'000, 'x'))});
  ASSERT_FALSE(follower_.refusals.empty());
  EXPECT_THAT(follower_.refusals[0], HasSubstr("damaged at offset"));
  EXPECT_FALSE(follower_.disk.Exists(SnapshotPartPath(101)));
}

TEST(SnapshotMessageTest, WhatWasEncodedIsDecodedAndGarbageIsNothing) {
  const consensus::SnapshotMeta meta = MakeHeader().meta;
  const std::vector<SnapshotMessage> messages{SnapshotWanted{},
                                              SnapshotOffer{meta, 3, 1 << 20, true},
                                              SnapshotAccept{5, 6},
                                              SnapshotRefused{5, "no"},
                                              SnapshotProgress{5, 7, true},
                                              SnapshotStopped{0, "why"},
                                              SnapshotData{5, 9, true, Bytes(std::string("abc"))}};
  for (const SnapshotMessage& message : messages) {
    const Bytes encoded = EncodeSnapshotMessage(message);
    const std::optional<SnapshotMessage> decoded = DecodeSnapshotMessage(encoded);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->index(), message.index());
    EXPECT_EQ(EncodeSnapshotMessage(*decoded), encoded);
    if (std::holds_alternative<SnapshotData>(message)) continue;
    for (std::size_t length = 0; length < encoded.size(); ++length) {
      EXPECT_FALSE(DecodeSnapshotMessage(encoded.Slice(0, length)).has_value());
    }
  }
}

}  // namespace
}  // namespace quorate::replica
