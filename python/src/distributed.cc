// SPDX-License-Identifier: Apache-2.0
// What `pomona.spark` schedules: options, names and counts as JSON text in and out; no photo and no vector
// passes through Python.
#include <string>
#include <vector>

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <nlohmann/json.hpp>

#include "bindings.h"
#include "pomona/base/error.h"
#include "pomona/base/json_text.h"
#include "pomona/distributed/features_driver.h"
#include "pomona/distributed/job.h"
#include "pomona/distributed/listing_units.h"
#include "pomona/distributed/moments_tree.h"
#include "pomona/distributed/reduce_driver.h"
#include "pomona/distributed/shipment.h"
#include "pomona/distributed/worker.h"
#include "pomona/pipeline/run.h"

namespace nb = nanobind;

namespace pomona::python {
namespace {

using nlohmann::json;

json parse(const std::string& text) {
  json value = parse_json(text);
  if (value.is_discarded())
    throw Error(ErrorCode::kFormat,
                "a record of the job, which its driver wrote, is no JSON: " + text.substr(0, 100));
  return value;
}

// Runs `work` without the GIL; what is missing in its JSON is an error of ours.
template <typename Work>
std::string answer(Work work) {
  const nb::gil_scoped_release unlocked;
  try {
    return json(work()).dump(-1, ' ', false, json::error_handler_t::replace);
  } catch (const json::exception& error) {
    throw Error(ErrorCode::kFormat, std::string("a record of the job lacks something: ") + error.what());
  }
}

distributed::Job job_of(const std::string& text) {
  return distributed::job_from_json(parse(text));
}

}  // namespace

void bind_distributed(nb::module_& module) {
  nb::module_ m =
      module.def_submodule("distributed", "The engine's part of a job on many machines; see pomona.spark.");

  m.def("plan_shipment", [](const std::string& job) {
    return answer([&] { return distributed::plan_shipment(job_of(job)); });
  });
  m.def("plan_listing", [](const std::string& job, const std::string& run_id, std::size_t wanted) {
    return answer([&] { return distributed::plan_listing(job_of(job), run_id, wanted); });
  });
  m.def("cut_parts", [](const std::string& job, const std::string& chunks, std::uint64_t photos_per_part) {
    return answer([&] { return distributed::cut_parts(job_of(job), parse(chunks), photos_per_part); });
  });
  m.def("begin_features", [](const std::string& job, const std::string& facts) {
    return answer([&] { return distributed::begin_features(job_of(job), parse(facts)); });
  });
  m.def("publish", [](const std::string& place, const std::string& run_id, const std::string& staged) {
    return answer([&] {
      distributed::publish(place, run_id, parse(staged));
      return true;
    });
  });
  m.def("finish_features", [](const std::string& job, const std::string& what) {
    return answer([&] { return distributed::finish_features(job_of(job), parse(what)); });
  });
  m.def("drop_older_model", [](const std::string& dest, bool changed) {
    return answer([&] {
      std::vector<std::string> notes;
      Hooks hooks;
      hooks.note = [&](const std::string& text) { notes.push_back(text); };
      drop_older_model(dest, changed, hooks);
      return notes;
    });
  });
  m.def("drop_older_reduced", [](const std::string& dest) {
    return answer([&] {
      drop_older_reduced(dest);
      return true;
    });
  });
  m.def("merge_moments",
        [](const std::string& place, const std::string& run_id, const std::vector<std::string>& files) {
          return answer([&] { return distributed::merge_moments(place, run_id, files); });
        });
  m.def("fit_pca", [](const std::string& job, const std::string& place, const std::vector<std::string>& files,
                      const std::string& record, const std::string& output, int threads) {
    return answer(
        [&] { return distributed::fit_pca(job_of(job), place, files, parse(record), output, threads); });
  });
  m.def("begin_reduced", [](const std::string& job) {
    return answer([&] { return distributed::begin_reduced(job_of(job)); });
  });
  m.def("place_pca", [](const std::string& job, const std::string& run_id, const std::string& fitted) {
    return answer([&] { return distributed::place_pca(job_of(job), run_id, fitted); });
  });
  m.def("finish_reduced", [](const std::string& job, const std::string& what) {
    return answer([&] { return distributed::finish_reduced_dataset(job_of(job), parse(what)); });
  });
  m.attr("FAN_IN") = distributed::kFanIn;

  nb::class_<distributed::Worker>(m, "Worker", "What one Python worker of an executor keeps between tasks.")
      .def("__init__", [](distributed::Worker* self, const std::string& shipment, const std::string& folder,
                          int threads) { new (self) distributed::Worker(parse(shipment), folder, threads); })
      .def("prepare",
           [](distributed::Worker& w, bool head) { return answer([&] { return w.prepare(head); }); })
      .def("list",
           [](distributed::Worker& w, const std::string& run_id, const std::string& unit) {
             return answer([&] { return w.list(run_id, parse(unit)); });
           })
      .def("featurize",
           [](distributed::Worker& w, const std::string& task) {
             return answer([&] { return w.featurize(parse(task)); });
           })
      .def("part_moments",
           [](distributed::Worker& w, const std::string& task) {
             return answer([&] { return w.part_moments(parse(task)); });
           })
      .def("reduce", [](distributed::Worker& w,
                        const std::string& task) { return answer([&] { return w.reduce(parse(task)); }); })
      .def("conclude", [](distributed::Worker& w) { return answer([&] { return w.conclude(); }); });
}

}  // namespace pomona::python
