// SPDX-License-Identifier: Apache-2.0
// pomona-report-sample REPORT.html [CLASSES [POINTS]]: a report with every section, made of drawn pictures
// and of names that try to break the page. Its figures follow from a fixed seed. pomona-report-sample
// --slides REPORT.html DIR: its slides.

#include <cmath>
#include <cstdint>
#include <exception>
#include <iostream>
#include <random>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "pomona/base/paths.h"
#include "pomona/image/encode.h"
#include "pomona/report/collect.h"
#include "pomona/report/render.h"
#include "pomona/report/slides.h"

namespace {

using namespace pomona;

// A round fruit on white.
Thumbnail draw_fruit(int hue, const std::string& path) {
  Image image;
  image.reset(64, 48);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const double r = std::hypot(x - 32, y - 24) / 20;
      const auto pixel = image.pixels.begin() + 3L * (y * image.width + x);
      for (int c = 0; c < 3; ++c) {
        const double shade = 120 + 100 * std::cos(0.7 * hue + 2.1 * c);
        pixel[c] = static_cast<std::uint8_t>(r < 1 ? shade * (1.1 - 0.4 * r) : 255);
      }
    }
  }
  const auto jpeg = encode_jpeg(image, 75);
  return {path, {reinterpret_cast<const char*>(jpeg.data()), jpeg.size()}, image.width, image.height};
}

std::string class_name(std::size_t i) {
  static constexpr std::string_view kHostile[] = {"</script><script>alert(1)</script>",
                                                  "<img src=x onerror=alert(2)>", "Apfel \"Größe\" & 'Süß'",
                                                  "りんご", "{{data}}"};
  return i < std::size(kHostile) ? std::string(kHostile[i]) : fmt::format("Variety {}", i);
}

void add_photos(ReportData& data, std::size_t classes, std::size_t points, std::mt19937& random) {
  std::normal_distribution<float> noise(0, 1);
  for (std::size_t i = 0; i < 60; ++i) {
    data.thumbnails.push_back(draw_fruit(static_cast<int>(i % classes),
                                         fmt::format("s3://b/{}/\"quoted\" & <b>{}.jpg", i % classes, i)));
    data.sample.push_back(static_cast<std::int32_t>(i));
    data.sample_group.push_back(static_cast<std::uint16_t>(i % classes));
  }
  data.thumbnails.push_back({"/gone\nwith newline.jpg", "", 0, 0});
  data.sample.push_back(60);
  data.sample_group.push_back(0);
  for (std::size_t i = 0; i < classes; ++i) {
    const auto n = static_cast<double>(i);
    data.classes.push_back(
        {class_name(i), 30 + 7 * i, 10 + i, SizeQuantiles{100 + n, 200 + 2 * n, 400, 500, 900 + 10 * n}});
  }
  data.has_split = true;
  data.sizes = SizeQuantiles{100, 210, 400, 500, 2000};
  ReportScatter scatter;
  scatter.components = 4;
  scatter.total = points * 10;
  scatter.seed = 7;
  for (std::size_t i = 0; i < points; ++i) {
    const std::size_t group = i % classes;
    for (int c = 0; c < scatter.components; ++c) {
      const double centre = 6 * std::sin(static_cast<double>(group) * (1.3 + c) + c);
      scatter.values.push_back(static_cast<float>(centre) + noise(random));
    }
    scatter.group.push_back(static_cast<std::uint16_t>(group));
    scatter.cluster.push_back(static_cast<std::uint16_t>(group % 4));
    scatter.thumbnail.push_back(i < 60 ? static_cast<std::int32_t>(i) : kNoThumbnail);
  }
  data.scatter = std::move(scatter);
  for (int k = 0; k < 4; ++k)
    data.component_ends.push_back({k, 0.3 / (k + 1), {0, 1, 2, 3, 60}, {4, 5, 6, 7, 8}});
}

void add_judgement(ReportData& data, std::size_t classes, std::mt19937& random) {
  ReportEvaluation evaluation;
  evaluation.classifier = "logistic";
  evaluation.metrics = {{"Accuracy", 0.9789, 0.971, 0.985},
                        {"Balanced accuracy", 0.97, {}, {}},
                        {"Top-3 accuracy", 0.999, {}, {}}};
  evaluation.confusion.assign(classes * classes, 0);
  for (std::size_t i = 0; i < classes; ++i) {
    evaluation.classes.push_back(class_name(i));
    evaluation.confusion[i * classes + i] = 40;
    if (random() % 2 == 0) evaluation.confusion[i * classes + (i + 1) % classes] += 2;
    evaluation.per_class.push_back({class_name(i), 0.95, 1.0 - 0.002 * static_cast<double>(i), 0.97, 42});
  }
  evaluation.photos = classes * 41;
  data.evaluation = std::move(evaluation);
  for (int i = 0; i < 8; ++i) {
    data.mistakes.push_back({i, data.thumbnails[static_cast<std::size_t>(i)].path, class_name(0),
                             class_name(1), 0.99 - 0.03 * i});
  }
  data.mistakes_total = 37;
  for (const int k : {2, 5, 10, 20, 50, 100}) {
    const double accuracy = 1 - 0.6 / k;
    data.storage.push_back({k, accuracy, accuracy - 0.0004, accuracy - 0.002, 4.0 * k, 2.0 * k, 1.0 * k});
  }
}

ReportData sample(std::size_t classes, std::size_t points) {
  std::mt19937 random(7);
  ReportData data;
  data.title = "Fruits <b>\"in\"</b> the orchard";
  data.subtitle = "s3://orchard/2026 → /data/results";
  data.generated = "2026-11-21T05:00:00Z";
  data.version = "0.1.0";
  data.warnings = {"A warning with </script> in it."};
  data.run = {"pomona run 's3://orchard/<2026>' /data/results",
              "2026-11-21T04:59:40Z",
              12.4,
              {{"Network", "EfficientNet-Lite0, 224 px"}, {"Precision", "bf16"}},
              {{"Pomona", "0.1.0"}},
              {{"labels", "folder"}}};
  for (int i = 0; i < 40; ++i) {
    data.timeline.push_back(
        {i % 4 == 0 ? "decode" : "featurize", fmt::format("worker {}", i % 2), 0.3 * i, 0.3 * i + 0.28});
  }
  data.stage_seconds = {{"read", 6.1}, {"decode", 1.2}, {"resize", 2.4}, {"featurize", 17.9}, {"write", 1.4}};
  data.counts = ReportCounts{points * 10 + 8, points * 10, 8};
  data.rejects = {{"decode",
                   "The JPEG ends in the middle of its data.",
                   6,
                   {"/a/<script>alert(3)</script>.jpg", "bytes \xff\xfe.jpg"}},
                  {"read", "Empty file.", 2, {"/a/b.jpg"}}};
  for (int i = 0; i < 1280; ++i) data.spectrum.push_back(10 * std::pow(i + 1, -1.3));
  data.kept_components = 143;
  add_photos(data, classes, points, random);
  add_judgement(data, classes, random);
  data.cost = {{"A million photos", "0.06 EUR", "28 minutes on 2 threads"}};
  data.cost_note = "Estimated from this run.";
  return data;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.size() == 3 && arguments[0] == "--slides") {
      for (const auto& file : write_slides(arguments[1], arguments[2])) std::cout << file.string() << '\n';
      return 0;
    }
    if (arguments.size() == 3 && arguments[0] == "--collect") {
      CollectOptions options;
      options.dest = arguments[1];
      Hooks hooks;
      hooks.warning = [](const std::string& warning) { std::cerr << warning << '\n'; };
      write_file_atomically(arguments[2], render_report(collect_report(options, hooks)));
      return 0;
    }
    if (arguments.empty()) return 2;
    const std::size_t classes = arguments.size() > 1 ? std::stoul(arguments[1]) : 36;
    const std::size_t points = arguments.size() > 2 ? std::stoul(arguments[2]) : 3000;
    write_file_atomically(arguments[0], render_report(sample(classes, points)));
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
