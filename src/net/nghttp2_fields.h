// Header fields for nghttp2's submit functions. Private to net/.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace quorate::net {

namespace internal {
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): nghttp2's C interface takes mutable pointers it never writes
inline std::uint8_t* FieldBytes(const char* text) {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text));
}
}  // namespace internal

// nghttp2 copies neither: both must live as long as the program.
template <std::size_t N, std::size_t M>
nghttp2_nv ConstantField(const char (&name)[N], const char (&value)[M]) {
  return {internal::FieldBytes(name), internal::FieldBytes(value), N - 1, M - 1,
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

// nghttp2 copies the value.
template <std::size_t N>
nghttp2_nv CopiedField(const char (&name)[N], std::string_view value) {
  return {internal::FieldBytes(name), internal::FieldBytes(value.data()), N - 1, value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

// nghttp2 copies both.
inline nghttp2_nv AnyField(std::string_view name, std::string_view value) {
  return {internal::FieldBytes(name.data()), internal::FieldBytes(value.data()), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NONE};
}

}  // namespace quorate::net
