// SPDX-License-Identifier: Apache-2.0
#include "pomona/pipeline/resume_plan.h"

#include <algorithm>
#include <cstring>

#include "pomona/base/error.h"
#include "pomona/base/json_text.h"

namespace pomona {
namespace {

void append_integer(std::string& to, std::int64_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  to.append(bytes, sizeof value);
}

// The fields in which two headers differ, one a line.
std::string differences(const nlohmann::json& now, const nlohmann::json& then,
                        const std::string& prefix = "") {
  std::string lines;
  for (const auto& [key, value] : now.items()) {
    const nlohmann::json other = then.is_object() ? then.value(key, nlohmann::json()) : nlohmann::json();
    if (value == other) continue;
    if (value.is_object() && other.is_object()) {
      lines += differences(value, other, prefix + key + ".");
    } else {
      lines += "\n  " + prefix + key + ": now " + value.dump() + ", there " + other.dump();
    }
  }
  return lines;
}

nlohmann::json read_run_record(const Store& dest) {
  auto run = parse_json(dest.read("_run.json"));
  if (!run.is_object()) {
    throw Error(ErrorCode::kFormat, dest.uri() +
                                        "/_run.json is damaged, so it is not known how the dataset was made. "
                                        "Use --overwrite, or another folder.");
  }
  require_known_format(run, dest.uri());
  return run;
}

// Whether the files of a part are there, as large as recorded: a lost part is made again.
bool stands(const Store& dest, const PartRecord& part) {
  if (!part.file.empty() && dest.size(part.file) != static_cast<std::int64_t>(part.bytes)) return false;
  return part.rejects_file.empty() || dest.size(part.rejects_file) >= 0;
}

}  // namespace

void ListingDigest::add(const Entry& entry) {
  append_integer(pending_, static_cast<std::int64_t>(entry.path.size()));
  pending_ += entry.path;
  append_integer(pending_, entry.bytes);
  append_integer(pending_, entry.mtime_ns);
  pass_on();
}

void ListingDigest::add(const std::optional<std::string>& word) {
  append_integer(pending_, word ? static_cast<std::int64_t>(word->size()) : -1);
  if (word) pending_ += *word;
  pass_on();
}

void ListingDigest::pass_on() {
  if (pending_.size() < (64U << 10)) return;
  pending_.append(reinterpret_cast<const char*>(chain_.data()), chain_.size());
  chain_ = content_hash(std::as_bytes(std::span(pending_)));
  pending_.clear();
}

std::string ListingDigest::hex() {
  pending_.append(reinterpret_cast<const char*>(chain_.data()), chain_.size());
  const std::string digest = to_hex(content_hash(std::as_bytes(std::span(pending_))));
  pending_.clear();
  chain_ = {};
  return digest;
}

void ToldDigest::add(const RowDescriber& rows, const Entry& entry, const Schema& schema) {
  if (!schema.labels && !schema.splits) return;
  const RowInfo row = rows.describe(entry);
  labelled_ = labelled_ || row.label.has_value();
  if (first_path_.empty()) first_path_ = row.path;
  if (schema.labels) digest_.add(row.label);
  if (schema.splits) digest_.add(row.split);
}

const PartRecord* ResumePlan::find(std::uint64_t first, const std::string& digest,
                                   const std::string& told) const {
  const auto at = std::ranges::find_if(parts, [&](const PartRecord& part) {
    return part.extra.value("first", std::uint64_t{0}) == first && part.extra.value("digest", "") == digest &&
           part.extra.value("told", told) == told && part.extra.value("unread", std::uint64_t{0}) == 0;
  });
  return at == parts.end() ? nullptr : &*at;
}

bool ResumePlan::may_cover(std::uint64_t first) const {
  return std::ranges::any_of(
      parts, [&](const PartRecord& part) { return part.extra.value("first", std::uint64_t{0}) == first; });
}

ResumePlan plan_resume(const Store& dest, const nlohmann::json& header, bool resume, bool overwrite) {
  ResumePlan plan;
  const bool can_resume = header.value("kind", "") == "features";
  const DatasetState state = dataset_state(dest);
  if (state == DatasetState::kForeign) {
    throw Error(ErrorCode::kExists,
                dest.uri() +
                    " holds files that are not a Pomona dataset. Choose an empty or new folder: "
                    "nothing there was touched.");
  }
  if (state != DatasetState::kAbsent && overwrite) {
    remove_dataset(dest);
  } else if (state != DatasetState::kAbsent && !resume) {
    throw Error(ErrorCode::kExists,
                dest.uri() +
                    (state == DatasetState::kFinished ? " holds a finished dataset. "
                                                      : " holds an unfinished dataset. ") +
                    (!can_resume ? "--overwrite replaces it, or choose another folder."
                     : state == DatasetState::kFinished
                         ? "--resume adds what is new, --overwrite replaces it, or choose another folder."
                         : "--resume goes on with it, --overwrite begins again."));
  }
  if (state == DatasetState::kAbsent || overwrite) {
    plan.run_id = plan.file_id = new_run_id();
    return plan;
  }

  const auto check = [&](const nlohmann::json& there) {
    if (const std::string lines = differences(header, there); !lines.empty()) {
      throw Error(ErrorCode::kMismatch, dest.uri() + " was made otherwise, so it cannot be resumed:" + lines +
                                            "\nUse the same options, another folder, or --overwrite.");
    }
  };
  if (const auto unfinished = find_unfinished(dest)) {
    check(unfinished->header);
    plan.run_id = unfinished->run_id;
    plan.header = unfinished->header;
    plan.parts = unfinished->parts;
  } else {
    plan.run_id = new_run_id();
  }
  if (dest.exists("_run.json")) {
    plan.old_run = read_run_record(dest);
    plan.header = plan.old_run.value("header", nlohmann::json::object());
    check(plan.header);
    for (const nlohmann::json& json : plan.old_run.value("parts", nlohmann::json::array())) {
      const PartRecord part = part_from_json(json);
      const bool known = std::ranges::any_of(
          plan.parts, [&](const PartRecord& p) { return p.file == part.file && p.index == part.index; });
      if (!known && stands(dest, part)) plan.parts.push_back(part);
    }
  }
  plan.file_id = new_run_id();
  dest.remove("_SUCCESS");
  return plan;
}

}  // namespace pomona
