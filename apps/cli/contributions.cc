// SPDX-License-Identifier: Apache-2.0
#include "pomona/contributions/contributions.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"
#include "pomona/base/text.h"
#include "pomona/pipeline/purge.h"
#include "terminal.h"

namespace pomona::cli {
namespace {

struct Flags {
  std::string folder = "contributions";
  bool json = false;
  std::string dest;
  std::string age = "14d";
  bool yes = false;
  std::string code;
  std::vector<std::string> photos;
  std::vector<std::string> labels;
  std::string consent;
  std::string pseudonym;
};

ContributionStore open_store(const Flags& flags, bool create = false) {
  ContributionOptions options;
  options.create = create;
  return ContributionStore::open(flags.folder, options);
}

void print_json(const nlohmann::json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

nlohmann::json to_json(const Contribution& one) {
  nlohmann::json labels = nlohmann::json::array();
  for (const ContributionLabel& label : one.labels) {
    nlohmann::json entry = {{"target", label.target}, {"label", label.label}, {"said", label.said}};
    if (label.probability) entry["probability"] = *label.probability;
    labels.push_back(std::move(entry));
  }
  nlohmann::json json = {{"id", one.id},           {"date", one.date},     {"labels", labels},
                         {"consent", one.consent}, {"model", one.model},   {"model_sha256", one.model_sha256},
                         {"width", one.width},     {"height", one.height}, {"bytes", one.bytes}};
  if (!one.pseudonym.empty()) json["pseudonym"] = one.pseudonym;
  return json;
}

int list(const Flags& flags) {
  const ContributionStore store = open_store(flags);
  const std::vector<Contribution> all = store.list();
  const std::vector<Contributor> people = store.contributors();
  if (flags.json) {
    nlohmann::json entries = nlohmann::json::array();
    for (const Contribution& one : all) entries.push_back(to_json(one));
    nlohmann::json contributors = nlohmann::json::array();
    for (const Contributor& one : people)
      contributors.push_back({{"pseudonym", one.pseudonym}, {"since", one.since}, {"count", one.count}});
    nlohmann::json events = nlohmann::json::array();
    for (const ContributionEvent& event : store.events()) {
      events.push_back(
          {{"time", event.time}, {"what", event.what}, {"photos", event.photos}, {"detail", event.detail}});
    }
    print_json({{"contributions", entries}, {"contributors", contributors}, {"events", events}});
    return kDone;
  }
  for (const Contribution& one : all) {
    std::string labels;
    for (const ContributionLabel& label : one.labels) {
      if (label.label.empty()) continue;
      labels += (labels.empty() ? "" : ", ") + label.label;
      if (!label.said.empty()) {
        labels += " (the model: " + label.said;
        if (label.probability) labels += fmt::format(" {:.0f} %", 100 * *label.probability);
        labels += ")";
      }
    }
    fmt::print("{:>6}  {}  {} x {}  {}\n", one.id, one.date, one.width, one.height, labels);
  }
  const ContributionStats stats = store.stats();
  fmt::print("{}, {}", counted(stats.photos, "photo"), human_bytes(stats.bytes));
  if (stats.photos > 0) fmt::print(", {} to {}", stats.oldest, stats.newest);
  fmt::print("\n");
  for (const Contributor& one : people)
    fmt::print("{}  {} since {}\n", one.pseudonym, counted(one.count, "contribution"), one.since);
  return kDone;
}

int export_photos(const Flags& flags) {
  const ContributionExport done = open_store(flags).export_to(flags.dest);
  fmt::print(
      "{}, {}, in {}: one folder per label, labels.csv for --labels\n"
      "They are kept outside of the store now: pomona purge {} --photos --yes removes them in time.\n",
      counted(done.ids.size(), "photo"), human_bytes(done.bytes), flags.dest, flags.dest);
  return kDone;
}

int purge_photos(const Flags& flags) {
  const PurgedContributions result = open_store(flags).purge(parse_age(flags.age), !flags.yes);
  if (flags.json) {
    print_json({{"photos", result.removed},
                {"bytes", result.bytes},
                {"kept", result.kept},
                {"oldest", result.oldest},
                {"dry_run", !flags.yes}});
    return kDone;
  }
  if (result.removed == 0) {
    fmt::print("Nothing is older than {}. {} left.\n", flags.age, counted(result.kept, "photo"));
  } else if (flags.yes) {
    fmt::print("{} removed, {}, the oldest of {}. {} left.\n", counted(result.removed, "photo"),
               human_bytes(result.bytes), result.oldest, human_count(result.kept));
  } else {
    fmt::print(
        "{} would go, {}, the oldest of {}; {} left. This was a dry run: nothing was removed. --yes removes "
        "them.\n",
        counted(result.removed, "photo"), human_bytes(result.bytes), result.oldest, human_count(result.kept));
  }
  return kDone;
}

int remove_photo(const Flags& flags) {
  ContributionStore store = open_store(flags);
  const auto removal = store.remove(flags.code);
  if (!removal) {
    throw Error(ErrorCode::kNotFound,
                "no photo has this code. It may have been removed already; check the code for slips.");
  }
  if (flags.json) {
    nlohmann::json uses = nlohmann::json::array();
    for (const ContributionUse& use : removal->uses)
      uses.push_back({{"kind", use.kind}, {"name", use.name}, {"sha256", use.sha256}, {"date", use.date}});
    print_json({{"photo_removed", removal->photo_removed}, {"date", removal->date}, {"made_with_it", uses}});
    return kDone;
  }
  fmt::print("{} of {}\n",
             removal->photo_removed ? "Removed: the photo and everything about it,"
                                    : "The photo had been removed in time; what was left is gone too. It was",
             removal->date);
  if (removal->uses.empty()) fmt::print("Nothing was made with it.\n");
  for (const ContributionUse& use : removal->uses)
    fmt::print("made with it: {} {} ({})\n", use.kind, use.name, use.date);
  return kDone;
}

int add_photos(const Flags& flags) {
  NewContribution contribution;
  for (const std::string& text : flags.labels) {
    const auto equals = text.find('=');
    ContributionLabel label;
    if (equals != std::string::npos) label.target = text.substr(0, equals);
    label.label = equals == std::string::npos ? text : text.substr(equals + 1);
    contribution.labels.push_back(std::move(label));
  }
  contribution.consent = flags.consent;
  contribution.pseudonym = flags.pseudonym;
  ContributionStore store = open_store(flags, true);
  int exit = kDone;
  nlohmann::json receipts = nlohmann::json::array();
  for (const std::string& file : flags.photos) {
    const std::string bytes = read_file(file);
    contribution.photo = std::as_bytes(std::span(bytes.data(), bytes.size()));
    const auto receipt = store.add(contribution);
    if (!receipt) {
      tell("pomona: {}: {}\n", escape_path(file), receipt.error().reason);
      exit = kFailed;
    } else if (flags.json) {
      receipts.push_back({{"path", escape_path(file)},
                          {"id", receipt->id},
                          {"code", receipt->code},
                          {"date", receipt->date},
                          {"expires", receipt->expires}});
    } else {
      fmt::print("{}  {}  kept until {}\n", receipt->code, escape_path(file), receipt->expires);
    }
  }
  if (flags.json) print_json(receipts);
  return exit;
}

int make_pseudonym(const Flags& flags) {
  const std::string pseudonym = open_store(flags, true).new_pseudonym();
  if (flags.json) {
    print_json({{"pseudonym", pseudonym}});
  } else {
    fmt::print("{}\n", pseudonym);
  }
  return kDone;
}

int forget_contributor(const Flags& flags) {
  if (!open_store(flags).forget_contributor(flags.pseudonym)) {
    throw Error(ErrorCode::kNotFound, "'" + flags.pseudonym +
                                          "' is no pseudonym of this store. `pomona contributions list` "
                                          "names them.");
  }
  fmt::print("Forgotten: {} and its count. Its photos stay, nobody's.\n", flags.pseudonym);
  return kDone;
}

}  // namespace

void add_contributions(CLI::App& app, Action& action) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = app.add_subcommand("contributions", "Photos that people sent with a label of their own");
  verb->require_subcommand(1);
  verb->footer(
      "Examples:\n"
      "  pomona contributions list --folder contributions\n"
      "  pomona contributions export october/ && pomona train october/ -o october.onnx\n"
      "  pomona train --update fruit.onnx results/ contributions/\n"
      "  pomona contributions purge --older-than 14d --yes\n"
      "  pomona contributions delete 7Q2M-X0AB-...  the code its sender was given");
  verb->add_option("--folder", flags->folder, "Where they are kept")
      ->capture_default_str()
      ->envname("POMONA_CONTRIBUTIONS");
  const auto run = [flags, &action](CLI::App* part, int (*work)(const Flags&)) {
    part->callback(
        [flags, &action, work] { action = [flags, work](const Context&) { return work(*flags); }; });
  };
  const auto json = [flags](CLI::App* part) { part->add_flag("--json", flags->json, "As JSON"); };

  CLI::App* listed = verb->add_subcommand("list", "Labels, what the model had said, days; contributors");
  json(listed);
  run(listed, list);

  CLI::App* exported = verb->add_subcommand("export", "Photos in a folder per label, with tables");
  exported->add_option("DEST", flags->dest, "A folder that is not there yet")->required();
  run(exported, export_photos);

  CLI::App* purged = verb->add_subcommand("purge", "Remove photos that have been kept long enough");
  purged->add_option("--older-than", flags->age, "A number with s, m, h, d or w")->capture_default_str();
  purged->add_flag("--yes", flags->yes, "Remove; else only tell what would go");
  json(purged);
  run(purged, purge_photos);

  CLI::App* removed =
      verb->add_subcommand("delete", "Remove a photo by its code; names what was made with it");
  removed->add_option("CODE", flags->code, "As its sender was given it")->required();
  json(removed);
  run(removed, remove_photo);

  CLI::App* added = verb->add_subcommand("add", "Add photos, for example of a campaign without a server");
  added->add_option("PHOTO", flags->photos, "Files")->required();
  added->add_option("--label", flags->labels, "What they show; TARGET=LABEL for a model of several targets")
      ->required();
  added->add_option("--consent", flags->consent, "Version of the text that was agreed to")->required();
  added->add_option("--pseudonym", flags->pseudonym, "Of a contributor who wants to be counted");
  json(added);
  run(added, add_photos);

  CLI::App* named = verb->add_subcommand(
      "pseudonym", "Make a random name for a contributor who wants to be counted, and print it");
  json(named);
  run(named, make_pseudonym);

  CLI::App* forgotten =
      verb->add_subcommand("forget", "Remove a pseudonym and its count; the photos stay, nobody's");
  forgotten->add_option("PSEUDONYM", flags->pseudonym, "As `pomona contributions pseudonym` printed it")
      ->required();
  run(forgotten, forget_contributor);
}

}  // namespace pomona::cli
