// StateTable: which states were visited, and the event by which each was first reached. A state is known by a hash of
// 64 bits: of n states, some two share one with a probability below n * n / 2^65 (a few millionths for ten million).
// Used by explore::Explorer. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quorate::sim::explore {

class StateTable {
 public:
  StateTable() : slots_(1 << 16) {}

  // False: it is there already. States get the numbers 0, 1, 2, ... in the order in which they are added.
  bool Add(std::uint64_t hash, std::uint32_t parent, std::uint16_t event) {
    if (hash == 0) hash = 1;  // 0 marks a free slot
    if (2 * nodes_.size() >= slots_.size()) Grow();
    std::size_t at = hash & (slots_.size() - 1);
    for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at] == hash) return false;
    }
    slots_[at] = hash;
    nodes_.push_back({parent, event});
    return true;
  }
  std::size_t size() const { return nodes_.size(); }
  std::uint32_t parent(std::uint32_t state) const { return nodes_[state].parent; }
  std::uint16_t event(std::uint32_t state) const { return nodes_[state].event; }

 private:
  struct Node {
    std::uint32_t parent;
    std::uint16_t event;
  };
  void Grow() {
    std::vector<std::uint64_t> old(slots_.size() * 2);
    old.swap(slots_);
    for (const std::uint64_t hash : old) {
      if (hash == 0) continue;
      std::size_t at = hash & (slots_.size() - 1);
      while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = hash;
    }
  }

  std::vector<std::uint64_t> slots_;
  std::vector<Node> nodes_;
};

}  // namespace quorate::sim::explore
