// Load: clients that write through the etcd port while members die, and the books of what was acknowledged.
//
// Used by Laboratory. Each client has a thread and keys of its own: every write puts one new small key, which stays,
// and overwrites one of a few large ones in the same transaction. Thread rule: Stop and the counters from any thread,
// Check after Stop.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace quorate::crash_lab {

class Load {
 public:
  Load(std::vector<std::string> endpoints, int clients);
  ~Load() { Stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void Stop();
  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t acknowledged_bytes() const { return acknowledged_ * kLargeBytes; }
  // Reads everything back, linearizably. What is missing or wrong, a line each; empty = the books are right.
  std::vector<std::string> Check();

 private:
  static constexpr std::size_t kLargeBytes = 2048;
  static constexpr std::uint64_t kLargeKeys = 24;  // of a client

  struct Client {
    std::vector<bool> acknowledged;  // by the write's number
    std::thread thread;
  };

  void Run(std::size_t number);
  std::string Endpoints(std::size_t first) const;
  std::vector<std::string> CheckClient(std::size_t number);

  const std::vector<std::string> endpoints_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> acknowledged_{0};
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace quorate::crash_lab
