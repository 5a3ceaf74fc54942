#include "coord/tables.h"

#include <utility>

namespace quorate::coord {

std::optional<Bytes> Tables::Get(store::Table table, std::string_view key) {
  Result<std::optional<Bytes>> value = view_->Get(table, key);
  if (value.ok()) return *std::move(value);
  status_ = value.status();
  return std::nullopt;
}

void Tables::Scan(store::Table table, const std::function<void(std::string_view, std::string_view)>& visit) {
  const Status status = view_->Scan(table, {}, {}, [&](std::string_view key, std::string_view value) {
    visit(key, value);
    return true;
  });
  if (!status.ok()) status_ = status;
}

Status Tables::Opened() {
  view_.reset();
  return status_;
}

}  // namespace quorate::coord
