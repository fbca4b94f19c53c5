// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pomona {

// Where networks are kept: $POMONA_HOME/models, else $XDG_DATA_HOME/pomona/models, else
// ~/.local/share/pomona/models. Not created here.
std::filesystem::path models_home();

// Where what can be made again is kept (compiled networks, partial downloads): $POMONA_HOME/cache, else
// $XDG_CACHE_HOME/pomona, else ~/.cache/pomona. Not created here.
std::filesystem::path cache_home();

// Writes `bytes` so that `file` is either the old one or the whole new one: without a name (else under a
// temporary one in the same folder), fsync, rename. Makes the folder. A symbolic link stays and what it names is
// replaced; a device or pipe is written to as it stands. Throws Error{kIo | kPermission}.
void write_file_atomically(const std::filesystem::path& file, std::string_view bytes);

// Whether `file`, or what it links to, is there and is a device, a pipe or a socket (/dev/null, /dev/stdout): it is
// written to, and must never be replaced.
bool is_stream(const std::filesystem::path& file);

// The whole of a local file. Throws Error{kNotFound | kPermission | kIo}.
std::string read_file(const std::filesystem::path& file);

}  // namespace pomona
