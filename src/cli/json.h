// JsonObject: one line of output for scripts, built member by member in the order given.
//
// Called by every command with --json and by the load generator. Thread rule: one owner. Invariant: the result is one
// line of valid JSON. etcd's keys and values are bytes: AddBytes writes those that are UTF-8 as they are, others in
// base64 under the name with "_base64" behind it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::cli {

bool IsUtf8(std::string_view bytes);
std::string Base64(std::string_view bytes);
std::string JsonString(std::string_view utf8);

class JsonObject {
 public:
  JsonObject& Add(std::string_view name, std::string_view text);
  JsonObject& Add(std::string_view name, const char* text) { return Add(name, std::string_view(text)); }
  JsonObject& Add(std::string_view name, bool value);
  JsonObject& Add(std::string_view name, std::int64_t value);
  JsonObject& Add(std::string_view name, std::uint64_t value);
  JsonObject& Add(std::string_view name, int value) { return Add(name, std::int64_t{value}); }
  JsonObject& Add(std::string_view name, double value);  // three digits after the point
  JsonObject& Add(std::string_view name, const JsonObject& value);
  JsonObject& Add(std::string_view name, const std::vector<JsonObject>& values);
  JsonObject& Add(std::string_view name, const std::vector<std::string>& texts);
  JsonObject& AddBytes(std::string_view name, std::string_view bytes);
  JsonObject& AddHex(std::string_view name, std::uint64_t id);  // as a string: ids exceed what JSON readers keep

  std::string Line() const { return "{" + members_ + "}"; }

 private:
  JsonObject& AddRaw(std::string_view name, std::string_view json);
  std::string members_;
};

std::string Hex(std::uint64_t id);

}  // namespace quorate::cli
