// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "command.h"
#include "pomona/base/error.h"
#include "server/auth.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  std::string file;
  std::string name;
  std::string scopes = "classify";
};

int add_token(const Flags& flags) {
  server::TokenFile tokens;
  if (std::filesystem::exists(flags.file)) tokens = server::TokenFile::read(flags.file);
  const std::string token = tokens.add(flags.name, server::parse_scopes(flags.scopes));
  tokens.write(flags.file);
  fmt::print("{}\n", token);
  tell(
      "This is the only time the token is shown: {} keeps its hash. A running server reads it on\n"
      "SIGHUP. Use: curl -H 'Authorization: Bearer TOKEN' ...\n",
      flags.file);
  return kDone;
}

int list_tokens(const Flags& flags) {
  fmt::print("{:<24} {:<28} {:<12} {}\n", "NAME", "SCOPES", "MADE", "SHA-256");
  const server::TokenFile tokens = server::TokenFile::read(flags.file);
  for (const server::TokenRecord& token : tokens.tokens()) {
    fmt::print("{:<24} {:<28} {:<12} {}\n", token.name, server::scopes_text(token.scopes), token.created,
               token.sha256.substr(0, 12));
  }
  return kDone;
}

int remove_token(const Flags& flags) {
  server::TokenFile tokens = server::TokenFile::read(flags.file);
  if (!tokens.remove(flags.name)) {
    throw Error(ErrorCode::kNotFound, flags.file + " has no token named " + flags.name);
  }
  tokens.write(flags.file);
  fmt::print("{} is no longer good for anything once the server has had SIGHUP\n", flags.name);
  return kDone;
}

}  // namespace

void add_tokens(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("tokens", "API tokens of `pomona serve`");
  verb->require_subcommand(1);
  verb->footer(
      "A token is 256 random bits; the file keeps their SHA-256 only.\n"
      "Examples:\n"
      "  pomona tokens add tokens.txt phone-app --scopes classify,contribute\n"
      "  pomona tokens list tokens.txt\n"
      "  pomona serve model.onnx --tokens tokens.txt");
  const auto sub = [&](const char* name, const char* about, int (*run)(const Flags&)) {
    CLI::App* own = verb->add_subcommand(name, about);
    own->add_option("FILE", flags->file, "The file of tokens")->required();
    own->callback([flags, run, &action] { action = [flags, run](const Context&) { return run(*flags); }; });
    return own;
  };
  CLI::App* add = sub("add", "Make a token and print it, once", add_token);
  add->add_option("NAME", flags->name, "What it is for: it stands in the access log")->required();
  add->add_option("--scopes", flags->scopes, "classify,contribute,admin")->capture_default_str();
  sub("list", "Names, scopes and days; never a token", list_tokens);
  sub("remove", "Make a token useless", remove_token)
      ->add_option("NAME", flags->name, "Its name")
      ->required();
}

}  // namespace pomona::cli
