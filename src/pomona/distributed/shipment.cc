// SPDX-License-Identifier: Apache-2.0
#include "pomona/distributed/shipment.h"

#include <filesystem>
#include <utility>

#include "pomona/base/error.h"
#include "pomona/model/network_file.h"
#include "pomona/model/registry.h"
#include "pomona/pipeline/label_table.h"
#include "pomona/pipeline/network_record.h"
#include "pomona/storage/store.h"

namespace pomona::distributed {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_file(const std::string& name) {
  std::error_code ignored;
  return fs::is_regular_file(name, ignored);
}

bool names_a_file(const std::string& model) {
  std::error_code ignored;
  const std::string extension = fs::path(model).extension().string();
  return model.find('/') != std::string::npos || extension == ".onnx" || extension == ".xml" ||
         extension == ".tflite" || fs::exists(fs::path(model) / "saved_model.pb", ignored);
}

class Shipment {
 public:
  std::string file(const fs::path& path, const std::string& name) {
    files_.push_back({{"path", fs::absolute(path).lexically_normal().string()}, {"name", name}});
    return "@/" + name;
  }
  std::string text(const std::string& name, std::string text) {
    texts_.push_back({{"name", name}, {"text", std::move(text)}});
    return "@/" + name;
  }
  // The network's files keep their places relative to each other.
  std::string network(const fs::path& file) {
    const fs::path own = fs::absolute(file).lexically_normal();
    for (const fs::path& one : network_files(own)) {
      const fs::path beside = fs::absolute(one).lexically_normal().lexically_relative(own.parent_path());
      if (beside.empty() || *beside.begin() == "..") {
        throw Error(ErrorCode::kUsage, own.string() + " keeps weights in " + one.string() +
                                           ", outside of its own folder: put them beside it");
      }
      this->file(one, "network/" + beside.generic_string());
    }
    return "@/network/" + own.filename().string();
  }
  json files_ = json::array();
  json texts_ = json::array();
};

}  // namespace

json plan_shipment(const Job& job) {
  json out = to_json(job);
  Shipment shipment;
  json record;
  if (out.contains("featurize")) {
    json& network = out["featurize"]["network"];
    record["network"] = network;
    const std::string& model = job.featurize.network.model;
    if (names_a_file(model)) {
      record["model"] = fs::weakly_canonical(model).filename().string();
      network["model"] = shipment.network(model);
    } else {
      const ModelCard card = find_model(model);
      if (!card.installed) {
        throw Error(ErrorCode::kNotFound,
                    "the network " + card.name + " is not on this machine: " +
                        (card.url.empty() ? "`make build` puts it at " + card.file.string()
                                          : "`pomona models pull " + card.name + "` fetches it"));
      }
      record["model"] = card.name;
      network["model"] = shipment.network(card.file);
      if (!job.featurize.network.preprocess)
        network["preprocess"] = shipment.text("preprocess.json", pomona::to_json(card.preprocess).dump());
      if (!job.featurize.network.input_size) network["input_size"] = card.preprocess.width;
      if (job.featurize.network.layer == "penultimate") network["layer"] = card.layer;
    }
    if (const auto& preprocess = job.featurize.network.preprocess; preprocess && is_file(*preprocess)) {
      network["preprocess"] = shipment.file(*preprocess, "preprocess.json");
    }

    const std::string& labels = job.featurize.labels;
    record["labels"] = labels;
    if (labels != "none" && labels != "folder" && !is_remote_uri(labels)) {
      // FILE[:COLUMNS]; a file's own name may hold a colon.
      std::string file = labels;
      if (!is_file(file) && file.rfind(':') != std::string::npos) file.resize(file.rfind(':'));
      const std::string shipped =
          shipment.file(file, "labels/" + fs::path(file).filename().string()) + labels.substr(file.size());
      out["featurize"]["labels"] = shipped;
      if (job.conclude && job.conclude->train && job.conclude->train->data.labels == labels)
        out["conclude"]["train"]["labels"] = shipped;
    }
  }
  return {{"job", std::move(out)},
          {"files", std::move(shipment.files_)},
          {"texts", std::move(shipment.texts_)},
          {"record", std::move(record)}};
}

Job localized(json job, const std::string& folder) {
  const auto place = [&](json& value) {
    if (value.is_string() && value.get_ref<const std::string&>().starts_with("@/"))
      value = folder + value.get<std::string>().substr(1);
  };
  if (job.contains("featurize")) {
    place(job["featurize"]["labels"]);
    for (const char* key : {"model", "preprocess"}) {
      if (job["featurize"]["network"].contains(key)) place(job["featurize"]["network"][key]);
    }
  }
  if (job.contains("conclude") && job["conclude"].contains("train"))
    place(job["conclude"]["train"]["labels"]);
  return job_from_json(job);
}

}  // namespace pomona::distributed
