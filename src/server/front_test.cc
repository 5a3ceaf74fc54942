#include "server/front.h"

#include <gtest/gtest.h>

namespace quorate::server {
namespace {

class Ready final : public net::HttpService {
 public:
  void Handle(const net::HttpRequest&, std::function<void(net::HttpResponse)> done) override {
    done({200, "text/plain", "ready"});
  }
};

std::string Ask(Front& front) {
  std::string answer;
  front.Handle({"GET", "/health", ""}, [&answer](const net::HttpResponse& response) {
    answer = std::to_string(response.status) + " " + response.body;
  });
  return answer;
}

TEST(FrontTest, SaysThatTheMemberIsStartingAndHowFarUntilThereIsAService) {
  Front front;
  EXPECT_EQ(Ask(front), "503 {\"health\":\"false\",\"reason\":\"starting\"}\n");
  front.Say("opening the keyspace: 35 %");
  EXPECT_EQ(Ask(front), "503 {\"health\":\"false\",\"reason\":\"opening the keyspace: 35 %\"}\n");
  Ready ready;
  front.Become(nullptr, ready);
  EXPECT_EQ(Ask(front), "200 ready");
}

}  // namespace
}  // namespace quorate::server
