#include "server/replay_machine.h"

#include <optional>
#include <utility>

#include "store/engine_rocksdb/rocks_engine.h"

namespace quorate::server {
namespace {

using replica::SnapshotRow;

constexpr std::uint64_t kPatienceNs = 3'600'000'000'000;  // of one step: a disk may be slow
constexpr std::size_t kReadBytes = 256 << 10;

constexpr std::uint64_t kMemoryBytes = 512 << 20;

class ReplayMachineImpl final : public ReplayMachine {
 public:
  Status OpenIn(const std::string& directory) {
    store::RocksOptions rocks;
    rocks.directory = directory;
    Result<std::unique_ptr<store::RocksEngine>> engine = store::RocksEngine::Open(std::move(rocks), executor_);
    if (!engine.ok()) return engine.status();
    engine_ = *std::move(engine);
    coord::MachineOptions options;
    options.memory_bytes = kMemoryBytes;
    Result<std::unique_ptr<coord::Machine>> machine = coord::Machine::Open(std::move(options), *engine_);
    if (!machine.ok()) return machine.status();
    machine_ = *std::move(machine);
    return Status::Ok();
  }

  Status Install(LogIndex last, std::uint64_t state_hash,
                 const std::function<Result<std::vector<SnapshotRow>>()>& read) override {
    const std::unique_ptr<replica::SnapshotSink> sink = machine_->BeginInstall(last);
    if (sink == nullptr) return Status::Internal("the state machine takes no snapshot");
    for (;;) {
      Result<std::vector<SnapshotRow>> rows = read();
      if (!rows.ok()) return rows.status();
      if (rows->empty()) break;
      RETURN_IF_ERROR(Await([&](auto done) { sink->Add(*std::move(rows), std::move(done)); }));
    }
    return Await([&](auto done) { sink->Finish(state_hash, std::move(done)); });
  }

  Status Apply(const consensus::Entry& entry) override {
    bool ready = false;
    while (!machine_->Prepare(entry, [&ready] { ready = true; })) {
      if (!executor_.RunUntil([&ready] { return ready; }, kPatienceNs)) return TooSlow();
      ready = false;
    }
    machine_->Apply(entry);
    return Status::Ok();
  }

  Status Walk(const std::function<Status(std::vector<SnapshotRow>)>& visit) override {
    const std::shared_ptr<replica::SnapshotSource> source = machine_->OpenSnapshot();
    if (source == nullptr) return Status::Internal("the state machine gives no snapshot");
    std::uint8_t table = 0;
    std::string key;
    for (;;) {
      std::vector<SnapshotRow> rows;
      RETURN_IF_ERROR(Await([&](auto done) {
        source->Read(table, key, kReadBytes, [&rows, done](Result<std::vector<SnapshotRow>> read) {
          const Status status = read.status();
          if (read.ok()) rows = *std::move(read);
          done(status);
        });
      }));
      if (rows.empty()) return Status::Ok();
      table = rows.back().table;
      key = rows.back().key;
      RETURN_IF_ERROR(visit(std::move(rows)));
    }
  }

  coord::Machine& machine() override { return *machine_; }

 private:
  static Status TooSlow() { return Status::Internal("the state machine does not answer"); }

  // Runs the loop until what `begin` started is done.
  template <class Begin>
  Status Await(Begin begin) {
    std::optional<Status> status;
    begin(std::function<void(Status)>([&status](Status ended) { status = std::move(ended); }));
    if (!executor_.RunUntil([&status] { return status.has_value(); }, kPatienceNs)) return TooSlow();
    return *status;
  }

  env::AsioExecutor executor_;
  std::unique_ptr<store::Engine> engine_;
  std::unique_ptr<coord::Machine> machine_;
};

}  // namespace

Result<std::unique_ptr<ReplayMachine>> ReplayMachine::Open(const std::string& directory) {
  auto machine = std::make_unique<ReplayMachineImpl>();
  RETURN_IF_ERROR(machine->OpenIn(directory));
  return std::unique_ptr<ReplayMachine>(std::move(machine));
}

}  // namespace quorate::server
