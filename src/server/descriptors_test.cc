#include "server/descriptors.h"

#include <gtest/gtest.h>

namespace quorate::server {
namespace {

TEST(DescriptorsTest, ClientsGetWhatTheServerItselfLeaves) {
  for (const std::uint64_t limit : {512u, 1024u, 4096u, 20'000u}) {
    const DescriptorPlan plan = PlanDescriptors(limit);
    const std::uint64_t shared =
        plan.client_connections + plan.admin_connections + static_cast<std::uint64_t>(plan.keyspace_files);
    EXPECT_LE(shared + 192, limit) << limit;
    EXPECT_GE(plan.client_connections, limit / 8) << limit;
  }
  EXPECT_EQ(PlanDescriptors(1 << 20).client_connections, 16'384u);
  EXPECT_EQ(PlanDescriptors(1 << 20).keyspace_files, 512);
}

TEST(DescriptorsTest, WithHardlyAnySomebodyMayStillAsk) {
  EXPECT_EQ(PlanDescriptors(64).client_connections, 16u);
  EXPECT_EQ(PlanDescriptors(64).keyspace_files, 32);
}

}  // namespace
}  // namespace quorate::server
