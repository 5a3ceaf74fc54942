// The machine's end of snapshots: an image of its tables as a source of rows, and a sink that makes rows the new state.
//
// Made by Machine. Thread rule: the executor's thread; rows are read and written in the engine's pool.
//
// The rows are all replicated tables, in order, preceded by the row of kLocal with the source's bookkeeping: with it
// the sink can check that the rows have the state hash. Every value is checked against the checksum in its record.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coord/state.h"
#include "replica/state_machine.h"
#include "store/image_reader.h"

namespace quorate::coord {

class ImageSource final : public replica::SnapshotSource {
 public:
  ImageSource(store::Engine& engine, store::Image image, Revision revision, std::uint64_t size_bytes);

  LogIndex applied() const override { return reader_->image().applied; }
  Revision revision() const override { return revision_; }
  std::uint64_t state_hash() const override { return reader_->image().local.hash; }
  std::uint64_t size_estimate_bytes() const override { return size_bytes_; }
  void Read(std::uint8_t table, std::string key, std::size_t bytes_max,
            std::function<void(Result<std::vector<replica::SnapshotRow>>)> done) override;

 private:
  store::Engine& engine_;
  std::shared_ptr<store::ImageReader> reader_;
  const Revision revision_;
  const std::uint64_t size_bytes_;
};

class InstallSink final : public replica::SnapshotSink {
 public:
  // `flip` puts the new state in the old one's place, once the engine has; it may fail to open, and it takes its time.
  using Flip = std::function<void(std::function<void(Status)> done)>;
  InstallSink(store::WriteBuffer& old, LogIndex last, Flip flip);
  ~InstallSink() override;

  void Add(std::vector<replica::SnapshotRow> rows, std::function<void(Status)> done) override;
  void Finish(std::uint64_t state_hash, std::function<void(Status)> done) override;

 private:
  Status Check(const replica::SnapshotRow& row);
  Status CheckWhole(std::uint64_t state_hash) const;
  void AddNow(std::vector<store::TableWrite> rows, std::function<void(Status)> done);

  store::WriteBuffer* old_;
  store::Engine& engine_;
  const LogIndex last_;
  Flip flip_;
  std::unique_ptr<store::EngineInstall> install_;  // begun with the first rows, when nothing else is written
  store::LocalState local_;
  std::uint64_t hash_ = 0;             // of the rows so far
  std::uint64_t values_wanted_ = 0;    // sum over the values that records name
  std::uint64_t values_received_ = 0;  // sum over the values that came
  std::uint64_t records_ = 0;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace quorate::coord
