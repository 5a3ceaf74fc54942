#include "store/image_reader.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace quorate::store {
namespace {

bool Before(const TableWrite& a, const TableWrite& b) {
  return std::tie(a.table, a.key) < std::tie(b.table, b.key);
}

}  // namespace

const ImageReader::Above& ImageReader::above() {
  if (above_) return *above_;
  Above above;
  for (const auto& batch : image_.above) {
    EngineBatch built = batch->Build();
    above.writes.insert(above.writes.end(), std::make_move_iterator(built.writes.begin()),
                        std::make_move_iterator(built.writes.end()));
    above.erased.insert(above.erased.end(), std::make_move_iterator(built.erased.begin()),
                        std::make_move_iterator(built.erased.end()));
  }
  // Of writes to one place the last one counts; a stable sort leaves them in their order.
  std::stable_sort(above.writes.begin(), above.writes.end(), Before);
  std::vector<TableWrite> last;
  for (TableWrite& write : above.writes) {
    if (!last.empty() && !Before(last.back(), write)) last.pop_back();
    last.push_back(std::move(write));
  }
  above.writes = std::move(last);
  above_ = std::move(above);
  return *above_;
}

bool ImageReader::Erased(Table table, std::string_view key) const {
  return std::any_of(above_->erased.begin(), above_->erased.end(), [&](const TableRange& range) {
    return range.table == table && range.begin <= key && key < range.end;
  });
}

Status ImageReader::Scan(Table table, std::string_view begin, std::string_view end,
                         const std::function<bool(std::string_view, std::string_view)>& visit) {
  const std::vector<TableWrite>& writes = above().writes;
  auto next = std::lower_bound(writes.begin(), writes.end(), std::pair(table, begin),
                               [](const TableWrite& write, const auto& place) {
                                 return std::pair(write.table, std::string_view(write.key)) < place;
                               });
  const auto more = [&] { return next != writes.end() && next->table == table && (end.empty() || next->key < end); };
  bool stopped = false;
  // Visits what lies above, up to `key` or, without one, to the end; true if it also has `key` itself.
  const auto above_until = [&](const std::string_view* key) {
    while (!stopped && more() && (key == nullptr || next->key <= *key)) {
      const bool same = key != nullptr && next->key == *key;
      if (next->value && !visit(next->key, next->value->view())) stopped = true;
      ++next;
      if (same) return true;
    }
    return false;
  };
  const Status status = image_.view->Scan(table, begin, end, [&](std::string_view key, std::string_view value) {
    if (above_until(&key) || stopped || Erased(table, key)) return !stopped;
    stopped = !visit(key, value);
    return !stopped;
  });
  if (status.ok()) above_until(nullptr);
  return status;
}

}  // namespace quorate::store
