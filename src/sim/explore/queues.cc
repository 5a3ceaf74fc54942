#include "sim/explore/queues.h"

#include <utility>

#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::sim::explore {

std::size_t Queues::ContentHash::operator()(const std::vector<MessageNumber>& messages) const noexcept {
  consensus::Hasher h;
  for (const MessageNumber message : messages) h.Add(message);
  return h.value();
}

Queues::Queues() {
  Intern({}, std::nullopt);
}

QueueNumber Queues::Intern(std::vector<MessageNumber> messages, std::optional<std::size_t> reset_at) {
  const auto [found, is_new] = numbers_.try_emplace(messages, static_cast<QueueNumber>(contents_.size()));
  if (is_new) contents_.push_back({std::move(messages), reset_at, std::nullopt});
  return found->second;
}

QueueNumber Queues::Push(QueueNumber queue, MessageNumber message) {
  const std::uint64_t key = static_cast<std::uint64_t>(queue) << 32 | message;
  const auto known = pushed_.find(key);
  if (known != pushed_.end()) return known->second;
  std::vector<MessageNumber> messages = contents_[queue].messages;
  messages.push_back(message);
  const QueueNumber result = Intern(std::move(messages), contents_[queue].reset_at);
  pushed_.emplace(key, result);
  return result;
}

QueueNumber Queues::Pop(QueueNumber queue) {
  if (contents_[queue].popped) return *contents_[queue].popped;
  const std::vector<MessageNumber>& all = contents_[queue].messages;
  CHECK(!all.empty());
  std::optional<std::size_t> reset_at = contents_[queue].reset_at;
  if (reset_at == 0u) {
    reset_at.reset();
  } else if (reset_at) {
    --*reset_at;
  }
  const QueueNumber result = Intern({all.begin() + 1, all.end()}, reset_at);
  contents_[queue].popped = result;
  return result;
}

QueueNumber Queues::Reset(QueueNumber queue, MessageNumber reset) {
  std::vector<MessageNumber> messages = contents_[queue].messages;
  if (contents_[queue].reset_at) messages.resize(*contents_[queue].reset_at);
  messages.push_back(reset);
  const std::size_t reset_at = messages.size() - 1;
  return Intern(std::move(messages), reset_at);
}

QueueNumber Queues::DropBeforeReset(QueueNumber queue) {
  const Content& content = contents_[queue];
  CHECK(content.reset_at.has_value());
  const auto from = content.messages.begin() + static_cast<std::ptrdiff_t>(*content.reset_at);
  return Intern({from, content.messages.end()}, 0);
}

}  // namespace quorate::sim::explore
