#include "env/posix/posix_disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

namespace quorate::env {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return StatusCode::kNotFound;
    case EEXIST:
      return StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      return StatusCode::kResourceExhausted;
    default:
      return StatusCode::kUnavailable;
  }
}

Status Failure(const std::string& path, const char* action, int error) {
  return {CodeOf(error), path + ": " + action + ": " + std::generic_category().message(error)};
}

template <class Call>
auto Retry(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

Status WriteFully(int fd, const std::string& path, std::uint64_t offset, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = Retry([&] { return ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)); });
    if (written < 0) return Failure(path, "cannot write", errno);
    data.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return Status::Ok();
}

Status SyncData(int fd, const std::string& path) {
  if (Retry([&] { return ::fdatasync(fd); }) != 0) return Failure(path, "cannot sync", errno);
  return Status::Ok();
}

class PosixFile final : public File {
 public:
  PosixFile(std::string path, int fd, LogThread& log_thread, Executor& executor)
      : path_(std::move(path)), file_(std::make_shared<Descriptor>(fd)), log_thread_(log_thread), executor_(executor) {}

  Result<std::uint64_t> Size() const override {
    struct stat info {};
    if (::fstat(file_->fd(), &info) != 0) return Failure(path_, "cannot stat", errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<std::string> Read(std::uint64_t offset, std::uint64_t length) const override {
    const Result<std::uint64_t> size = Size();
    if (!size.ok()) return size.status();
    std::string out;
    if (offset >= *size) return out;
    out.resize(std::min(length, *size - offset));
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = Retry([&] {
        return ::pread(file_->fd(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return Failure(path_, "cannot read", errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    out.resize(done);
    return out;
  }

  Status Write(std::uint64_t offset, std::string_view data) override {
    return WriteFully(file_->fd(), path_, offset, data);
  }
  Status Sync() override { return SyncData(file_->fd(), path_); }

  Status Truncate(std::uint64_t size) override {
    if (Retry([&] { return ::ftruncate(file_->fd(), static_cast<off_t>(size)); }) != 0) {
      return Failure(path_, "cannot truncate", errno);
    }
    return Status::Ok();
  }

  Status Preallocate(std::uint64_t size) override {
    const Result<std::uint64_t> now = Size();
    if (!now.ok()) return now.status();
    if (size <= *now) return Status::Ok();
    if (Retry([&] { return ::fallocate(file_->fd(), 0, 0, static_cast<off_t>(size)); }) == 0) return Status::Ok();
    if (errno != EOPNOTSUPP && errno != ENOSYS) return Failure(path_, "cannot allocate", errno);
    return Truncate(size);
  }

  void WriteAndSync(std::uint64_t offset, std::string data, std::function<void(Status)> done) override {
    log_thread_.Add([path = path_, file = file_, &executor = executor_, offset, data = std::move(data),
                     done = std::move(done)]() mutable {
      Status status = WriteFully(file->fd(), path, offset, data);
      if (status.ok()) status = SyncData(file->fd(), path);
      executor.Post([done = std::move(done), status = std::move(status)] { done(status); });
    });
  }

 private:
  std::string path_;
  std::shared_ptr<Descriptor> file_;  // shared with a job under way
  LogThread& log_thread_;
  Executor& executor_;
};

// What an earlier Lock wrote into the file.
std::string HolderOf(int fd) {
  char text[32] = {};
  const ssize_t got = Retry([&] { return ::pread(fd, text, sizeof text - 1, 0); });
  const std::string pid(text, got > 0 ? static_cast<std::size_t>(got) : 0);
  const bool is_number = !pid.empty() && pid.find_first_not_of("0123456789\n") == std::string::npos;
  return is_number ? "process " + pid.substr(0, pid.find('\n')) : "another process";
}

}  // namespace

Result<std::unique_ptr<PosixDisk>> PosixDisk::Open(const std::string& root, Executor& executor) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(root, error);
  if (error) return Failure(root, "cannot make the directory", error.value());
  if (made) std::filesystem::permissions(root, std::filesystem::perms::owner_all, error);
  return std::unique_ptr<PosixDisk>(new PosixDisk(root, executor));
}

PosixDisk::~PosixDisk() = default;

Result<std::vector<std::string>> PosixDisk::List(const std::string& directory) const {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator at(FullPath(directory), error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  if (error) return Failure(FullPath(directory), "cannot list", error.value());
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::unique_ptr<File>> PosixDisk::OpenFile(const std::string& path, int flags) {
  const std::string full = FullPath(path);
  const int fd = Retry([&] { return ::open(full.c_str(), flags | O_RDWR | O_CLOEXEC, kFileMode); });
  if (fd < 0) return Failure(full, (flags & O_CREAT) != 0 ? "cannot create" : "cannot open", errno);
  return std::unique_ptr<File>(std::make_unique<PosixFile>(full, fd, log_thread_, executor_));
}

Result<std::unique_ptr<File>> PosixDisk::Open(const std::string& path) {
  return OpenFile(path, 0);
}
Result<std::unique_ptr<File>> PosixDisk::Create(const std::string& path) {
  return OpenFile(path, O_CREAT | O_EXCL);
}

bool PosixDisk::Exists(const std::string& path) const {
  struct stat info {};
  return ::stat(FullPath(path).c_str(), &info) == 0;
}

Status PosixDisk::Rename(const std::string& from, const std::string& to) {
  if (std::rename(FullPath(from).c_str(), FullPath(to).c_str()) != 0) {
    return Failure(FullPath(from), ("cannot rename to " + FullPath(to)).c_str(), errno);
  }
  return Status::Ok();
}

Status PosixDisk::Remove(const std::string& path) {
  if (::unlink(FullPath(path).c_str()) != 0) return Failure(FullPath(path), "cannot remove", errno);
  return Status::Ok();
}

Status PosixDisk::CreateDirectory(const std::string& path) {
  const std::string full = FullPath(path);
  if (::mkdir(full.c_str(), kDirectoryMode) == 0) return Status::Ok();
  const int error = errno;
  if (error == EEXIST && std::filesystem::is_directory(full)) return Status::Ok();
  return Failure(full, "cannot make the directory", error);
}

Status PosixDisk::SyncDirectory(const std::string& path) {
  const std::string full = FullPath(path);
  const int fd = Retry([&] { return ::open(full.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return Failure(full, "cannot open the directory", errno);
  const Descriptor directory(fd);
  if (Retry([&] { return ::fsync(fd); }) != 0) return Failure(full, "cannot sync the directory", errno);
  return Status::Ok();
}

void PosixDisk::InBackground(std::function<Status()> work, std::function<void(Status)> done) {
  background_thread_.Add([&executor = executor_, work = std::move(work), done = std::move(done)]() mutable {
    executor.Post([done = std::move(done), status = work()] { done(status); });
  });
}

Status PosixDisk::Lock(const std::string& path) {
  const std::lock_guard<std::mutex> guard(locks_mutex_);
  if (locks_.contains(path)) return Status::Ok();
  const std::string full = FullPath(path);
  const int fd = Retry([&] { return ::open(full.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode); });
  if (fd < 0) return Failure(full, "cannot open", errno);
  auto file = std::make_shared<Descriptor>(fd);
  if (Retry([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return Failure(full, "cannot lock", errno);
    return Status::FailedPrecondition(full + ": " + HolderOf(fd) +
                                      " uses this directory: stop it, or use another data directory");
  }
  // For the message above only: the lock is the flock, so a stale number does no harm, nor does none on a full disk.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0) return Failure(full, "cannot truncate", errno);
  const Status noted = WriteFully(fd, full, 0, pid);
  if (!noted.ok() && noted.code() != StatusCode::kResourceExhausted) return noted;
  locks_[path] = std::move(file);
  return Status::Ok();
}

}  // namespace quorate::env
