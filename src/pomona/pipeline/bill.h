// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace pomona {

// What is to be paid for.
struct Workload {
  double photos = 0;
  double thread_seconds = 0;  // of computing, all threads together
  double source_bytes = 0;    // of the photos; 0 = not known
  double output_bytes = 0;    // of what is stored
};

// The bill by a price file (prices/ has one; its keys are explained there): hours of the machine, and money
// for computing (on demand, spot, reserved), a managed cluster's surcharge, requests, and a month's storage
// by class. A virtual CPU there is taken to be as fast as a thread here. null where `prices` is no object;
// prices that are missing or no numbers count as 0.
nlohmann::json bill_for(const Workload& work, const nlohmann::json& prices);

// How fast photos became vectors; what starting costs is paid once and left out.
struct Pace {
  double thread_seconds = 0;  // per photo
  double wall_seconds = 0;    // per photo, on that machine
};

// Thread time of the workers in the stages of a run, waiting included.
double worker_seconds(const std::map<std::string, double>& stages);

// From a features dataset's `_run.json`; nothing where it computed no photo (all were taken from before) or
// does not say.
std::optional<Pace> pace_of(const nlohmann::json& run);

// "12.30 USD", "0.13 USD", "0.00097 USD": two decimals, below a cent two digits that say something.
std::string money(double amount, const std::string& currency);

}  // namespace pomona
