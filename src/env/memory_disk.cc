#include "env/memory_disk.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <variant>

namespace quorate::env {
namespace {

// splitmix64 (Steele, Lea, Flood 2014): small, seedable, the same everywhere.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t UpTo(std::uint64_t most) { return Next() % (most + 1); }
  bool Coin() { return (Next() & 1) != 0; }

 private:
  std::uint64_t state_;
};

// A file's bytes; those from bytes.size() to `size` are zeros that take no memory.
struct Image {
  std::string bytes;
  std::uint64_t size = 0;

  void Write(std::uint64_t offset, std::string_view data) {
    if (data.empty()) return;
    if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size());
    bytes.replace(offset, data.size(), data);
    size = std::max<std::uint64_t>(size, bytes.size());
  }
  void Resize(std::uint64_t to) {
    if (bytes.size() > to) bytes.resize(to);
    size = to;
  }
  std::string Read(std::uint64_t offset, std::uint64_t length) const {
    if (offset >= size) return {};
    length = std::min(length, size - offset);
    std::string out = offset < bytes.size() ? bytes.substr(offset, length) : std::string();
    out.resize(length);
    return out;
  }
};

struct DataChange {
  std::uint64_t offset = 0;
  std::string data;
};
struct SizeChange {
  std::uint64_t size = 0;
};
using Change = std::variant<DataChange, SizeChange>;

void ApplyTo(Image& image, const Change& change) {
  if (const auto* data = std::get_if<DataChange>(&change)) {
    image.Write(data->offset, data->data);
  } else {
    image.Resize(std::get<SizeChange>(change).size);
  }
}

struct Inode {
  std::string path;  // follows renames; for faults and the journal
  Image live;
  Image durable;
  std::vector<Change> unsynced;

  void Apply(Change change) {
    ApplyTo(live, change);
    unsynced.push_back(std::move(change));
  }
  void MakeDurable() {
    for (const Change& change : unsynced) ApplyTo(durable, change);
    unsynced.clear();
  }
};

using Names = std::map<std::string, std::shared_ptr<Inode>>;  // a directory has no inode

// A change of one name; `inode` empty: the name goes away (unless it is a directory's).
struct NameChange {
  std::string directory;  // whose sync makes it durable
  std::string name;
  std::shared_ptr<Inode> inode;
  bool is_directory = false;
};

void ApplyTo(Names& names, const NameChange& change) {
  if (change.inode != nullptr || change.is_directory) {
    names[change.name] = change.inode;
  } else {
    names.erase(change.name);
  }
}

std::string Normal(const std::string& path) {
  if (path.empty() || path == "." || path == "/") return "";
  return path.back() == '/' ? path.substr(0, path.size() - 1) : path;
}
std::string ParentOf(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

struct Fault {
  std::uint64_t count = 0;
  Status status;
};

}  // namespace

struct MemoryDisk::State {
  State(Executor& e, std::uint64_t seed) : executor(e), generator(seed) {}

  Executor& executor;
  Generator generator;
  std::uint64_t epoch = 0;  // of this power-on; files and completions of an earlier one are dead
  std::uint64_t operations_left = 0;
  bool stopped = false;
  bool sync_lies = false;
  bool journal_on = false;
  Names live;
  Names durable;
  std::vector<std::vector<NameChange>> unsynced_names;  // each inner vector is one operation: all or nothing
  std::map<std::string, Fault> write_faults;
  std::map<std::string, Fault> sync_faults;
  std::map<DiskOp, Fault> operation_faults;  // count: operations left until then
  std::uint64_t capacity = 0;
  std::function<std::uint64_t(const std::string&, std::uint64_t)> latency;
  std::deque<std::function<void()>> background;
  std::vector<DiskRecord> journal;
  DiskCounters counters;

  // True when the power goes out during this operation.
  bool Enter(DiskRecord record) {
    ++counters.operations;
    if (journal_on) journal.push_back(std::move(record));
    if (operations_left > 0 && --operations_left == 0) stopped = true;
    return stopped;
  }
  static Status Down() { return Status::Unavailable("the disk is without power"); }

  bool IsDirectory(const std::string& path) const {
    if (path.empty()) return true;
    const auto found = live.find(path);
    return found != live.end() && found->second == nullptr;
  }
  std::shared_ptr<Inode> Find(const std::string& path) const {
    const auto found = live.find(path);
    return found == live.end() ? nullptr : found->second;
  }
  void Change(std::vector<NameChange> operation) {
    for (const NameChange& change : operation) ApplyTo(live, change);
    unsynced_names.push_back(std::move(operation));
  }
  static Status Take(std::map<std::string, Fault>& faults, const std::string& path) {
    const auto found = faults.find(path);
    if (found == faults.end() || found->second.count == 0) return Status::Ok();
    --found->second.count;
    return found->second.status;
  }

  Status TakeOperationFault(DiskOp kind) {
    const auto found = operation_faults.find(kind);
    if (found == operation_faults.end() || --found->second.count > 0) return Status::Ok();
    Status status = std::move(found->second.status);
    operation_faults.erase(found);
    return status;
  }
  std::uint64_t Used() const {
    std::uint64_t bytes = 0;
    for (const auto& [name, inode] : live) bytes += kNameBytes + (inode != nullptr ? inode->live.size : 0);
    return bytes;
  }
  std::uint64_t Room() const {
    if (capacity == 0) return UINT64_MAX;
    const std::uint64_t now = Used();
    return now < capacity ? capacity - now : 0;
  }
  static Status Full(const std::string& path) { return Status::ResourceExhausted(path + ": No space left on device"); }
  // Whether a new name may be made.
  Status Admit(DiskOp kind, const std::string& path) {
    RETURN_IF_ERROR(TakeOperationFault(kind));
    return Room() < kNameBytes ? Full(path) : Status::Ok();
  }

  Status Write(Inode& inode, std::uint64_t offset, std::string_view data);
  Status Sync(Inode& inode);
  void CrashData(Inode& inode, Survival survival);
  void CrashNames(Survival survival);
};

Status MemoryDisk::State::Write(Inode& inode, std::uint64_t offset, std::string_view data) {
  if (stopped) return Down();
  if (Status fault = Take(write_faults, inode.path); !fault.ok()) return fault;
  RETURN_IF_ERROR(TakeOperationFault(DiskOp::kWrite));
  const std::uint64_t end = offset + data.size();
  const std::uint64_t growth = end > inode.live.size ? end - inode.live.size : 0;
  const std::uint64_t missing = capacity == 0 ? 0 : growth - std::min(growth, Room());
  data = data.substr(0, data.size() - std::min<std::uint64_t>(missing, data.size()));
  const bool power_goes = Enter({DiskOp::kWrite, inode.path, "", offset, data.size()});
  if (!data.empty()) inode.Apply(DataChange{offset, std::string(data)});
  counters.bytes_written += data.size();
  if (power_goes) return Down();
  return missing > 0 ? Full(inode.path) : Status::Ok();
}

Status MemoryDisk::State::Sync(Inode& inode) {
  if (stopped) return Down();
  if (Status fault = Take(sync_faults, inode.path); !fault.ok()) {
    inode.unsynced.clear();  // the live image keeps them, and no later sync will write them
    return fault;
  }
  RETURN_IF_ERROR(TakeOperationFault(DiskOp::kSync));
  if (Enter({DiskOp::kSync, inode.path, "", 0, 0})) return Down();
  ++counters.syncs;
  if (!sync_lies) inode.MakeDurable();
  return Status::Ok();
}

void MemoryDisk::State::CrashData(Inode& inode, Survival survival) {
  switch (survival) {
    case Survival::kNothing:
      break;
    case Survival::kEverything:
      inode.MakeDurable();
      break;
    case Survival::kPrefix: {
      const std::uint64_t whole = generator.UpTo(inode.unsynced.size());
      for (std::uint64_t i = 0; i < whole; ++i) ApplyTo(inode.durable, inode.unsynced[i]);
      if (whole == inode.unsynced.size()) break;
      if (const auto* data = std::get_if<DataChange>(&inode.unsynced[whole])) {
        inode.durable.Write(data->offset, std::string_view(data->data).substr(0, generator.UpTo(data->data.size())));
      }
      break;
    }
    case Survival::kTornSectors:
      for (const env::Change& change : inode.unsynced) {
        const auto* data = std::get_if<DataChange>(&change);
        if (data == nullptr) {
          if (generator.Coin()) ApplyTo(inode.durable, change);
          continue;
        }
        for (std::uint64_t at = 0; at < data->data.size();) {
          const std::uint64_t length = kSectorBytes - (data->offset + at) % kSectorBytes;
          if (generator.Coin()) {
            inode.durable.Write(data->offset + at, std::string_view(data->data).substr(at, length));
          }
          at += length;
        }
      }
      break;
  }
  inode.unsynced.clear();
  inode.live = inode.durable;
}

void MemoryDisk::State::CrashNames(Survival survival) {
  // A journalling file system keeps the order of directory changes, so the choice is where it stopped.
  std::uint64_t kept = 0;
  if (survival == Survival::kEverything) kept = unsynced_names.size();
  if (survival == Survival::kPrefix || survival == Survival::kTornSectors) {
    kept = generator.UpTo(unsynced_names.size());
  }
  for (std::uint64_t i = 0; i < kept; ++i) {
    for (const NameChange& change : unsynced_names[i]) ApplyTo(durable, change);
  }
  unsynced_names.clear();
  live = durable;
  for (const auto& [name, inode] : live) {
    if (inode != nullptr) inode->path = name;
  }
}

class MemoryFile final : public File {
 public:
  MemoryFile(std::shared_ptr<MemoryDisk::State> disk, std::shared_ptr<Inode> inode)
      : disk_(std::move(disk)), inode_(std::move(inode)), epoch_(disk_->epoch) {}

  Result<std::uint64_t> Size() const override {
    if (Dead()) return MemoryDisk::State::Down();
    return inode_->live.size;
  }
  Result<std::string> Read(std::uint64_t offset, std::uint64_t length) const override {
    if (Dead()) return MemoryDisk::State::Down();
    return inode_->live.Read(offset, length);
  }
  Status Write(std::uint64_t offset, std::string_view data) override {
    if (Dead()) return MemoryDisk::State::Down();
    return disk_->Write(*inode_, offset, data);
  }
  Status Sync() override {
    if (Dead()) return MemoryDisk::State::Down();
    return disk_->Sync(*inode_);
  }
  Status Truncate(std::uint64_t size) override { return Resize(DiskOp::kTruncate, size); }
  Status Preallocate(std::uint64_t size) override {
    if (Dead()) return MemoryDisk::State::Down();
    if (size <= inode_->live.size) return Status::Ok();
    return Resize(DiskOp::kPreallocate, size);
  }

  void WriteAndSync(std::uint64_t offset, std::string data, std::function<void(Status)> done) override {
    CHECK(!*in_flight_) << inode_->path << ": two WriteAndSync at once";
    if (Dead()) return;  // without power nothing completes
    *in_flight_ = true;
    const std::uint64_t delay = disk_->latency ? disk_->latency(inode_->path, data.size()) : 0;
    Status written = disk_->Write(*inode_, offset, data);
    auto complete = [disk = disk_, inode = inode_, epoch = epoch_, in_flight = in_flight_, written = std::move(written),
                     done = std::move(done)] {
      if (disk->epoch != epoch || disk->stopped) return;
      Status status = written.ok() ? disk->Sync(*inode) : written;
      if (disk->stopped) return;
      *in_flight = false;
      done(std::move(status));
    };
    if (delay == 0) {
      disk_->executor.Post(std::move(complete));
    } else {
      disk_->executor.After(delay, std::move(complete));
    }
  }

 private:
  bool Dead() const {
    CHECK(!*in_flight_ || disk_->epoch != epoch_ || disk_->stopped) << inode_->path << " is used during a WriteAndSync";
    return disk_->epoch != epoch_ || disk_->stopped;
  }
  Status Resize(DiskOp op, std::uint64_t size) {
    if (Dead()) return MemoryDisk::State::Down();
    RETURN_IF_ERROR(disk_->TakeOperationFault(op));
    if (size > inode_->live.size && size - inode_->live.size > disk_->Room()) {
      return MemoryDisk::State::Full(inode_->path);
    }
    const bool power_goes = disk_->Enter({op, inode_->path, "", size, 0});
    inode_->Apply(SizeChange{size});
    return power_goes ? MemoryDisk::State::Down() : Status::Ok();
  }

  std::shared_ptr<MemoryDisk::State> disk_;
  std::shared_ptr<Inode> inode_;
  std::uint64_t epoch_;
  std::shared_ptr<bool> in_flight_ = std::make_shared<bool>(false);
};

MemoryDisk::MemoryDisk(Executor& executor, std::uint64_t seed) : state_(std::make_shared<State>(executor, seed)) {}

MemoryDisk::~MemoryDisk() {
  ++state_->epoch;  // outstanding completions keep the state alive, but must not call anybody
  state_->background.clear();
}

Result<std::vector<std::string>> MemoryDisk::List(const std::string& directory) const {
  const std::string path = Normal(directory);
  if (state_->stopped) return State::Down();
  if (!state_->IsDirectory(path)) return Status::NotFound(path + ": no such directory");
  std::vector<std::string> names;
  for (const auto& [name, inode] : state_->live) {
    if (ParentOf(name) == path) names.push_back(path.empty() ? name : name.substr(path.size() + 1));
  }
  return names;
}

Result<std::unique_ptr<File>> MemoryDisk::Open(const std::string& path) {
  if (state_->stopped) return State::Down();
  std::shared_ptr<Inode> inode = state_->Find(path);
  if (inode == nullptr) return Status::NotFound(path + ": no such file");
  return std::unique_ptr<File>(std::make_unique<MemoryFile>(state_, std::move(inode)));
}

Result<std::unique_ptr<File>> MemoryDisk::Create(const std::string& path) {
  if (state_->stopped) return State::Down();
  if (state_->live.contains(path)) return Status{StatusCode::kAlreadyExists, path + ": the file exists"};
  if (!state_->IsDirectory(ParentOf(path))) return Status::NotFound(path + ": no such directory");
  RETURN_IF_ERROR(state_->Admit(DiskOp::kCreate, path));
  const bool power_goes = state_->Enter({DiskOp::kCreate, path, "", 0, 0});
  auto inode = std::make_shared<Inode>();
  inode->path = path;
  state_->Change({{ParentOf(path), path, inode}});
  if (power_goes) return State::Down();
  return std::unique_ptr<File>(std::make_unique<MemoryFile>(state_, std::move(inode)));
}

bool MemoryDisk::Exists(const std::string& path) const {
  const std::string normal = Normal(path);
  return normal.empty() || state_->live.contains(normal);
}

Status MemoryDisk::Rename(const std::string& from, const std::string& to) {
  if (state_->stopped) return State::Down();
  std::shared_ptr<Inode> inode = state_->Find(from);
  if (inode == nullptr) return Status::NotFound(from + ": no such file");
  if (!state_->IsDirectory(ParentOf(to))) return Status::NotFound(to + ": no such directory");
  RETURN_IF_ERROR(state_->TakeOperationFault(DiskOp::kRename));
  const bool power_goes = state_->Enter({DiskOp::kRename, from, to, 0, 0});
  inode->path = to;
  state_->Change({{ParentOf(from), from, nullptr}, {ParentOf(to), to, std::move(inode)}});
  return power_goes ? State::Down() : Status::Ok();
}

Status MemoryDisk::Remove(const std::string& path) {
  if (state_->stopped) return State::Down();
  if (state_->Find(path) == nullptr) return Status::NotFound(path + ": no such file");
  RETURN_IF_ERROR(state_->TakeOperationFault(DiskOp::kRemove));
  const bool power_goes = state_->Enter({DiskOp::kRemove, path, "", 0, 0});
  state_->Change({{ParentOf(path), path, nullptr}});
  return power_goes ? State::Down() : Status::Ok();
}

Status MemoryDisk::CreateDirectory(const std::string& directory) {
  const std::string path = Normal(directory);
  if (state_->stopped) return State::Down();
  if (state_->IsDirectory(path)) return Status::Ok();
  if (state_->live.contains(path)) return Status{StatusCode::kAlreadyExists, path + ": the file exists"};
  if (!state_->IsDirectory(ParentOf(path))) return Status::NotFound(path + ": no such directory");
  RETURN_IF_ERROR(state_->Admit(DiskOp::kCreateDirectory, path));
  const bool power_goes = state_->Enter({DiskOp::kCreateDirectory, path, "", 0, 0});
  state_->Change({{ParentOf(path), path, nullptr, true}});
  return power_goes ? State::Down() : Status::Ok();
}

Status MemoryDisk::SyncDirectory(const std::string& directory) {
  const std::string path = Normal(directory);
  if (state_->stopped) return State::Down();
  if (!state_->IsDirectory(path)) return Status::NotFound(path + ": no such directory");
  RETURN_IF_ERROR(state_->TakeOperationFault(DiskOp::kSyncDirectory));
  if (state_->Enter({DiskOp::kSyncDirectory, path, "", 0, 0})) return State::Down();
  ++state_->counters.syncs;
  if (state_->sync_lies) return Status::Ok();
  // An operation that touches this directory goes to disk as a whole, and so does everything ordered before it.
  std::size_t upto = 0;
  for (std::size_t i = 0; i < state_->unsynced_names.size(); ++i) {
    for (const NameChange& change : state_->unsynced_names[i]) {
      if (change.directory == path) upto = i + 1;
    }
  }
  for (std::size_t i = 0; i < upto; ++i) {
    for (const NameChange& change : state_->unsynced_names[i]) ApplyTo(state_->durable, change);
  }
  state_->unsynced_names.erase(state_->unsynced_names.begin(),
                               state_->unsynced_names.begin() + static_cast<std::ptrdiff_t>(upto));
  return Status::Ok();
}

void MemoryDisk::InBackground(std::function<Status()> work, std::function<void(Status)> done) {
  auto run = [state = state_, work = std::move(work), done = std::move(done)] {
    if (state->stopped) return;
    Status status = work();
    if (!state->stopped) done(std::move(status));
  };
  // In order: a work never overtakes an earlier one, however the delays are drawn.
  const std::uint64_t delay = state_->latency ? state_->latency("", 0) : 0;
  state_->background.push_back(std::move(run));
  auto next = [state = state_, epoch = state_->epoch] {
    if (state->epoch != epoch) return;
    const std::function<void()> first = std::move(state->background.front());
    state->background.pop_front();
    first();
  };
  if (delay == 0) {
    state_->executor.Post(std::move(next));
  } else {
    state_->executor.After(delay, std::move(next));
  }
}

Status MemoryDisk::Lock(const std::string&) {
  return state_->stopped ? State::Down() : Status::Ok();  // one process, one owner
}

void MemoryDisk::Crash(Survival survival) {
  ++state_->epoch;
  state_->background.clear();
  state_->stopped = false;
  state_->operations_left = 0;
  std::set<Inode*> seen;
  for (const Names* names : {&state_->live, &state_->durable}) {
    for (const auto& [name, inode] : *names) {
      if (inode != nullptr && seen.insert(inode.get()).second) state_->CrashData(*inode, survival);
    }
  }
  state_->CrashNames(survival);
}

void MemoryDisk::StopAfter(std::uint64_t operations) {
  state_->operations_left = operations;
}
bool MemoryDisk::stopped() const {
  return state_->stopped;
}
void MemoryDisk::SetLatency(std::function<std::uint64_t(const std::string&, std::uint64_t)> delay_ns) {
  state_->latency = std::move(delay_ns);
}
void MemoryDisk::FailWrites(const std::string& path, std::uint64_t count, Status status) {
  state_->write_faults[path] = {count, std::move(status)};
}
void MemoryDisk::FailSyncs(const std::string& path, std::uint64_t count, Status status) {
  state_->sync_faults[path] = {count, std::move(status)};
}
void MemoryDisk::FailOperation(DiskOp kind, std::uint64_t n, Status status) {
  state_->operation_faults[kind] = {n, std::move(status)};
}
void MemoryDisk::SetCapacity(std::uint64_t bytes) {
  state_->capacity = bytes;
}
std::uint64_t MemoryDisk::used() const {
  return state_->Used();
}
void MemoryDisk::SetSyncLies(bool lies) {
  state_->sync_lies = lies;
}

void MemoryDisk::FlipBit(const std::string& path, std::uint64_t offset, unsigned bit) {
  const std::shared_ptr<Inode> inode = state_->Find(path);
  CHECK(inode != nullptr && offset < inode->live.size) << path << " has no byte " << offset;
  for (Image* image : {&inode->live, &inode->durable}) {
    if (offset >= image->size) continue;
    std::string byte = image->Read(offset, 1);
    byte[0] = static_cast<char>(byte[0] ^ (1u << (bit % 8)));
    image->Write(offset, byte);
  }
}

void MemoryDisk::Corrupt(const std::string& path, std::uint64_t offset, std::uint64_t length) {
  const std::shared_ptr<Inode> inode = state_->Find(path);
  CHECK(inode != nullptr && offset + length <= inode->live.size) << path << " has no byte " << offset + length;
  std::string garbage(length, '\0');
  for (char& c : garbage) c = static_cast<char>(state_->generator.Next());
  for (Image* image : {&inode->live, &inode->durable}) {
    if (offset >= image->size) continue;
    image->Write(offset, std::string_view(garbage).substr(0, image->size - offset));
  }
}

void MemoryDisk::Install(const std::string& path, std::string content) {
  auto inode = std::make_shared<Inode>();
  inode->path = path;
  inode->live.Write(0, content);
  inode->durable.Write(0, content);
  for (Names* names : {&state_->live, &state_->durable}) {
    for (std::string parent = ParentOf(path); !parent.empty(); parent = ParentOf(parent)) (*names)[parent] = nullptr;
    (*names)[path] = inode;
  }
}

std::string MemoryDisk::Content(const std::string& path) const {
  const std::shared_ptr<Inode> inode = state_->Find(path);
  return inode == nullptr ? std::string() : inode->live.Read(0, inode->live.size);
}

void MemoryDisk::SetJournal(bool on) {
  state_->journal_on = on;
}
void MemoryDisk::Note(std::string text) {
  if (state_->journal_on) state_->journal.push_back({DiskOp::kNote, std::move(text), "", 0, 0});
}
const std::vector<DiskRecord>& MemoryDisk::journal() const {
  return state_->journal;
}
const DiskCounters& MemoryDisk::counters() const {
  return state_->counters;
}

}  // namespace quorate::env
