// SPDX-License-Identifier: Apache-2.0
// Records in JSON that travel between machines or lie beside data: run records and evaluations (for the
// report), jobs, schemas and parts of a cluster, preprocessing, fingerprints, cards of added networks. Input:
// a byte of choices, the JSON.
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "pomona/distributed/job.h"
#include "pomona/distributed/shipment.h"
#include "pomona/model/fingerprint.h"
#include "pomona/model/preprocess.h"
#include "pomona/model/registry.h"
#include "pomona/report/records.h"
#include "pomona/report/render.h"
#include "pomona/storage/dataset.h"

using namespace pomona;
using nlohmann::json;

namespace {

void report_of(const json& record, bool evaluation) {
  ReportData data;
  if (evaluation) {
    add_evaluation(record, 24, data);
  } else {
    add_run_record(record, data);
    add_later_step(record, "reduce", data);
  }
  const std::string page = render_report(data);
  fuzz::require(!page.empty(), "a report without a page");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t choices = input.byte();
  if (choices % 8 == 0) {
    // As `pomona models list` finds it.
    static const bool home = ::setenv("POMONA_HOME", fuzz::scratch().c_str(), 1) == 0;
    fuzz::require(home, "no environment");
    fuzz::write_scratch("models/mine/card.json", input.text());
    fuzz::accepts([&] { static_cast<void>(list_models()); });
    fuzz::accepts([&] { static_cast<void>(find_model("mine")); });
    return 0;
  }
  const json record = json::parse(input.text(), nullptr, false);
  if (record.is_discarded()) return 0;
  switch (choices % 8) {
    case 1:
      report_of(record, false);
      break;
    case 2:
      report_of(record, true);
      break;
    case 3:
      fuzz::accepts([&] {
        const distributed::Job job = distributed::job_from_json(record);
        distributed::job_from_json(distributed::to_json(job));
      });
      break;
    case 4:
      fuzz::accepts([&] { distributed::to_json(distributed::schema_from_json(record)); });
      break;
    case 5:
      fuzz::accepts([&] { to_json(part_from_json(record)); });
      break;
    case 6:
      fuzz::accepts([&] { to_json(preprocess_from_json(record)); });
      break;
    default:
      fuzz::accepts([&] { to_json(fingerprint_from_json(record)); });
  }
  return 0;
}
