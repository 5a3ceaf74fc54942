// Text files that tests compare with or rewrite, read and written whole; tests only. Folders without files of their own
// in the product (the pure ones) reach theirs through here.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace quorate {

inline std::string ReadTextFile(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void WriteTextFile(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

// The names, without ".txt", of a folder's text files, sorted.
inline std::vector<std::string> TextFileNames(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() == ".txt") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace quorate
