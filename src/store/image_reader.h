// ImageReader: the tables of a pinned Image, the engine's view and what lies above it merged.
//
// Used by snapshots, by the hash of the keyspace and by tests. Thread rule: any thread, one call at a time; it blocks.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "store/write_buffer.h"

namespace quorate::store {

class ImageReader {
 public:
  explicit ImageReader(Image image) : image_(std::move(image)) {}

  const Image& image() const { return image_; }
  // As EngineView::Scan.
  Status Scan(Table table, std::string_view begin, std::string_view end,
              const std::function<bool(std::string_view key, std::string_view value)>& visit);

 private:
  // What lies above the view: per place the last word, and the ranges that are gone.
  struct Above {
    std::vector<TableWrite> writes;  // ascending, each place once
    std::vector<TableRange> erased;
  };

  const Above& above();
  bool Erased(Table table, std::string_view key) const;

  Image image_;
  std::optional<Above> above_;
};

}  // namespace quorate::store
