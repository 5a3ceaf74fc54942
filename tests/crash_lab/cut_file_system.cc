#include "cut_file_system.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

namespace quorate::crash_lab {
namespace {

using rocksdb::FSDirectory;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class CutWritable final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  CutWritable(std::unique_ptr<FSWritableFile> file, std::string path, PowerCut& cut)
      : FSWritableFileOwnerWrapper(std::move(file)), path_(std::move(path)), cut_(cut), tracked_(cut.Track(path_)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    cut_.Reach(path_, Step::kWrite);
    const auto hold = cut_.Hold();
    Note(data);
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& info,
                  IODebugContext* debug) override {
    cut_.Reach(path_, Step::kWrite);
    const auto hold = cut_.Hold();
    Note(data);
    return FSWritableFileOwnerWrapper::Append(data, options, info, debug);
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    const auto hold = cut_.Hold();
    cut_.NoteSize(*tracked_, size);
    return FSWritableFileOwnerWrapper::Truncate(size, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    cut_.Reach(path_, Step::kSync);
    const std::uint64_t now = cut_.Now();
    return Done(FSWritableFileOwnerWrapper::Sync(options, debug), now);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    cut_.Reach(path_, Step::kSync);
    const std::uint64_t now = cut_.Now();
    return Done(FSWritableFileOwnerWrapper::Fsync(options, debug), now);
  }

 private:
  void Note(const Slice& data) {
    cut_.NoteWrite(*tracked_, GetFileSize(IOOptions(), nullptr), std::string_view(data.data(), data.size()));
  }
  IOStatus Done(IOStatus status, std::uint64_t upto) {
    if (status.ok()) cut_.Synced(*tracked_, upto);
    cut_.Reach(path_, Step::kSynced);
    return status;
  }

  const std::string path_;
  PowerCut& cut_;
  std::shared_ptr<TrackedFile> tracked_;
};

class CutDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  CutDirectory(std::unique_ptr<FSDirectory> directory, std::string path, PowerCut& cut)
      : FSDirectoryWrapper(std::move(directory)), path_(std::move(path)), cut_(cut) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    const std::uint64_t now = Begin();
    return Done(FSDirectoryWrapper::Fsync(options, debug), now);
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& what) override {
    const std::uint64_t now = Begin();
    return Done(FSDirectoryWrapper::FsyncWithDirOptions(options, debug, what), now);
  }

 private:
  std::uint64_t Begin() {
    cut_.Reach(path_, Step::kDirectorySync);
    return cut_.Now();
  }
  IOStatus Done(IOStatus status, std::uint64_t upto) {
    if (status.ok()) cut_.DirectorySynced(path_, upto);
    return status;
  }

  const std::string path_;
  PowerCut& cut_;
};

class CutFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit CutFileSystem(PowerCut& cut) : FileSystemWrapper(rocksdb::FileSystem::Default()), cut_(cut) {}
  const char* Name() const override { return "CutFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<FSWritableFile>* out, IODebugContext* debug) override {
    cut_.Reach(path, Step::kCreate);
    std::unique_ptr<FSWritableFile> file;
    {
      const auto hold = cut_.Hold();
      if (::access(path.c_str(), F_OK) == 0) {  // it would be emptied: a new one takes its place
        cut_.NoteRemove(path);
        ::unlink(path.c_str());
      }
      IOStatus status = FileSystemWrapper::NewWritableFile(path, options, &file, debug);
      if (!status.ok()) return status;
      cut_.NoteCreate(path);
    }
    *out = std::make_unique<CutWritable>(std::move(file), path, cut_);
    return IOStatus::OK();
  }
  IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                              std::unique_ptr<FSWritableFile>* out, IODebugContext* debug) override {
    std::unique_ptr<FSWritableFile> file;
    IOStatus status = FileSystemWrapper::ReopenWritableFile(path, options, &file, debug);
    if (status.ok()) *out = std::make_unique<CutWritable>(std::move(file), path, cut_);
    return status;
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options, std::unique_ptr<FSDirectory>* out,
                        IODebugContext* debug) override {
    std::unique_ptr<FSDirectory> directory;
    IOStatus status = FileSystemWrapper::NewDirectory(path, options, &directory, debug);
    if (status.ok()) *out = std::make_unique<CutDirectory>(std::move(directory), path, cut_);
    return status;
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& options, IODebugContext* debug) override {
    cut_.Reach(path, Step::kRemove);
    const auto hold = cut_.Hold();
    cut_.NoteRemove(path);
    IOStatus status = FileSystemWrapper::DeleteFile(path, options, debug);
    if (!status.ok()) cut_.NotDone();
    return status;
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    cut_.Reach(to, Step::kRename);
    const auto hold = cut_.Hold();
    cut_.NoteRename(from, to);
    IOStatus status = FileSystemWrapper::RenameFile(from, to, options, debug);
    if (!status.ok()) cut_.NotDone();
    return status;
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* debug) override {
    cut_.Reach(to, Step::kLink);
    const auto hold = cut_.Hold();
    IOStatus status = FileSystemWrapper::LinkFile(from, to, options, debug);
    if (status.ok()) cut_.NoteCreate(to);
    return status;
  }

 private:
  PowerCut& cut_;
};

}  // namespace

std::unique_ptr<rocksdb::Env> MakeCutEnv(PowerCut& cut) {
  return rocksdb::NewCompositeEnv(std::make_shared<CutFileSystem>(cut));
}

}  // namespace quorate::crash_lab
