// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "pomona/report/report_data.h"

namespace pomona {

// One HTML file that needs nothing else: no network, no other file. Whatever the strings hold (markup,
// "</script>", line ends, bytes that are not UTF-8) is shown as text. Throws Error{kInternal} where parts
// contradict each other (sizes that do not match, thumbnails that are not there).
std::string render_report(const ReportData& data);

// The sections `data` gives rise to, in the order of the page: "overview", "photos", "scatter", ...
std::vector<std::string> report_sections(const ReportData& data);

}  // namespace pomona
