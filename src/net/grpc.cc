#include "net/grpc.h"

#include <algorithm>
#include <array>
#include <limits>

namespace quorate::net {
namespace {

constexpr std::array<std::string_view, 17> kCodes = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                                     "9", "10", "11", "12", "13", "14", "15", "16"};

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::optional<std::uint64_t> UnitNs(char unit) {
  switch (unit) {
    case 'H':
      return 3'600'000'000'000u;
    case 'M':
      return 60'000'000'000u;
    case 'S':
      return 1'000'000'000u;
    case 'm':
      return 1'000'000u;
    case 'u':
      return 1'000u;
    case 'n':
      return 1u;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string MessagePrefix(std::size_t length) {
  std::string prefix(kMessagePrefixBytes, '\0');
  for (std::size_t i = 0; i < 4; ++i) prefix[4 - i] = static_cast<char>(length >> (8 * i) & 0xff);
  return prefix;
}

std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      out += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<std::uint64_t> ParseTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const std::optional<std::uint64_t> unit = UnitNs(text.back());
  if (!unit) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  constexpr std::uint64_t kLongest = std::numeric_limits<std::int64_t>::max();
  return value > kLongest / *unit ? kLongest : value * *unit;
}

std::string FormatTimeout(std::uint64_t nanoseconds) {
  // The finest unit whose number has at most eight digits, rounded up: a deadline must not shrink on the way.
  for (const char unit : {'n', 'u', 'm', 'S', 'M'}) {
    const std::uint64_t value = (nanoseconds + *UnitNs(unit) - 1) / *UnitNs(unit);
    if (value <= 99'999'999) return std::to_string(value) + unit;
  }
  return std::to_string(std::min<std::uint64_t>(nanoseconds / *UnitNs('H') + 1, 99'999'999)) + 'H';
}

std::string_view StatusCodeText(StatusCode code) {
  const auto number = static_cast<std::size_t>(code);
  return number < kCodes.size() ? kCodes[number] : kCodes[2];
}

StatusCode ParseStatusCode(std::string_view text) {
  const auto found = std::find(kCodes.begin(), kCodes.end(), text);
  return found == kCodes.end() ? StatusCode::kUnknown : static_cast<StatusCode>(found - kCodes.begin());
}

StatusCode StatusCodeOfHttp(int http_status) {
  switch (http_status) {
    case 400:
      return StatusCode::kInternal;
    case 401:
      return StatusCode::kUnauthenticated;
    case 403:
      return StatusCode::kPermissionDenied;
    case 404:
      return StatusCode::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return StatusCode::kUnavailable;
    default:
      return StatusCode::kUnknown;
  }
}

std::size_t MessageReader::LengthOf(std::string_view prefixed) {
  std::size_t length = 0;
  for (std::size_t i = 1; i < kMessagePrefixBytes; ++i) length = length << 8 | static_cast<unsigned char>(prefixed[i]);
  return length;
}

Status MessageReader::CheckPrefix(std::string_view prefixed, std::size_t max_bytes) {
  if (prefixed[0] == 1) return Status::Internal("grpc: compressed flag set with identity or empty encoding");
  if (prefixed[0] != 0) {
    return Status::Internal("grpc: received unexpected payload format " +
                            std::to_string(static_cast<unsigned char>(prefixed[0])));
  }
  const std::size_t length = LengthOf(prefixed);
  if (length > max_bytes) {
    return Status::ResourceExhausted("grpc: received message larger than max (" + std::to_string(length) + " vs. " +
                                     std::to_string(max_bytes) + ")");
  }
  return Status::Ok();
}

Status MessageReader::Grow(std::string_view& data, std::size_t max_bytes) {
  if (partial_.size() < kMessagePrefixBytes) {
    const std::size_t part = std::min(kMessagePrefixBytes - partial_.size(), data.size());
    partial_.append(data.substr(0, part));
    data.remove_prefix(part);
    if (partial_.size() < kMessagePrefixBytes) return Status::Ok();
  }
  RETURN_IF_ERROR(CheckPrefix(partial_, max_bytes));
  const std::size_t part = std::min(kMessagePrefixBytes + LengthOf(partial_) - partial_.size(), data.size());
  partial_.append(data.substr(0, part));
  data.remove_prefix(part);
  return Status::Ok();
}

}  // namespace quorate::net
