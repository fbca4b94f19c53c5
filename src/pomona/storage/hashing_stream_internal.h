// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include <memory>

#include "pomona/base/hash.h"

namespace pomona {

// Passes everything on to another stream, and knows how much it was and its SHA-256.
class HashingStream final : public arrow::io::OutputStream {
 public:
  explicit HashingStream(std::shared_ptr<arrow::io::OutputStream> stream) : stream_(std::move(stream)) {}

  arrow::Status Write(const void* data, std::int64_t bytes) override {
    hash_.update({static_cast<const std::byte*>(data), static_cast<std::size_t>(bytes)});
    bytes_ += bytes;
    return stream_->Write(data, bytes);
  }
  using arrow::io::OutputStream::Write;

  arrow::Status Flush() override { return stream_->Flush(); }
  arrow::Status Close() override { return stream_->Close(); }
  arrow::Status Abort() override { return stream_->Abort(); }
  arrow::Result<std::int64_t> Tell() const override { return bytes_; }
  bool closed() const override { return stream_->closed(); }

  std::uint64_t bytes() const { return static_cast<std::uint64_t>(bytes_); }
  std::string sha256() { return hash_.hex(); }  // once, at the end

 private:
  std::shared_ptr<arrow::io::OutputStream> stream_;
  Sha256 hash_;
  std::int64_t bytes_ = 0;
};

}  // namespace pomona
