// SPDX-License-Identifier: Apache-2.0
// KServe's Open Inference Protocol, version 2, with its binary tensor extension.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "photos.h"
#include "pomona/base/error.h"

namespace pomona::server {
namespace {

using nlohmann::json;

constexpr std::string_view kHeaderLength = "Inference-Header-Content-Length";
constexpr std::size_t kMostValues = 2'000'000;  // of one JSON request; tensors with more come as binary data
constexpr int kDeepest = 12;

// What is wrong with a request, for its sender.
struct BadRequest {
  int status;
  std::string code;
  std::string message;
};

[[noreturn]] void bad(const std::string& message) {
  throw BadRequest{400, "bad_inference_request", message};
}

// Few bytes of JSON can become many of memory; whoever sends such is stopped on the way.
json parse_bounded(std::string_view text) {
  std::size_t values = 0;
  json parsed = json::parse(
      text,
      [&](int depth, json::parse_event_t event, const json&) {
        if (event == json::parse_event_t::array_end || event == json::parse_event_t::object_end) return true;
        if (depth > kDeepest) bad("the JSON is nested too deeply");
        if (++values > kMostValues) bad("the JSON holds too many values: send tensors as binary data");
        return true;
      },
      false);
  if (parsed.is_discarded() || !parsed.is_object()) bad("the request is not a JSON object");
  return parsed;
}

// The name of an output of target t: as in the model file.
std::string output_name(const char* stem, const Model& model, std::size_t t) {
  return t == 0 ? stem : std::string(stem) + "_" + model.predictor.model().targets[t].name;
}

json tensor(const std::string& name, const char* type, json shape) {
  return {{"name", name}, {"datatype", type}, {"shape", std::move(shape)}};
}

json metadata(const Model& model) {
  const ModelFile& file = model.predictor.model();
  const PreprocessSpec& spec = model.single.preprocess();
  json out = {{"name", model.name}, {"versions", {"1"}}, {"platform", "pomona"}};
  out["inputs"] = {tensor("photos", "BYTES", {-1}),
                   tensor("pixels", "UINT8", {-1, spec.height, spec.width, 3}),
                   tensor("features", "FP32", {-1, file.backbone.dimension})};
  if (model.predictor.takes_components() && file.pca) {
    out["inputs"].push_back(tensor("reduced", "FP32", {-1, file.pca->k()}));
  }
  out["outputs"] = json::array();
  for (std::size_t t = 0; t < file.targets.size(); ++t) {
    const auto& labels = file.targets[t].classifier.labels;
    out["outputs"].push_back(tensor(output_name("label", model, t), "BYTES", {-1}));
    out["outputs"].push_back(tensor(output_name("confident", model, t), "BOOL", {-1}));
    json probabilities = tensor(output_name("probabilities", model, t), "FP32", {-1, labels.size()});
    probabilities["parameters"] = {{"labels", labels}};
    out["outputs"].push_back(std::move(probabilities));
  }
  out["outputs"].push_back(tensor("unknown", "BOOL", {-1}));
  if (file.unknown) out["outputs"].push_back(tensor("distance", "FP32", {-1}));
  out["outputs"].push_back(tensor("features", "FP32", {-1, file.backbone.dimension}));
  return out;
}

// One inference request, taken apart.
struct Infer {
  std::string id;
  ModelPointer model;
  std::string input;  // photos | pixels | features | reduced
  std::size_t rows = 0;
  std::vector<std::string> blobs;                 // photos, decoded from base64
  std::vector<std::span<const std::byte>> bytes;  // photos or pixels
  std::vector<std::uint8_t> pixels;
  std::vector<float> numbers;
  std::set<std::string> wanted;        // outputs; empty = the usual
  std::map<std::string, bool> binary;  // outputs that say whether they come as binary data
  bool all_binary = false;             // those that do not

  // What the answer is made of.
  std::vector<Prediction> predictions;
  std::vector<std::vector<float>> features;
};

std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// The numbers of a JSON tensor, flat or nested.
template <typename Number>
void flatten(const json& data, std::vector<Number>& out, double low, double high) {
  if (data.is_array()) {
    for (const json& one : data) flatten(one, out, low, high);
    return;
  }
  if (!data.is_number()) bad("a tensor holds something that is no number");
  const double value = data.get<double>();
  if (!(value >= low && value <= high)) bad("a tensor holds a number out of its type's range");
  out.push_back(static_cast<Number>(value));
}

class Parser {
 public:
  Parser(const App& app, const Request& request, Infer& infer)
      : app_(app), request_(request), infer_(infer) {}

  void parse() {
    std::string_view text = request_.body;
    if (const auto length = request_.header("inference-header-content-length")) {
      std::size_t size = 0;
      const auto parsed = std::from_chars(length->data(), length->data() + length->size(), size);
      if (parsed.ec != std::errc() || parsed.ptr != length->data() + length->size() || size > text.size()) {
        bad(fmt::format("{} is not a length within the body", kHeaderLength));
      }
      binary_ = text.substr(size);
      text = text.substr(0, size);
    }
    const json body = parse_bounded(text);
    if (body.contains("id") && body["id"].is_string()) infer_.id = body["id"].get<std::string>();
    infer_.all_binary = flag(body, "binary_data_output").value_or(false);
    if (!body.contains("inputs") || !body["inputs"].is_array() || body["inputs"].size() != 1 ||
        !body["inputs"][0].is_object()) {
      bad("`inputs` must hold one tensor: photos, pixels, features or reduced");
    }
    input(body["inputs"][0]);
    if (!binary_.empty()) bad("there are more binary data than the tensors say");
    if (body.contains("outputs")) outputs(body["outputs"]);
  }

 private:
  static std::optional<bool> flag(const json& holder, const char* name) {
    const auto parameters = holder.find("parameters");
    if (parameters == holder.end() || !parameters->is_object() || !parameters->contains(name) ||
        !(*parameters)[name].is_boolean()) {
      return std::nullopt;
    }
    return (*parameters)[name].get<bool>();
  }

  static std::string text_of(const json& holder, const char* name) {
    if (!holder.contains(name) || !holder[name].is_string()) bad(fmt::format("a tensor has no `{}`", name));
    return holder[name].get<std::string>();
  }

  void input(const json& given) {
    infer_.input = text_of(given, "name");
    const std::string type = text_of(given, "datatype");
    const json known = metadata(*infer_.model);
    const json* expected = nullptr;
    for (const json& one : known["inputs"]) {
      if (one["name"] == infer_.input) expected = &one;
    }
    if (expected == nullptr) bad("the model has no input of that name: GET /v2/models/NAME lists them");
    if ((*expected)["datatype"] != type) {
      bad(fmt::format("`{}` is of type {}", infer_.input, (*expected)["datatype"].get<std::string>()));
    }
    const json& wanted = (*expected)["shape"];
    if (!given.contains("shape") || !given["shape"].is_array()) bad("a tensor has no `shape`");
    json shape = given["shape"];
    // Photos may come as a column, as some clients send them.
    if (infer_.input == "photos" && shape.size() == 2 && shape[1] == 1) shape.erase(1);
    bool fits = shape.size() == wanted.size();
    for (std::size_t i = 0; fits && i < shape.size(); ++i) {
      fits = shape[i].is_number_integer() && (i == 0 ? shape[i] >= 1 : shape[i] == wanted[i]);
    }
    if (!fits) bad(fmt::format("`{}` has the shape {}", infer_.input, wanted.dump()));
    if (shape[0] > app_.limits.max_photos) {
      throw BadRequest{413, "too_many_photos",
                       fmt::format("at most {} photos in one request", app_.limits.max_photos)};
    }
    infer_.rows = shape[0].get<std::size_t>();
    row_ = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) row_ *= shape[i].get<std::size_t>();
    const auto parameters = given.find("parameters");
    if (parameters != given.end() && parameters->is_object() && parameters->contains("binary_data_size")) {
      binary_tensor((*parameters)["binary_data_size"]);
    } else if (given.contains("data")) {
      json_tensor(given["data"]);
    } else {
      bad("the tensor has no `data`");
    }
  }

  void binary_tensor(const json& size) {
    if (!size.is_number_unsigned() || size > binary_.size()) bad("`binary_data_size` is not within the body");
    std::string_view own = binary_.substr(0, size.get<std::size_t>());
    binary_.remove_prefix(own.size());
    if (infer_.input == "photos") {
      for (std::size_t i = 0; i < infer_.rows; ++i) {
        std::uint32_t length = 0;
        if (own.size() < sizeof length) bad("the photos' binary data are cut off");
        std::memcpy(&length, own.data(), sizeof length);
        own.remove_prefix(sizeof length);
        if (length > own.size()) bad("the photos' binary data are cut off");
        infer_.bytes.push_back(as_bytes(own.substr(0, length)));
        own.remove_prefix(length);
      }
      if (!own.empty()) bad("the photos' binary data are longer than they say");
    } else if (infer_.input == "pixels") {
      if (own.size() != infer_.rows * row_) bad("the binary data do not have the tensor's size");
      rows_of_pixels(as_bytes(own));
    } else {
      if (own.size() != infer_.rows * row_ * sizeof(float))
        bad("the binary data do not have the tensor's size");
      infer_.numbers.resize(infer_.rows * row_);
      std::memcpy(infer_.numbers.data(), own.data(), own.size());
      for (const float value : infer_.numbers) {
        if (!std::isfinite(value)) bad("a tensor holds something that is no finite number");
      }
    }
  }

  void json_tensor(const json& data) {
    if (infer_.input == "photos") return photos(data);
    if (infer_.input == "pixels") {
      flatten(data, infer_.pixels, 0, 255);
      if (infer_.pixels.size() != infer_.rows * row_) bad("the data do not have the tensor's size");
      return rows_of_pixels(std::as_bytes(std::span(infer_.pixels)));
    }
    flatten(data, infer_.numbers, -3e38, 3e38);
    if (infer_.numbers.size() != infer_.rows * row_) bad("the data do not have the tensor's size");
  }

  void photos(const json& data) {
    if (!data.is_array() || data.size() != infer_.rows)
      bad("`data` does not hold as many photos as `shape` says");
    for (json one : data) {
      if (one.is_array() && one.size() == 1) one = json(one[0]);
      if (one.is_object() && one.contains("b64")) one = json(one["b64"]);
      if (!one.is_string()) bad("a photo in JSON is a string of base64");
      auto decoded = base64_decode(one.get_ref<const std::string&>());
      if (!decoded) bad("a photo is not valid base64");
      infer_.blobs.push_back(std::move(*decoded));
    }
    for (const std::string& blob : infer_.blobs) infer_.bytes.push_back(as_bytes(blob));
  }

  void rows_of_pixels(std::span<const std::byte> all) {
    for (std::size_t i = 0; i < infer_.rows; ++i) infer_.bytes.push_back(all.subspan(i * row_, row_));
  }

  void outputs(const json& given) {
    if (!given.is_array()) bad("`outputs` is not a list");
    const json known = metadata(*infer_.model);
    for (const json& one : given) {
      if (!one.is_object()) bad("`outputs` holds something that is no tensor");
      const std::string name = text_of(one, "name");
      bool there = false;
      for (const json& output : known["outputs"]) there = there || output["name"] == name;
      if (!there) bad("the model has no output of a name that was asked for: GET /v2/models/NAME lists them");
      infer_.wanted.insert(name);
      if (const auto binary = flag(one, "binary_data")) infer_.binary[name] = *binary;
    }
  }

  const App& app_;
  const Request& request_;
  Infer& infer_;
  std::string_view binary_;
  std::size_t row_ = 1;  // numbers of one row
};

// Puts the outputs of an answered request together.
class Writer {
 public:
  explicit Writer(const Infer& infer) : infer_(infer) {}

  Response write() {
    const Model& model = *infer_.model;
    const auto& targets = model.predictor.model().targets;
    const std::size_t n = infer_.rows;
    for (std::size_t t = 0; t < targets.size(); ++t) {
      const auto& labels = targets[t].classifier.labels;
      texts(output_name("label", model, t), [&](std::size_t i) {
        return labels[static_cast<std::size_t>(infer_.predictions[i].targets[t].best)];
      });
      flags(output_name("confident", model, t),
            [&](std::size_t i) { return infer_.predictions[i].targets[t].confident; });
      floats(output_name("probabilities", model, t), {n, labels.size()},
             [&](std::size_t i) { return std::span<const float>(infer_.predictions[i].probabilities[t]); });
    }
    flags("unknown", [&](std::size_t i) { return infer_.predictions[i].unknown; });
    if (std::ranges::all_of(infer_.predictions,
                            [](const Prediction& one) { return one.distance.has_value(); })) {
      floats("distance", {n}, [&](std::size_t i) { return std::span(&*infer_.predictions[i].distance, 1); });
    }
    if (infer_.wanted.contains("features")) {
      const auto d = static_cast<std::size_t>(model.predictor.dimension());
      floats("features", {n, d}, [&](std::size_t i) {
        return infer_.features.empty() ? std::span(infer_.numbers).subspan(i * d, d)
                                       : std::span<const float>(infer_.features[i]);
      });
    }
    json head = {{"model_name", model.name}, {"model_version", "1"}, {"outputs", std::move(outputs_)}};
    if (!infer_.id.empty()) head["id"] = infer_.id;
    Response response = json_response(head);
    if (!binary_.empty()) {
      response.content_type = "application/octet-stream";
      response.headers.emplace_back(kHeaderLength, std::to_string(response.body.size()));
      response.body += binary_;
    }
    return response;
  }

 private:
  bool wants(const std::string& name) const { return infer_.wanted.empty() || infer_.wanted.contains(name); }
  bool binary(const std::string& name) const {
    const auto own = infer_.binary.find(name);
    return own == infer_.binary.end() ? infer_.all_binary : own->second;
  }

  void put(json output, const std::string& bytes) {
    output["parameters"] = {{"binary_data_size", bytes.size()}};
    binary_ += bytes;
    outputs_.push_back(std::move(output));
  }

  template <typename Of>
  void texts(const std::string& name, const Of& of) {
    if (!wants(name)) return;
    json output = tensor(name, "BYTES", {infer_.rows});
    std::string bytes;
    json data = json::array();
    for (std::size_t i = 0; i < infer_.rows; ++i) {
      const std::string& text = of(i);
      const auto length = static_cast<std::uint32_t>(text.size());
      bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
      bytes += text;
      data.push_back(text);
    }
    if (binary(name)) return put(std::move(output), bytes);
    output["data"] = std::move(data);
    outputs_.push_back(std::move(output));
  }

  template <typename Of>
  void flags(const std::string& name, const Of& of) {
    if (!wants(name)) return;
    json output = tensor(name, "BOOL", {infer_.rows});
    std::string bytes;
    json data = json::array();
    for (std::size_t i = 0; i < infer_.rows; ++i) {
      bytes += of(i) ? '\1' : '\0';
      data.push_back(static_cast<bool>(of(i)));
    }
    if (binary(name)) return put(std::move(output), bytes);
    output["data"] = std::move(data);
    outputs_.push_back(std::move(output));
  }

  template <typename Of>
  void floats(const std::string& name, json shape, const Of& of) {
    if (!wants(name)) return;
    json output = tensor(name, "FP32", std::move(shape));
    std::string bytes;
    json data = json::array();
    const bool as_bytes = binary(name);
    for (std::size_t i = 0; i < infer_.rows; ++i) {
      const std::span<const float> row = of(i);
      if (as_bytes) {
        bytes.append(reinterpret_cast<const char*>(row.data()), row.size_bytes());
      } else {
        for (const float value : row) data.push_back(shortest(value));
      }
    }
    if (as_bytes) return put(std::move(output), bytes);
    output["data"] = std::move(data);
    outputs_.push_back(std::move(output));
  }

  const Infer& infer_;
  json outputs_ = json::array();
  std::string binary_;
};

Response no_model() {
  return error_response(404, "no_such_model",
                        "there is no model of that name: GET /v1/models lists those there are");
}

void infer(App& app, Call call, Reply reply) {
  auto job = std::make_shared<Infer>();
  job->model = app.models.find(call.arguments[0]);
  if (!job->model) return reply(no_model());
  try {
    Parser(app, *call.request, *job).parse();
  } catch (const BadRequest& wrong) {
    return reply(error_response(wrong.status, wrong.code, wrong.message));
  }
  if (job->input == "features" || job->input == "reduced") {
    const Predictor& predictor = job->model->predictor;
    if (job->input == "reduced" && job->wanted.contains("features")) {
      return reply(error_response(400, "bad_inference_request", "features cannot be made from components"));
    }
    call.request->photos = job->rows;
    job->predictions = job->input == "features" ? predictor.predict(job->numbers, job->rows)
                                                : predictor.predict_components(job->numbers, job->rows);
    return reply(Writer(*job).write());
  }
  // The photos' bytes lie in the job or in the request, which the job's owner keeps.
  Photos photos;
  photos.bytes = job->bytes;
  run_photos(
      app, call.request, job->model, std::move(photos), true, std::move(reply),
      [job, request = call.request](Work& work, Reply answer) {
        for (std::size_t i = 0; i < work.answers.size(); ++i) {
          if (work.answers[i].rejection) {
            return answer(error_response(422, "not_a_photo",
                                         fmt::format("photo {}: {}", i, work.answers[i].rejection->reason)));
          }
          job->predictions.push_back(std::move(work.answers[i].prediction));
          job->features.push_back(std::move(work.answers[i].features));
        }
        answer(Writer(*job).write());
      },
      job->input == "pixels");
}

Handler always(json body) {
  return [body = std::move(body)](const Call&, Reply reply) { reply(json_response(body)); };
}

}  // namespace

void add_kserve_routes(Router& router, App& app) {
  router.add(
      {"GET", "/v2", kNobody, Body::kNone, RunOn::kListener,
       always({{"name", "pomona"}, {"version", POMONA_VERSION}, {"extensions", {"binary_tensor_data"}}})});
  router.add({"GET", "/v2/health/live", kNobody, Body::kNone, RunOn::kListener, always({{"live", true}})});
  router.add(
      {"GET", "/v2/health/ready", kNobody, Body::kNone, RunOn::kListener, [&app](const Call&, Reply reply) {
         const bool ready = app.ready();
         Response response = json_response({{"ready", ready}});
         response.status = ready ? 200 : 503;
         reply(std::move(response));
       }});
  router.add({"GET", "/v2/models/{name}", kClassify, Body::kNone, RunOn::kListener,
              [&app](const Call& call, Reply reply) {
                const ModelPointer model = app.models.find(call.arguments[0]);
                reply(model ? json_response(metadata(*model)) : no_model());
              }});
  router.add({"GET", "/v2/models/{name}/ready", kClassify, Body::kNone, RunOn::kListener,
              [&app](const Call& call, Reply reply) {
                const ModelPointer model = app.models.find(call.arguments[0]);
                reply(model ? json_response({{"name", model->name}, {"ready", true}}) : no_model());
              }});
  router.add({"POST", "/v2/models/{name}/infer", kClassify, Body::kPhotos, RunOn::kChores,
              [&app](Call call, Reply reply) { infer(app, std::move(call), std::move(reply)); }});
}

}  // namespace pomona::server
