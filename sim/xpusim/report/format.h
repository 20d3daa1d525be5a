#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "xpusim/core/breakdown.h"
#include "xpusim/core/units.h"

/// Numbers and texts, as every writer writes them.
namespace xpusim::report {

using Json = nlohmann::ordered_json;

[[nodiscard]] inline double us(Seconds t) { return t.count() * 1e6; }
[[nodiscard]] inline double gb(BytesPerSecond r) { return r.count() / 1e9; }
/// With so many decimals.
[[nodiscard]] std::string fixed(double, int decimals);
/// Three significant digits, of large numbers all that are whole.
[[nodiscard]] std::string number(double);
/// A share as "12.3 %".
[[nodiscard]] std::string percent(double share, int decimals = 1);
/// What most of the time is spent on.
[[nodiscard]] std::string_view largest(const Breakdown&);

/// Text in a paragraph or a cell of Markdown, on one line: no markup, link, image, mention or reference.
[[nodiscard]] std::string escaped_markdown(std::string_view);
/// Text as code of Markdown, whatever back quotes are in it.
[[nodiscard]] std::string markdown_code(std::string_view);
/// Text in HTML and XML, in double-quoted attributes too.
[[nodiscard]] std::string escaped(std::string_view);
/// Text as a string of JSON, bytes that are no UTF-8 replaced.
[[nodiscard]] std::string quoted(const std::string&);

[[nodiscard]] Json or_null(const std::optional<double>&);
/// Of a breakdown: a key is the cause's name and `unit`, of which a second has `per_second`.
[[nodiscard]] Json by_cause(const Breakdown&, const char* unit, double per_second);
/// A document as it is written to a file.
[[nodiscard]] std::string text_of(const Json&);

}  // namespace xpusim::report
