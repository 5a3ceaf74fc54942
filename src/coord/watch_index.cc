#include "coord/watch_index.h"

#include <compare>
#include <utility>

#include "base/check.h"

namespace quorate::coord {
namespace {

std::uint64_t Scramble(std::uint64_t counter) {
  std::uint64_t x = counter * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  return x ^ (x >> 27);
}

void Append(std::vector<Watch*>* list, Watch* watch) {
  watch->slot = list->size();
  list->push_back(watch);
}

// True if the list is empty now.
bool Take(std::vector<Watch*>* list, const Watch* watch) {
  CHECK(watch->slot < list->size() && (*list)[watch->slot] == watch) << "watch " << watch->handle << " is not indexed";
  Watch* last = list->back();
  (*list)[watch->slot] = last;
  last->slot = watch->slot;
  list->pop_back();
  return list->empty();
}

}  // namespace

void WatchIndex::Add(Watch* watch) {
  if (watch->request.end.empty()) {
    Append(&exact_[watch->request.key], watch);
  } else {
    Append(Insert(&root_, watch->request), watch);
  }
}

void WatchIndex::Remove(Watch* watch) {
  if (!watch->request.end.empty()) return Remove(&root_, watch);
  const auto exact = exact_.find(std::string_view(watch->request.key));
  CHECK(exact != exact_.end()) << "watch " << watch->handle << " is not indexed";
  if (Take(&exact->second, watch)) exact_.erase(exact);
}

bool WatchIndex::Reaches(const Node& a, const Node& b) {
  if (b.open) return false;
  return a.open || a.end > b.end;
}

void WatchIndex::Update(Node* node) {
  node->furthest = node;
  for (const Node* child : {node->left.get(), node->right.get()}) {
    if (child != nullptr && Reaches(*child->furthest, *node->furthest)) node->furthest = child->furthest;
  }
}

void WatchIndex::RotateRight(Tree* tree) {
  Tree pivot = std::move((*tree)->left);
  (*tree)->left = std::move(pivot->right);
  Update(tree->get());
  pivot->right = std::move(*tree);
  *tree = std::move(pivot);
}

void WatchIndex::RotateLeft(Tree* tree) {
  Tree pivot = std::move((*tree)->right);
  (*tree)->right = std::move(pivot->left);
  Update(tree->get());
  pivot->left = std::move(*tree);
  *tree = std::move(pivot);
}

WatchIndex::Tree WatchIndex::Merge(Tree left, Tree right) {
  if (left == nullptr) return right;
  if (right == nullptr) return left;
  if (left->priority > right->priority) {
    left->right = Merge(std::move(left->right), std::move(right));
    Update(left.get());
    return left;
  }
  right->left = Merge(std::move(left), std::move(right->left));
  Update(right.get());
  return right;
}

WatchIndex::List* WatchIndex::Insert(Tree* tree, const WatchRequest& request) {
  Node* node = tree->get();
  if (node == nullptr) {
    *tree = std::make_unique<Node>();
    node = tree->get();
    node->begin = request.key;
    node->end = request.end;
    node->open = request.end == std::string_view("\0", 1);
    node->priority = Scramble(++nodes_made_);
    Update(node);
    return &node->watches;
  }
  std::strong_ordering side = request.key <=> node->begin;
  if (side == 0) side = request.end <=> node->end;
  if (side == 0) return &node->watches;
  Tree* child = side < 0 ? &node->left : &node->right;
  List* list = Insert(child, request);
  if ((*child)->priority > node->priority) side < 0 ? RotateRight(tree) : RotateLeft(tree);
  Update(tree->get());
  return list;
}

void WatchIndex::Remove(Tree* tree, Watch* watch) {
  Node* node = tree->get();
  CHECK(node != nullptr) << "watch " << watch->handle << " is not indexed";
  std::strong_ordering side = watch->request.key <=> node->begin;
  if (side == 0) side = watch->request.end <=> node->end;
  if (side != 0) {
    Remove(side < 0 ? &node->left : &node->right, watch);
    return Update(node);
  }
  if (Take(&node->watches, watch)) *tree = Merge(std::move(node->left), std::move(node->right));
}

}  // namespace quorate::coord
