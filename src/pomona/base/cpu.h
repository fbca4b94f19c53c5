// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace pomona {

// How many threads this process may keep busy: the least of the affinity mask and the CPU quota of its
// control group (v2 cpu.max, v1 cpu.cfs_quota_us; a fraction is rounded up), at least 1.
// `cgroup_root` is there for tests.
int cpu_budget(const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");

// What the CPU offers that matters here.
struct CpuFeatures {
  std::string name;  // for example "AMD EPYC 9B14"
  bool avx2 = false;
  bool avx512 = false;
  bool avx512_vnni = false;  // products of 8-bit integers
  bool avx512_bf16 = false;
  bool amx_bf16 = false;
  bool bf16() const { return avx512_bf16 || amx_bf16; }
};

CpuFeatures cpu_features();

// Peak resident set size of this process, in bytes.
std::size_t peak_rss_bytes();

}  // namespace pomona
