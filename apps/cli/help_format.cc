// SPDX-License-Identifier: Apache-2.0
#include "help_format.h"

#include <algorithm>
#include <sstream>

namespace pomona::cli {
namespace {

constexpr std::size_t kColumns = 80;
// Where the right side begins.
constexpr std::size_t kOfOptions = 34;
constexpr std::size_t kOfVerbs = 18;

// `text` with line breaks between words, all lines but the first `indent` columns in. Lines that begin with a
// space are examples, to be copied: they stay as they are.
std::string wrapped(const std::string& text, std::size_t indent) {
  const std::string margin(indent, ' ');
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!out.empty()) out += "\n" + margin;
    if (line.starts_with(' ')) {
      out += line;
      continue;
    }
    std::size_t column = indent;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (column > indent && column + 1 + word.size() > kColumns) {
        out += "\n" + margin;
        column = indent;
      } else if (column > indent) {
        out += " ";
        ++column;
      }
      out += word;
      column += word.size();
    }
  }
  return out;
}

// A left side that is too long for its columns has a line of its own.
std::string row(const std::string& left, const std::string& right, std::size_t indent) {
  std::string line = "  " + left;
  if (!right.empty()) {
    line +=
        line.size() + 2 > indent ? "\n" + std::string(indent, ' ') : std::string(indent - line.size(), ' ');
    line += wrapped(right, indent);
  }
  return line + "\n";
}

}  // namespace

std::string HelpFormat::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  return CLI::detail::find_and_replace(Formatter::make_help(app, std::move(name), mode), "\n\n\n", "\n\n");
}

std::string HelpFormat::make_description(const CLI::App* app) const {
  return wrapped(Formatter::make_description(app), 0) + "\n";
}

std::string HelpFormat::make_footer(const CLI::App* app) const {
  const std::string footer = Formatter::make_footer(app);
  return footer.empty() ? footer : wrapped(footer, 0) + "\n";
}

std::string HelpFormat::make_subcommand(const CLI::App* verb) const {
  return row(verb->get_name(), verb->get_description(), kOfVerbs);
}

std::string HelpFormat::make_option(const CLI::Option* option, bool is_positional) const {
  return row(make_option_name(option, is_positional) + make_option_opts(option), make_option_desc(option),
             kOfOptions);
}

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  std::string text = Formatter::make_option_opts(option);
  // A range names the type again, and choices need none.
  for (const std::string type : {"INT", "UINT", "FLOAT"})
    text = CLI::detail::find_and_replace(text, type + ":" + type + " in ", type + " in ");
  text = CLI::detail::find_and_replace(text, "TEXT:{", "{");
  return text;
}

}  // namespace pomona::cli
