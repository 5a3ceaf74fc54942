#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "frontend/etcd/frontend_fixture.h"

namespace quorate::frontend::etcd {
namespace {

class SnapshotCallTest : public FrontendTest {
 protected:
  SnapshotCallTest() {
    for (int i = 0; i < 1'000'000; ++i) backend_.snapshot_file += static_cast<char>('a' + i % 23);
    handler_ = frontend_.Open("/etcdserverpb.Maintenance/Snapshot", call_);
  }
  ~SnapshotCallTest() override {
    if (handler_ != nullptr) handler_->OnDone();
  }
  // What has been sent so far; remaining_bytes falls, and is 0 at the end only.
  std::string Received() {
    std::string bytes;
    for (const std::string& message : call_.sent) {
      etcdserverpb::SnapshotResponse response;
      EXPECT_TRUE(response.ParseFromString(message));
      EXPECT_LE(response.blob().size(), 32u << 10);
      bytes += response.blob();
      EXPECT_EQ(response.remaining_bytes(), backend_.snapshot_file.size() - bytes.size());
    }
    return bytes;
  }

  FakeCall call_;
  std::unique_ptr<net::CallHandler> handler_;
};

TEST_F(SnapshotCallTest, TheFileArrivesInBlobs) {
  handler_->OnMessage("");
  handler_->OnHalfClose();
  executor_.RunReady();
  EXPECT_EQ(Received(), backend_.snapshot_file);
  ASSERT_TRUE(call_.finished.has_value());
  EXPECT_TRUE(call_.finished->ok());
}

TEST_F(SnapshotCallTest, ASlowClientHoldsTheReadingUp) {
  call_.queued = net::kCallQueueCapBytes + 1;
  handler_->OnMessage("");
  executor_.RunReady();
  EXPECT_TRUE(call_.sent.empty());
  call_.queued = 0;
  handler_->OnWritable();
  handler_->OnWritable();
  executor_.RunReady();
  EXPECT_EQ(Received(), backend_.snapshot_file);
}

TEST_F(SnapshotCallTest, AClientThatLeavesEndsIt) {
  handler_->OnMessage("");
  handler_->OnDone();
  executor_.RunReady();
  EXPECT_TRUE(call_.sent.empty());
  EXPECT_FALSE(call_.finished.has_value());
}

TEST_F(SnapshotCallTest, AStateThatCannotBeCopiedIsSaidSo) {
  backend_.refuse_with = Status::Unavailable("this member is loading a snapshot itself");
  handler_->OnMessage("");
  ASSERT_TRUE(call_.finished.has_value());
  EXPECT_EQ(call_.finished->code(), StatusCode::kUnavailable);
}

}  // namespace
}  // namespace quorate::frontend::etcd
