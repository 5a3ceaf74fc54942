// Table: columns for people, as wide as their widest cell. Thread rule: one owner.
#pragma once

#include <string>
#include <vector>

namespace quorate::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace quorate::cli
