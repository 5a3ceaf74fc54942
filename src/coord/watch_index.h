// WatchIndex: from a key to the watches that cover it. Exact keys in an ordered map, ranges in an interval tree.
//
// Used by WatchHub. Thread rule: the owner's thread. A key with w covering watches among n distinct ranges costs
// O(w log n), however many watches there are in all. Does not own the watches.
//
// The interval tree is a treap (Aragon, Seidel 1989) ordered by (begin, end), each node knowing the largest end below
// it; priorities come from a counter's hash, so equal histories give equal trees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "coord/watch.h"

namespace quorate::coord {

struct Watch {
  WatchHandle handle = 0;
  WatchRequest request;
  WatchSink* sink = nullptr;
  Revision next = 0;               // everything below was delivered, or lies before the start
  std::vector<WatchEvent> events;  // gathered for the delivery under way
  std::size_t slot = 0;            // where it stands in its list of the index
};

class WatchIndex {
 public:
  WatchIndex() = default;
  WatchIndex(const WatchIndex&) = delete;
  WatchIndex& operator=(const WatchIndex&) = delete;

  void Add(Watch* watch);
  void Remove(Watch* watch);  // REQUIRES it to be in
  bool empty() const { return exact_.empty() && root_ == nullptr; }

  // Calls visit(Watch&) for every watch that covers `key`. The index must not change meanwhile.
  template <class Visit>
  void Find(std::string_view key, const Visit& visit) const {
    if (!exact_.empty()) {
      const auto exact = exact_.find(key);
      if (exact != exact_.end()) {
        for (Watch* watch : exact->second) visit(*watch);
      }
    }
    FindRanges(root_.get(), key, visit);
  }

 private:
  using List = std::vector<Watch*>;
  struct Node {
    std::string begin;
    std::string end;  // open: without bound
    bool open = false;
    std::uint64_t priority = 0;
    const Node* furthest = nullptr;  // the node with the largest end in this subtree
    std::unique_ptr<Node> left;
    std::unique_ptr<Node> right;
    List watches;
  };
  using Tree = std::unique_ptr<Node>;

  static bool EndsAfter(const Node& node, std::string_view key) { return node.open || key < node.end; }
  static bool Reaches(const Node& a, const Node& b);  // a ends after b
  static void Update(Node* node);
  static void RotateRight(Tree* tree);
  static void RotateLeft(Tree* tree);
  static Tree Merge(Tree left, Tree right);
  List* Insert(Tree* tree, const WatchRequest& request);
  static void Remove(Tree* tree, Watch* watch);

  template <class Visit>
  static void FindRanges(const Node* node, std::string_view key, const Visit& visit) {
    if (node == nullptr || !EndsAfter(*node->furthest, key)) return;
    FindRanges(node->left.get(), key, visit);
    if (node->begin > key) return;
    if (EndsAfter(*node, key)) {
      for (Watch* watch : node->watches) visit(*watch);
    }
    FindRanges(node->right.get(), key, visit);
  }

  std::map<std::string, List, std::less<>> exact_;
  Tree root_;
  std::uint64_t nodes_made_ = 0;
};

}  // namespace quorate::coord
