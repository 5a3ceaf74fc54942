// LogThread: a thread on which file work blocks, so that no reactor does. PosixDisk has two: one for the log's writes
// and syncs, one for work in the background.
//
// Runs jobs one after another in the order in which they were added; its destructor finishes those that wait. Owned by
// PosixDisk. Thread rule: Add from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace quorate::env {

class LogThread {
 public:
  LogThread();
  ~LogThread();
  LogThread(const LogThread&) = delete;
  LogThread& operator=(const LogThread&) = delete;

  void Add(std::function<void()> job);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> jobs_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace quorate::env
