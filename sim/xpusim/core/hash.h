#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace xpusim {

/// 64-bit FNV-1a over bytes: stable across runs, machines and compilers (unlike std::hash).
class Hasher {
 public:
  Hasher& add(std::string_view bytes) {
    for (const char c : bytes) mix(static_cast<unsigned char>(c));
    return *this;
  }
  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) Hasher& add(T value) {
    auto bits = static_cast<std::uint64_t>(value);
    for (int i = 0; i < 8; ++i, bits >>= 8) mix(static_cast<unsigned char>(bits & 0xff));
    return *this;
  }
  [[nodiscard]] std::uint64_t value() const { return state_; }
  [[nodiscard]] std::string hex() const;

 private:
  void mix(unsigned char byte) { state_ = (state_ ^ byte) * 0x100000001b3ULL; }
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

}  // namespace xpusim
