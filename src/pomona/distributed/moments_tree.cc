// SPDX-License-Identifier: Apache-2.0
#include "pomona/distributed/moments_tree.h"

#include "pomona/base/error.h"
#include "pomona/learn/moments.h"
#include "pomona/storage/dataset.h"
#include "pomona/storage/uri_paths.h"

namespace pomona::distributed {
namespace {

Moments sum(const Store& store, const std::vector<std::string>& files) {
  if (files.empty()) throw Error(ErrorCode::kInternal, "no moments to sum");
  Moments moments = Moments::deserialize(store.read(files.front()));
  for (std::size_t i = 1; i < files.size(); ++i) moments.merge(Moments::deserialize(store.read(files[i])));
  return moments;
}

}  // namespace

std::string merge_moments(const std::string& place, const std::string& run_id,
                          const std::vector<std::string>& files) {
  const Store store = Store::open(place);
  const std::string name = "_temporary/" + run_id + "/moments/sum-" + new_run_id() + ".bin";
  store.write(name, sum(store, files).serialize());
  return name;
}

nlohmann::json fit_pca(const Job& job, const std::string& place, const std::vector<std::string>& files,
                       const nlohmann::json& record, const std::string& output, int threads) {
  const ReduceOptions& options = job.reduce.value();
  PcaOptions fit = options.fit;
  fit.threads = threads;
  Pca pca = files.empty() ? fit_wide(DatasetReader::open(Store::open(options.features)), options)
                          : Pca::fit(sum(Store::open(place), files), fit);
  pca.record = record;
  const FilePlace target = file_place(output);
  Store::open(target.folder).write(target.name, pca.serialize());
  return {{"k", pca.k()}, {"d", pca.d()}, {"n", pca.n()}, {"explained", pca.explained()}};
}

}  // namespace pomona::distributed
