// SPDX-License-Identifier: Apache-2.0
#include "prices.h"

#include "embedded_prices.h"
#include "pomona/base/error.h"
#include "pomona/base/paths.h"

namespace pomona::cli {

nlohmann::json read_prices(const std::optional<std::string>& file) {
  const std::string text = file ? read_file(*file) : std::string(kPrices);
  auto prices = nlohmann::json::parse(text, nullptr, false, true);
  if (!prices.is_object())
    throw Error(ErrorCode::kFormat, file.value_or("the price file") + " is not a JSON object");
  return prices;
}

}  // namespace pomona::cli
