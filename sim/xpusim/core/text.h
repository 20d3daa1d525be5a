#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace xpusim {

/// The candidate nearest to `word` by edit distance, or empty when none is near enough to be a typing
/// mistake.
[[nodiscard]] std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// Bytes of the well-formed UTF-8 character that the text begins with; 0: it begins with none.
[[nodiscard]] std::size_t utf8_size(std::string_view text);
/// Text fit for a terminal: control characters and bytes that are no UTF-8 as \xNN.
[[nodiscard]] std::string visible(std::string_view text);
/// User text fit for a message: visible, and cut when it is long.
[[nodiscard]] std::string printable(std::string_view text);
/// The same in quotes.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// "a, b, c".
[[nodiscard]] std::string join(std::span<const std::string_view> words, std::string_view separator = ", ");
[[nodiscard]] std::vector<std::string_view> views(const std::vector<std::string>& words);

/// The parts of a text between the given characters; an empty text is one empty part.
[[nodiscard]] std::vector<std::string> split(const std::string& text, char at);

}  // namespace xpusim
