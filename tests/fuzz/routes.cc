// SPDX-License-Identifier: Apache-2.0
// The server's handlers with a small model, contributions and similar photos, without sockets. Input: words
// (method and target, content type, header of lengths or accepted types), each ended by a zero byte, the
// body.
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "fuzz.h"
#include "pomona/contributions/contributions.h"
#include "pomona/storage/dataset.h"
#include "server/routes/app.h"
#include "tiny_model.h"

using namespace pomona;
using namespace pomona::server;

namespace {

EngineOptions engine_options() {
  EngineOptions options;
  options.workers = 1;
  options.max_pixels = 1 << 18;
  return options;
}

ModelPointer make_model() {
  const ModelFile file = parse_model_file(serialize_model_file(fuzz::tiny_model()), "tiny.onnx");
  NetworkOptions options;
  options.precision = Precision::kF32;
  options.compile_cache = false;
  options.streams = 1;
  options.batch = 1;
  Network one = load_network(file, options);
  options.batch = 2;
  Network batch = load_network(file, options);
  auto model =
      std::make_shared<Model>("tiny", "tiny.onnx", Predictor(file), std::move(one), std::move(batch));
  model->identity = model->single.fingerprint().identity_hash();
  return model;
}

// A dataset of three rows with the model's fingerprint.
std::string make_dataset(const Model& model) {
  const std::string place = (fuzz::scratch() / "dataset").string();
  const Store store = Store::open(place);
  Schema schema;
  schema.d = model.predictor.dimension();
  schema.labels = true;
  const std::string run = "0123456789abcdef";
  begin_run(store, run, nlohmann::json::object());
  PartWriter writer(store, schema, run, 0);
  Block block;
  for (int i = 0; i < 3; ++i) {
    RowInfo row;
    row.path = "a/" + std::to_string(i) + ".jpg";
    row.label = "apple";
    block.rows.push_back(row);
    for (int k = 0; k < schema.d; ++k) block.vectors.push_back(static_cast<float>(k == i));
  }
  writer.write(block);
  const PartRecord part = writer.finish({});
  finish_run(store, {{"run_id", run}, {"fingerprint", to_json(model.single.fingerprint())}}, {part});
  return place;
}

class Running {
 public:
  Running() : engine_(engine_options(), [](std::size_t, double) {}), chores_(1, 64) {
    for (const char* name : {"pomona_photos_total", "pomona_events_total", "pomona_contributions_total"}) {
      metrics_.describe_counter(name, "What the handlers count.");
    }
    const auto set = std::make_shared<const ModelSet>(ModelSet{make_model()});
    engine_.prepare(set);
    models_.use(set);
    app_.limits.max_photos = 8;
    app_.similar = std::make_unique<SimilarIndex>(make_dataset(*set->front()),
                                                  set->front()->single.fingerprint(), [](const auto&) {});
    ContributionOptions options;
    options.max_pixels = 1 << 18;
    app_.contributions = std::make_unique<ContributionStore>(
        ContributionStore::open((fuzz::scratch() / "contributions").string(), options));
  }
  ~Running() {
    engine_.end();
    chores_.end();
  }

  // Nothing where the server would refuse the request before its handler.
  std::optional<Response> answer(std::shared_ptr<Request> request) {
    Match match = router_.find(request->method, request->path);
    if (match.route == nullptr) return std::nullopt;
    const std::size_t most = match.route->body == Body::kNone    ? 0
                             : match.route->body == Body::kSmall ? app_.limits.max_small_body
                                                                 : app_.limits.max_body;
    if (request->body.size() > most) return std::nullopt;
    auto waiting = std::make_shared<Waiting>();
    match.route->handler(Call{std::move(request), std::move(match.arguments)}, Reply(Pending(waiting)));
    std::unique_lock lock(waiting->mutex);
    fuzz::require(waiting->ready.wait_for(lock, std::chrono::seconds(10), [&] { return waiting->done; }),
                  "a request that is not answered");
    return std::move(waiting->response);
  }

 private:
  struct Waiting {
    std::mutex mutex;
    std::condition_variable ready;
    bool done = false;
    std::optional<Response> response;
  };
  // A reply that is let go of unused is an answer 500: not what a request may bring about.
  class Pending {
   public:
    explicit Pending(std::shared_ptr<Waiting> waiting) : waiting_(std::move(waiting)) {}
    Pending(Pending&&) noexcept = default;
    Pending& operator=(Pending&&) = delete;
    ~Pending() {
      if (waiting_) fuzz::finding("a request was given up");
    }
    void operator()(Response response) {
      const auto waiting = std::move(waiting_);
      if (!waiting) return;
      const std::lock_guard lock(waiting->mutex);
      waiting->response = std::move(response);
      waiting->done = true;
      waiting->ready.notify_all();
    }

   private:
    std::shared_ptr<Waiting> waiting_;
  };

  Models models_;
  Metrics metrics_;
  Engine engine_;
  Chores chores_;
  App app_{models_, engine_, chores_, metrics_, {}, {}, {}, std::chrono::hours(24), "{}", [] { return true; },
           [] {},   true};
  Router router_ = make_router(app_);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Running running;
  fuzz::Input input(data, size);
  auto request = std::make_shared<Request>();
  std::string_view line = input.word();
  const std::size_t space = line.find(' ');
  request->method = line.substr(0, space);
  if (space != std::string_view::npos) request->target = line.substr(space + 1);
  request->headers = {{"host", "fuzz"}, {"content-type", std::string(input.word())}};
  const std::string more(input.word());
  if (!more.empty()) {
    const bool number = more.find_first_not_of("0123456789") == std::string::npos;
    request->headers.emplace_back(number ? "inference-header-content-length" : "accept", more);
  }
  request->body = input.text();
  request->client = "127.0.0.1";
  if (!parse_target(*request)) return 0;
  const auto response = running.answer(request);
  if (!response) return 0;
  fuzz::require(response->status != 500, "a request brought about an internal error");
  if (response->content_type == "application/json" && response->status != 304) {
    fuzz::require(nlohmann::json::accept(response->bytes()), "an answer that says it is JSON and is not");
  }
  return 0;
}
