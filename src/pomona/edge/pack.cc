// SPDX-License-Identifier: Apache-2.0
#include "pomona/edge/pack.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <zlib.h>

#include "pomona/base/error.h"

namespace pomona {

std::string gzip_packed(std::string_view bytes) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;  // the largest window; 16 asks for gzip's header
  if (deflateInit2(&stream, 9, Z_DEFLATED, kGzip, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw Error(ErrorCode::kInternal, "zlib could not be started");
  }
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  // zlib reads through a pointer to bytes that are not const, and does not change them.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int code = bytes.size() > UINT32_MAX / 2 ? Z_BUF_ERROR : deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) throw Error(ErrorCode::kUnavailable, "a file is too large for gzip (2 GiB)");
  return packed;
}

std::string brotli_packed(std::string_view bytes) {
  std::string packed(BrotliEncoderMaxCompressedSize(bytes.size()), '\0');
  std::size_t size = packed.size();
  if (size == 0 || BrotliEncoderCompress(9, 24, BROTLI_MODE_GENERIC, bytes.size(),
                                         reinterpret_cast<const std::uint8_t*>(bytes.data()), &size,
                                         reinterpret_cast<std::uint8_t*>(packed.data())) == BROTLI_FALSE) {
    throw Error(ErrorCode::kUnavailable, "a file is too large for brotli");
  }
  packed.resize(size);
  return packed;
}

std::string brotli_unpacked(std::string_view bytes, std::size_t size) {
  std::string plain(size, '\0');
  std::size_t found = size;
  if (BrotliDecoderDecompress(bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()), &found,
                              reinterpret_cast<std::uint8_t*>(plain.data())) !=
          BROTLI_DECODER_RESULT_SUCCESS ||
      found != size) {
    throw Error(ErrorCode::kFormat, "the bytes are not brotli of " + std::to_string(size) + " bytes");
  }
  return plain;
}

}  // namespace pomona
