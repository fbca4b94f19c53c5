// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "pomona/report/report_data.h"

namespace pomona {

// What run records and evaluations say, put into `data`. Fields that are missing or of another type are left
// out: a report is made of whatever is there.

// `_run.json` of the features, and of the whole run where there is one (null else): facts, versions, options,
// counts, stages, timeline, reasons of rejects.
void add_run_record(const nlohmann::json& run, ReportData& data);

// Adds the stages of a later step (the reduction's `_run.json`): their seconds, and on the timeline after
// what is there already.
void add_later_step(const nlohmann::json& run, const std::string& name, ReportData& data);

// evaluation.json: accuracy (with accuracy_low, accuracy_high), balanced_accuracy, top3, classifier, split,
// classes, per_class, confusion, mistakes (of which the `most_mistakes` surest stay) and mistakes_total,
// components_needed and components_needed_by; steps [{stage, seconds}] that follow on the timeline.
void add_evaluation(const nlohmann::json& evaluation, std::size_t most_mistakes, ReportData& data);

// Groups reasons that differ in their numbers only; the most frequent first, at most 30 groups.
std::vector<RejectGroup> group_rejects(std::vector<RejectGroup> rejects);

}  // namespace pomona
