// SPDX-License-Identifier: Apache-2.0
#include "pomona/base/cpu.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace pomona {
namespace {

int affinity_count() {
  // A machine may have more CPUs than cpu_set_t holds: grow until the kernel accepts the size.
  for (std::size_t cpus = 1024; cpus <= (1U << 20); cpus *= 2) {
    std::vector<unsigned long> mask(cpus / (8 * sizeof(unsigned long)));
    auto* set = reinterpret_cast<cpu_set_t*>(mask.data());
    const std::size_t bytes = mask.size() * sizeof(unsigned long);
    if (sched_getaffinity(0, bytes, set) == 0) return CPU_COUNT_S(bytes, set);
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

// The paths of this process's own control groups: the v2 one, and the v1 one of the cpu controller.
struct CgroupPaths {
  std::string v2 = "/";
  std::string v1 = "/";
};

CgroupPaths own_cgroups() {
  CgroupPaths paths;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") paths.v2 = path;
    if (controllers.find(",cpu,") != std::string::npos) paths.v1 = path;
  }
  return paths;
}

double quota_v2(const std::filesystem::path& folder) {
  std::ifstream in(folder / "cpu.max");
  std::string quota;
  double period = 0;
  if (!(in >> quota >> period) || quota == "max" || period <= 0) return 0;
  try {
    return std::stod(quota) / period;
  } catch (const std::exception&) {
    return 0;
  }
}

double quota_v1(const std::filesystem::path& folder) {
  std::ifstream quota_file(folder / "cpu.cfs_quota_us");
  std::ifstream period_file(folder / "cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) return 0;
  return quota / period;
}

// The least quota from `path` up to the root: a parent's limit binds its children.
template <typename Quota>
double least_quota(const std::filesystem::path& root, const std::string& path, Quota quota) {
  double least = 0;
  std::filesystem::path folder = std::filesystem::path(path).relative_path();
  for (;;) {
    const double here = quota(root / folder);
    if (here > 0) least = least == 0 ? here : std::min(least, here);
    if (folder.empty()) return least;
    folder = folder.parent_path();
  }
}

}  // namespace

int cpu_budget(const std::filesystem::path& cgroup_root) {
  double budget = std::max(1, affinity_count());
  const CgroupPaths own = own_cgroups();
  for (const double quota :
       {least_quota(cgroup_root, own.v2, quota_v2), least_quota(cgroup_root / "cpu", own.v1, quota_v1),
        least_quota(cgroup_root / "cpu,cpuacct", own.v1, quota_v1)}) {
    if (quota > 0) budget = std::min(budget, std::ceil(quota));
  }
  return std::max(1, static_cast<int>(budget));
}

CpuFeatures cpu_features() {
  CpuFeatures features;
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("model name", 0) == 0)
      features.name = line.substr(std::min(line.size(), line.find(':') + 2));
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream flags(line);
    for (std::string flag; flags >> flag;) {
      if (flag == "avx2") features.avx2 = true;
      if (flag == "avx512f") features.avx512 = true;
      if (flag == "avx512_vnni") features.avx512_vnni = true;
      if (flag == "avx512_bf16") features.avx512_bf16 = true;
      if (flag == "amx_bf16") features.amx_bf16 = true;
    }
    break;
  }
  return features;
}

std::size_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

}  // namespace pomona
