#include "coord/snapshot.h"

#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "store/state_hash.h"

namespace quorate::coord {
namespace {

using replica::SnapshotRow;
using store::Table;

constexpr std::size_t kRowOverheadBytes = 16;

std::uint64_t ValueSum(std::string_view key, std::uint64_t size, std::uint32_t crc) {
  Writer w;
  w.Put64(size);
  w.Put32(crc);
  return store::RecordHash(Table::kValue, key, w.str());
}

bool LeftOut(Table table) {
  return QUORATE_BUG(store_snapshot_without_leases) && (table == Table::kSession || table == Table::kSessionKey);
}

// The rows after (after_table, after_key).
Status ReadRows(store::ImageReader& reader, std::uint8_t after_table, const std::string& after_key,
                std::size_t bytes_max, std::vector<SnapshotRow>* rows) {
  if (after_table == 0 && after_key.empty()) {
    rows->push_back({0, std::string(store::LocalState::kKey), Bytes(reader.image().local.Encode())});
    return {};
  }
  std::size_t bytes = 0;
  for (const Table table : store::kReplicatedTables) {
    const auto number = static_cast<std::uint8_t>(table);
    if (number < after_table || LeftOut(table)) continue;
    const std::string begin = number == after_table ? after_key + '\0' : std::string();
    RETURN_IF_ERROR(reader.Scan(table, begin, {}, [&](std::string_view key, std::string_view value) {
      rows->push_back({number, std::string(key), Bytes::Copy(value)});
      bytes += key.size() + value.size() + kRowOverheadBytes;
      return bytes < bytes_max;
    }));
    if (bytes >= bytes_max) break;
  }
  return {};
}

}  // namespace

ImageSource::ImageSource(store::Engine& engine, store::Image image, Revision revision, std::uint64_t size_bytes)
    : engine_(engine),
      reader_(std::make_shared<store::ImageReader>(std::move(image))),
      revision_(revision),
      size_bytes_(size_bytes) {}

void ImageSource::Read(std::uint8_t table, std::string key, std::size_t bytes_max,
                       std::function<void(Result<std::vector<SnapshotRow>>)> done) {
  auto rows = std::make_shared<std::vector<SnapshotRow>>();
  engine_.Read(
      reader_->image().view,
      [reader = reader_, table, key = std::move(key), bytes_max, rows](const store::EngineView&) {
        rows->clear();
        return ReadRows(*reader, table, key, bytes_max, rows.get());
      },
      [rows, done = std::move(done)](const Status& status) {
        if (!status.ok()) return done(status);
        done(std::move(*rows));
      });
}

InstallSink::InstallSink(store::WriteBuffer& old, LogIndex last, Flip flip)
    : old_(&old), engine_(old.engine()), last_(last), flip_(std::move(flip)) {}

InstallSink::~InstallSink() {
  if (old_ != nullptr) old_->Resume();
}

Status InstallSink::Check(const SnapshotRow& row) {
  const auto table = static_cast<Table>(row.table);
  const std::string_view value = row.value.view();
  if (table == Table::kLocal) {
    const std::optional<store::LocalState> local = store::LocalState::Decode(value);
    if (!local) return Status::DataLoss("the snapshot's bookkeeping is damaged or of a newer format");
    local_ = *local;
    return {};
  }
  if (table == Table::kValue) {
    values_received_ += ValueSum(row.key, value.size(), Crc32c(value));
    return {};
  }
  hash_ += store::RecordHash(table, row.key, value);
  if (table != Table::kKv) return {};
  const std::optional<store::RecordRow> record = store::DecodeRow(value);
  if (!record || row.key.size() != store::kRecordKeySize) {
    return Status::DataLoss("a record of the snapshot is damaged or of a newer format");
  }
  ++records_;
  if (record->apart) values_wanted_ += ValueSum(row.key, record->value_size, record->value_crc);
  return {};
}

void InstallSink::Add(std::vector<SnapshotRow> rows, std::function<void(Status)> done) {
  std::vector<store::TableWrite> writes;
  writes.reserve(rows.size());
  for (SnapshotRow& row : rows) {
    if (Status checked = Check(row); !checked.ok()) {
      engine_.executor().Post([done = std::move(done), checked] { done(checked); });
      return;
    }
    if (row.table != static_cast<std::uint8_t>(Table::kLocal)) {
      writes.push_back({static_cast<Table>(row.table), std::move(row.key), std::move(row.value)});
    }
  }
  AddNow(std::move(writes), std::move(done));
}

void InstallSink::AddNow(std::vector<store::TableWrite> rows, std::function<void(Status)> done) {
  if (install_ != nullptr) return install_->Add(std::move(rows), std::move(done));
  auto shared = std::make_shared<std::vector<store::TableWrite>>(std::move(rows));
  old_->Stop([this, shared, done = std::move(done), alive = std::weak_ptr<const bool>(alive_)] {
    if (alive.expired()) return;
    install_ = engine_.BeginInstall(last_);
    install_->Add(std::move(*shared), done);
  });
}

Status InstallSink::CheckWhole(std::uint64_t state_hash) const {
  if (QUORATE_BUG(store_snapshot_without_leases)) return {};
  if (hash_ + local_.dropped_hash != state_hash || records_ != local_.records) {
    return Status::DataLoss("the snapshot's rows do not have its state hash: some are missing, or are others");
  }
  if (values_wanted_ != values_received_) {
    return Status::DataLoss("values of the snapshot are missing, or are not those that its records name");
  }
  return {};
}

void InstallSink::Finish(std::uint64_t state_hash, std::function<void(Status)> done) {
  const Status checked = install_ == nullptr ? Status::DataLoss("the snapshot is empty") : CheckWhole(state_hash);
  if (!checked.ok()) {
    engine_.executor().Post([done = std::move(done), checked] { done(checked); });
    return;
  }
  local_.hash = state_hash;  // a restored snapshot has other rows than the state that it was taken of
  std::vector<store::TableWrite> rows = {{Table::kLocal, std::string(store::LocalState::kKey), Bytes(local_.Encode())}};
  // From here on the engine may hold the new state: whoever ends this must not let the old one write.
  store::WriteBuffer* const old = std::exchange(old_, nullptr);
  install_->Finish(std::move(rows), [this, old, done = std::move(done),
                                     alive = std::weak_ptr<const bool>(alive_)](const Status& status) {
    if (alive.expired()) return;
    if (!status.ok()) {
      old_ = old;
      return done(status);
    }
    install_.reset();
    flip_(done);
  });
}

}  // namespace quorate::coord
