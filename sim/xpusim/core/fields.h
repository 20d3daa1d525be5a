#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "xpusim/core/dtype.h"
#include "xpusim/core/units.h"

/// The description layer. A config struct has one function `void describe(Fields&, T&)` that names its keys,
/// units, ranges, defaults and help. Every consumer (strict reader, resolved dump, JSON Schema, docs table)
/// is a visitor of that one description, so they cannot disagree.
namespace xpusim {

struct UnitName {
  std::string_view text;
  double scale;  ///< one of this unit in SI base units
};

struct Dimension {
  std::string_view name;
  std::string_view example;
  std::span<const UnitName> units;  ///< first: the unit of a zero
  /// In SI base units, what a value that is not 0 may be where its key does not say: beyond these a unit is
  /// wrong, whatever the device.
  double least, most;
  bool is_whole = false;  ///< comes in whole numbers of its SI unit; others are rounded
};

/// The dimension of a Quantity type; specialised for each unit that configs may hold.
template <class Q>
const Dimension& dimension();
template <>
const Dimension& dimension<Bytes>();
template <>
const Dimension& dimension<Seconds>();
template <>
const Dimension& dimension<Hertz>();
template <>
const Dimension& dimension<Watts>();
template <>
const Dimension& dimension<BytesPerSecond>();
template <>
const Dimension& dimension<BytesPerCycle>();
template <>
const Dimension& dimension<FlopsPerCycle>();
template <>
const Dimension& dimension<OpsPerCycle>();

/// Admitted values of a number, in SI base units.
struct Range {
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  double low = -kNone;
  double high = kNone;
  bool low_is_open = false;
  bool or_zero = false;                           ///< 0 is admitted below `low`, too: there is no such part
  double known_low = -kNone, known_high = kNone;  ///< of devices there are; what is beyond gets a note

  [[nodiscard]] bool contains(double x) const {
    return std::isfinite(x) && ((or_zero && x == 0) || ((low_is_open ? x > low : x >= low) && x <= high));
  }
  [[nodiscard]] bool is_known(double x) const { return x == 0 || (x >= known_low && x <= known_high); }
  /// The same, with what devices have.
  [[nodiscard]] constexpr Range known(double from, double to) const {
    Range r = *this;
    r.known_low = from;
    r.known_high = to;
    return r;
  }
};
constexpr Range any_number() { return {}; }
constexpr Range positive() { return {.low = 0, .low_is_open = true}; }
constexpr Range at_least(double low) { return {.low = low}; }
constexpr Range between(double low, double high) { return {.low = low, .high = high}; }
/// A ratio above 0 and up to 1. What is far below is a mistake, and overflows what is divided by it.
constexpr Range fraction() { return between(1e-6, 1); }
/// The range with its open ends closed by what the dimension admits.
[[nodiscard]] Range within(Range, const Dimension&);

struct FieldInfo {
  std::string_view key;  ///< empty: an element of a list
  std::string_view help;
  bool required = true;
  Range range;
  bool plain = false;  ///< identity (id, vendor, note): needs no source even where every number does
};

enum class ScalarType : std::uint8_t { Integer, Real, Boolean, Text, Quantity, Choice };
using ScalarValue = std::variant<std::int64_t, double, bool, std::string>;

/// A handle on one scalar member: how to read it, write it and say what it may be.
struct Scalar {
  ScalarType type = ScalarType::Text;
  const Dimension* dimension = nullptr;   ///< Quantity only
  std::vector<std::string_view> choices;  ///< Choice only
  std::function<ScalarValue()> get;       ///< Quantity: double in SI base units; Choice: its name
  std::function<void(const ScalarValue&)> set;
};

/// The names of an enumeration, in the order of its enumerators; specialised for each enum that configs hold.
template <class E>
struct EnumNames;
template <>
struct EnumNames<Dtype> {
  static constexpr std::span<const std::string_view> value = kDtypeNames;
};

template <class E>
[[nodiscard]] constexpr std::string_view enum_name(E value) {
  return EnumNames<E>::value[static_cast<std::size_t>(value)];
}
template <class E>
[[nodiscard]] std::optional<E> enum_from(std::string_view text) {
  const auto names = EnumNames<E>::value;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == text) return static_cast<E>(i);
  return std::nullopt;
}

class Fields;
using Describe = std::function<void(Fields&)>;

/// A list or a map member whose elements are scalars or structs.
struct Sequence {
  std::function<std::size_t()> size;
  std::function<void(std::size_t)> resize;
  std::function<void(Fields&, std::size_t, const FieldInfo&)> visit;  ///< visits element i under info.key
};
struct Dictionary {
  std::vector<std::string_view> key_choices;  ///< empty: any key
  std::function<std::vector<std::string>()> keys;
  std::function<void(Fields&, const std::string&, const FieldInfo&)>
      visit;  ///< visits (creating it) one entry
};

/// Base of all visitors of a description.
class Fields {
 public:
  virtual ~Fields() = default;

  template <class T>
  void required(std::string_view key, T& value, std::string_view help, Range range = {}) {
    visit_value(FieldInfo{key, help, true, range, false}, value);
  }
  template <class T>
  void optional(std::string_view key, T& value, std::string_view help, Range range = {}) {
    visit_value(FieldInfo{key, help, false, range, false}, value);
  }
  /// Text or a choice that names rather than measures: no provenance asked.
  template <class T>
  void label(std::string_view key, T& value, std::string_view help, bool required = false) {
    visit_value(FieldInfo{key, help, required, {}, true}, value);
  }

  /// Does this visitor fill the struct in? Then defaults may follow the members read before.
  [[nodiscard]] virtual bool reads() const { return false; }

  template <class E>
  void choose(std::string_view key, E& value, std::string_view help, const Describe& describe_chosen);

  template <class T>
  void visit_value(const FieldInfo& info, T& value);

 protected:
  virtual void scalar(const FieldInfo& info, const Scalar& handle) = 0;
  virtual void group(const FieldInfo& info, const Describe& describe_members) = 0;
  /// An optional group: `present` says whether it is there; `emplace` creates it.
  virtual void optional_group(const FieldInfo& info, bool present, const std::function<void()>& emplace,
                              const Describe& describe_members) = 0;
  virtual void sequence(const FieldInfo& info, const Sequence& handle) = 0;
  virtual void dictionary(const FieldInfo& info, const Dictionary& handle) = 0;
  /// A choice that decides which further members there are (an operator's kind). The default reads the choice
  /// and goes on with the members of its value; a schema visitor walks all of them.
  virtual void alternatives(const FieldInfo& info, const Scalar& choice, const Describe& describe_chosen) {
    scalar(info, choice);
    describe_chosen(*this);
  }
};

namespace detail {
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class K, class V>
struct IsMap<std::map<K, V>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
concept IsQuantity = requires {
  typename T::rep;
};

template <class T>
Scalar scalar_of(T& value) {
  Scalar s;
  if constexpr (std::is_same_v<T, bool>) {
    s.type = ScalarType::Boolean;
    s.get = [&value] { return ScalarValue(value); };
    s.set = [&value](const ScalarValue& v) { value = std::get<bool>(v); };
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    s.type = ScalarType::Integer;
    s.get = [&value] { return ScalarValue(value); };
    s.set = [&value](const ScalarValue& v) { value = std::get<std::int64_t>(v); };
  } else if constexpr (std::is_same_v<T, double>) {
    s.type = ScalarType::Real;
    s.get = [&value] { return ScalarValue(value); };
    s.set = [&value](const ScalarValue& v) { value = std::get<double>(v); };
  } else if constexpr (std::is_same_v<T, std::string>) {
    s.type = ScalarType::Text;
    s.get = [&value] { return ScalarValue(value); };
    s.set = [&value](const ScalarValue& v) { value = std::get<std::string>(v); };
  } else if constexpr (IsQuantity<T>) {
    s.type = ScalarType::Quantity;
    s.dimension = &dimension<T>();
    s.get = [&value] { return ScalarValue(static_cast<double>(value.count())); };
    s.set = [&value](const ScalarValue& v) {
      const double x = std::get<double>(v);
      if constexpr (std::is_integral_v<typename T::rep>)
        value = T(std::llround(x));
      else
        value = T(x);
    };
  } else {
    static_assert(std::is_enum_v<T>,
                  "a config member must be a scalar, Quantity, enum, struct, vector, map or optional");
    s.type = ScalarType::Choice;
    s.choices.assign(EnumNames<T>::value.begin(), EnumNames<T>::value.end());
    s.get = [&value] { return ScalarValue(std::string(enum_name(value))); };
    s.set = [&value](const ScalarValue& v) { value = *enum_from<T>(std::get<std::string>(v)); };
  }
  return s;
}

template <class K>
K key_from(const std::string& text) {
  if constexpr (std::is_enum_v<K>)
    return *enum_from<K>(text);
  else
    return text;
}
template <class K>
std::string key_text(const K& key) {
  if constexpr (std::is_enum_v<K>)
    return std::string(enum_name(key));
  else
    return key;
}
}  // namespace detail

template <class E>
void Fields::choose(std::string_view key, E& value, std::string_view help, const Describe& describe_chosen) {
  alternatives(FieldInfo{key, help, true, {}, true}, detail::scalar_of(value), describe_chosen);
}

template <class T>
void Fields::visit_value(const FieldInfo& info, T& value) {
  if constexpr (detail::IsVector<T>::value) {
    sequence(info, Sequence{[&value] { return value.size(); }, [&value](std::size_t n) { value.resize(n); },
                            [&value](Fields& f, std::size_t i, const FieldInfo& element) {
                              f.visit_value(element, value.at(i));
                            }});
  } else if constexpr (detail::IsMap<T>::value) {
    using Key = typename T::key_type;
    Dictionary d;
    if constexpr (std::is_enum_v<Key>)
      d.key_choices.assign(EnumNames<Key>::value.begin(), EnumNames<Key>::value.end());
    d.keys = [&value] {
      std::vector<std::string> keys;
      for (const auto& [key, unused] : value) keys.push_back(detail::key_text(key));
      return keys;
    };
    d.visit = [&value](Fields& f, const std::string& key, const FieldInfo& element) {
      f.visit_value(element, value[detail::key_from<Key>(key)]);
    };
    dictionary(info, d);
  } else if constexpr (detail::IsOptional<T>::value) {
    using Inner = typename T::value_type;
    optional_group(
        info, value.has_value(), [&value] { value.emplace(); },
        [&value](Fields& f) {
          if (value) {
            describe(f, *value);
          } else {  // a visitor that only wants to know the members
            Inner scratch;
            describe(f, scratch);
          }
        });
  } else if constexpr (requires(Fields & f, T & v) { describe(f, v); }) {
    group(info, [&value](Fields& f) { describe(f, value); });
  } else if constexpr (detail::IsQuantity<T>) {
    FieldInfo closed = info;
    closed.range = within(info.range, dimension<T>());
    scalar(closed, detail::scalar_of(value));
  } else {
    scalar(info, detail::scalar_of(value));
  }
}

}  // namespace xpusim
