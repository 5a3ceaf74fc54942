// gRPC's own layer over HTTP/2, both sides: the five-byte message prefix, timeouts, status and message in trailers.
//
// Pure functions and one incremental reader; used by the server session and the client channel. Thread rule: any, one
// owner per reader. Reference: the gRPC project's document "gRPC over HTTP2".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quorate::net {

inline constexpr std::size_t kMessagePrefixBytes = 5;

// The prefix of an uncompressed message of `length` bytes.
std::string MessagePrefix(std::size_t length);

// grpc-message: printable ASCII but '%' goes as it is, every other byte as %XX. Decoding leaves a malformed escape as
// it stands.
std::string PercentEncode(std::string_view text);
std::string PercentDecode(std::string_view text);

// grpc-timeout: one to eight digits and a unit. Nothing on bad syntax; the largest are cut to about 292 years.
std::optional<std::uint64_t> ParseTimeout(std::string_view text);
std::string FormatTimeout(std::uint64_t nanoseconds);

// "0" to "16"; anything else reads as UNKNOWN.
std::string_view StatusCodeText(StatusCode code);
StatusCode ParseStatusCode(std::string_view text);
// What an answer without grpc-status means, by its HTTP status.
StatusCode StatusCodeOfHttp(int http_status);

// Cuts a stream of DATA payloads into messages. A message that arrives in one piece is handed on without a copy.
class MessageReader {
 public:
  // Calls on_message(std::string_view) -> bool for every message completed by `data`; false stops and drops the rest.
  // RESOURCE_EXHAUSTED when a message is longer than `max_bytes`; INTERNAL when one claims to be compressed.
  template <class OnMessage>
  Status Feed(std::string_view data, std::size_t max_bytes, OnMessage&& on_message) {
    while (!data.empty()) {
      if (partial_.empty()) {
        if (data.size() >= kMessagePrefixBytes) {
          RETURN_IF_ERROR(CheckPrefix(data, max_bytes));
          const std::size_t whole = kMessagePrefixBytes + LengthOf(data);
          if (data.size() >= whole) {
            const std::string_view message = data.substr(kMessagePrefixBytes, whole - kMessagePrefixBytes);
            data.remove_prefix(whole);
            if (!on_message(message)) return Status::Ok();
            continue;
          }
        }
        partial_.assign(data);
        return Status::Ok();
      }
      RETURN_IF_ERROR(Grow(data, max_bytes));
      if (partial_.size() < kMessagePrefixBytes || partial_.size() < kMessagePrefixBytes + LengthOf(partial_)) {
        return Status::Ok();
      }
      const std::string whole = std::move(partial_);
      partial_ = {};
      if (!on_message(std::string_view(whole).substr(kMessagePrefixBytes))) return Status::Ok();
    }
    return Status::Ok();
  }
  std::size_t buffered() const { return partial_.size(); }
  void Clear() { partial_ = {}; }

 private:
  static std::size_t LengthOf(std::string_view prefixed);
  static Status CheckPrefix(std::string_view prefixed, std::size_t max_bytes);
  // Moves what the message in partial_ lacks from `data` to it.
  Status Grow(std::string_view& data, std::size_t max_bytes);

  std::string partial_;
};

}  // namespace quorate::net
