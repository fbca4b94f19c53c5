// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pomona {

// The name of the folder a photo lies in: "s3://b/Training/Apple Red 1/0_100.jpg" -> "Apple Red 1".
// None where it lies right below `root` (the source as given), or where there is no folder.
std::optional<std::string> folder_label(std::string_view path, std::string_view root);

// "Training", "Validation" or "Test" where a folder of the path below `root` (or the last folder of `root`
// itself) says so, in any case and the usual short forms (train, val, valid, testing); the nearest to the
// photo of several; else none. Where `root` is empty (a list of paths) or the photo itself, all folders of
// the path count.
std::optional<std::string> path_split(std::string_view path, std::string_view root);

// Whether a folder named like a split stands in the local folder `root`, at most three levels down; gives up
// after `most` names. For a folder that cannot be read: false.
bool has_split_folder(const std::string& root, std::size_t most = 20'000);

}  // namespace pomona
