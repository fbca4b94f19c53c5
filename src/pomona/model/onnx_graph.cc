// SPDX-License-Identifier: Apache-2.0
#include "pomona/model/onnx_graph.h"

#include <fcntl.h>
#include <onnx/onnx_pb.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "pomona/base/error.h"
#include "pomona/base/system_error.h"

namespace pomona {
namespace {

namespace fs = std::filesystem;
namespace pb = google::protobuf;

constexpr std::uint64_t kLargestTensor = std::uint64_t{1} << 33;  // bytes
constexpr std::string_view kMlDomain = "ai.onnx.ml";

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::kFormat, "not a sound ONNX network: " + why);
}

std::string quoted(const std::string& name) {
  return name.empty() ? "without a name" : "`" + name + "`";
}

// Bits an element takes; 0 where the type has no fixed size (strings) or is not known here.
std::uint64_t element_bits(int type) {
  using T = onnx::TensorProto;
  switch (type) {
    case T::FLOAT:
    case T::INT32:
    case T::UINT32:
      return 32;
    case T::DOUBLE:
    case T::INT64:
    case T::UINT64:
    case T::COMPLEX64:
      return 64;
    case T::COMPLEX128:
      return 128;
    case T::UINT16:
    case T::INT16:
    case T::FLOAT16:
    case T::BFLOAT16:
      return 16;
    case T::UINT8:
    case T::INT8:
    case T::BOOL:
      return 8;
    default:
      return 0;
  }
}

// Elements of a shape; refuses negative sides and overflow.
std::uint64_t element_count(const onnx::TensorProto& tensor) {
  std::uint64_t count = 1;
  bool empty = false;
  for (const std::int64_t side : tensor.dims()) {
    if (side < 0) refuse("tensor " + quoted(tensor.name()) + " has a negative side");
    if (side == 0) {
      empty = true;
      continue;
    }
    if (count > kLargestTensor / static_cast<std::uint64_t>(side)) {
      refuse("tensor " + quoted(tensor.name()) + " declares a shape of more than 2^33 elements");
    }
    count *= static_cast<std::uint64_t>(side);
  }
  return empty ? 0 : count;
}

// Elements held in the typed fields, where the bytes are not raw; -1 where the count cannot be judged.
std::int64_t typed_count(const onnx::TensorProto& t) {
  using T = onnx::TensorProto;
  switch (t.data_type()) {
    case T::FLOAT:
      return t.float_data_size();
    case T::DOUBLE:
      return t.double_data_size();
    case T::INT64:
      return t.int64_data_size();
    case T::UINT32:
    case T::UINT64:
      return t.uint64_data_size();
    case T::COMPLEX64:
      return t.float_data_size() / 2;
    case T::COMPLEX128:
      return t.double_data_size() / 2;
    case T::STRING:
      return t.string_data_size();
    case T::INT32:
    case T::INT16:
    case T::INT8:
    case T::UINT16:
    case T::UINT8:
    case T::BOOL:
    case T::FLOAT16:
    case T::BFLOAT16:
      return t.int32_data_size();
    default:
      return -1;
  }
}

struct External {
  fs::path file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

std::uint64_t parse_size(const std::string& text, const std::string& tensor) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos) {
    refuse("tensor " + quoted(tensor) + " gives `" + text + "` as offset or length of its external data");
  }
  return std::stoull(text);
}

// Where a tensor's external data lies, after checking that it is ours to read.
External locate(const onnx::TensorProto& tensor, const fs::path& folder) {
  std::string location;
  External external;
  bool has_length = false;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") external.offset = parse_size(entry.value(), tensor.name());
    if (entry.key() == "length") {
      external.length = parse_size(entry.value(), tensor.name());
      has_length = true;
    }
  }
  const std::string where = "the external data `" + location + "` of tensor " + quoted(tensor.name());
  if (folder.empty()) refuse(where + " cannot be read: the network did not come from a file");
  const fs::path relative(location);
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute()) {
    refuse(where + " must be a file name relative to the network's folder");
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) refuse("its folder " + folder.string() + " cannot be read");
  // Judged as written first, so that nothing outside is even looked at.
  const fs::path plain = relative.lexically_normal();
  if (plain.empty() || *plain.begin() == "..") refuse(where + " lies outside the network's folder");
  external.file = fs::canonical(root / plain, error);
  if (error) refuse(where + " is not there");
  const fs::path inside = external.file.lexically_relative(root);
  if (inside.empty() || *inside.begin() == "..") refuse(where + " lies outside the network's folder");
  if (!fs::is_regular_file(external.file, error)) refuse(where + " is not a file");
  const std::uint64_t size = fs::file_size(external.file, error);
  if (error) refuse(where + " cannot be read");
  if (!has_length && external.offset <= size) external.length = size - external.offset;
  if (external.offset > size || external.length > size - external.offset) {
    refuse(where + " is cut short: the file has " + std::to_string(size) + " bytes");
  }
  return external;
}

void check_tensor(const onnx::TensorProto& tensor, const fs::path& folder) {
  const std::uint64_t count = element_count(tensor);
  const std::uint64_t bits = element_bits(tensor.data_type());
  if (bits != 0 && count > kLargestTensor / bits * 8) {
    refuse("tensor " + quoted(tensor.name()) + " declares more than 2^33 bytes");
  }
  const std::uint64_t bytes = count * bits / 8;
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    const External external = locate(tensor, folder);
    if (bits != 0 && external.length < bytes) {
      refuse("tensor " + quoted(tensor.name()) + " needs " + std::to_string(bytes) +
             " bytes, its external data has " + std::to_string(external.length));
    }
    return;
  }
  if (tensor.external_data_size() > 0) {
    refuse("tensor " + quoted(tensor.name()) + " names external data but does not say that it is external");
  }
  if (tensor.has_raw_data()) {
    if (bits != 0 && tensor.raw_data().size() != bytes) {
      refuse("tensor " + quoted(tensor.name()) + " needs " + std::to_string(bytes) + " bytes, it has " +
             std::to_string(tensor.raw_data().size()));
    }
    return;
  }
  const std::int64_t typed = typed_count(tensor);
  if (typed >= 0 && static_cast<std::uint64_t>(typed) != count) {
    refuse("tensor " + quoted(tensor.name()) + " needs " + std::to_string(count) + " numbers, it has " +
           std::to_string(typed));
  }
}

// Visits every tensor of a graph, those inside attributes and subgraphs included.
template <typename Graph, typename Visit>
void for_each_tensor(Graph& graph, const Visit& visit) {
  const auto each = [&](auto&& tensors) {
    for (auto& tensor : tensors) visit(tensor);
  };
  const auto sparse = [&](auto& tensor) {
    if constexpr (std::is_const_v<Graph>) {
      visit(tensor.values());
      visit(tensor.indices());
    } else {
      visit(*tensor.mutable_values());
      visit(*tensor.mutable_indices());
    }
  };
  const auto attribute = [&](auto& a) {
    if constexpr (std::is_const_v<Graph>) {
      if (a.has_t()) visit(a.t());
      each(a.tensors());
      if (a.has_sparse_tensor()) sparse(a.sparse_tensor());
      for (const auto& s : a.sparse_tensors()) sparse(s);
      if (a.has_g()) for_each_tensor(a.g(), visit);
      for (const auto& g : a.graphs()) for_each_tensor(g, visit);
    } else {
      if (a.has_t()) visit(*a.mutable_t());
      each(*a.mutable_tensors());
      if (a.has_sparse_tensor()) sparse(*a.mutable_sparse_tensor());
      for (auto& s : *a.mutable_sparse_tensors()) sparse(s);
      if (a.has_g()) for_each_tensor(*a.mutable_g(), visit);
      for (auto& g : *a.mutable_graphs()) for_each_tensor(g, visit);
    }
  };
  if constexpr (std::is_const_v<Graph>) {
    each(graph.initializer());
    for (const auto& s : graph.sparse_initializer()) sparse(s);
    for (const auto& node : graph.node()) {
      for (const auto& a : node.attribute()) attribute(a);
    }
  } else {
    each(*graph.mutable_initializer());
    for (auto& s : *graph.mutable_sparse_initializer()) sparse(s);
    for (auto& node : *graph.mutable_node()) {
      for (auto& a : *node.mutable_attribute()) attribute(a);
    }
  }
}

// Same over the whole model: functions hold nodes too.
void check_function_tensors(const onnx::ModelProto& model, const fs::path& folder) {
  for (const auto& function : model.functions()) {
    for (const auto& node : function.node()) {
      for (const auto& a : node.attribute()) {
        if (a.has_t()) check_tensor(a.t(), folder);
        for (const auto& tensor : a.tensors()) check_tensor(tensor, folder);
        const auto visit = [&](const onnx::TensorProto& t) { check_tensor(t, folder); };
        if (a.has_g()) for_each_tensor(a.g(), visit);
        for (const auto& g : a.graphs()) for_each_tensor(g, visit);
      }
    }
  }
}

void check_shape(const onnx::ValueInfoProto& value) {
  if (!value.type().has_tensor_type()) return;
  std::uint64_t count = 1;
  for (const auto& side : value.type().tensor_type().shape().dim()) {
    if (!side.has_dim_value() || side.dim_value() <= 0) continue;  // unknown, named -1 or 0 by some exporters
    if (count > kLargestTensor / static_cast<std::uint64_t>(side.dim_value())) {
      refuse("value " + quoted(value.name()) + " declares a shape of more than 2^33 elements");
    }
    count *= static_cast<std::uint64_t>(side.dim_value());
  }
}

void check_order(const onnx::GraphProto& graph) {
  std::unordered_set<std::string_view> known;
  for (const auto& value : graph.input()) known.insert(value.name());
  for (const auto& tensor : graph.initializer()) known.insert(tensor.name());
  for (const auto& tensor : graph.sparse_initializer()) known.insert(tensor.values().name());
  for (const auto& node : graph.node()) {
    for (const auto& name : node.input()) {
      if (!name.empty() && !known.contains(name)) {
        refuse("node " + quoted(node.name()) + " (" + node.op_type() + ") uses `" + name +
               "`, which nothing before it makes");
      }
    }
    for (const auto& name : node.output()) {
      if (!name.empty() && !known.insert(name).second) refuse("two nodes make `" + name + "`");
    }
  }
  if (graph.output().empty()) refuse("it has no outputs");
  for (const auto& value : graph.output()) {
    if (!known.contains(value.name())) refuse("nothing makes its output `" + value.name() + "`");
  }
}

// Names a node reads, those its subgraphs capture from outside included.
void add_inputs(const onnx::NodeProto& node, std::vector<std::string>& names) {
  names.insert(names.end(), node.input().begin(), node.input().end());
  for (const auto& a : node.attribute()) {
    if (a.has_g()) {
      for (const auto& inner : a.g().node()) add_inputs(inner, names);
      for (const auto& value : a.g().output()) names.push_back(value.name());
    }
    for (const auto& g : a.graphs()) {
      for (const auto& inner : g.node()) add_inputs(inner, names);
      for (const auto& value : g.output()) names.push_back(value.name());
    }
  }
}

// Which nodes the tensors need.
std::vector<bool> needed_nodes(const onnx::GraphProto& graph, const std::vector<std::string>& tensors,
                               std::unordered_set<std::string>& used) {
  std::unordered_map<std::string_view, int> maker;
  for (int i = 0; i < graph.node_size(); ++i) {
    for (const auto& name : graph.node(i).output()) maker.emplace(name, i);
  }
  std::vector<bool> needed(static_cast<std::size_t>(graph.node_size()), false);
  std::vector<std::string> waiting = tensors;
  while (!waiting.empty()) {
    const std::string name = std::move(waiting.back());
    waiting.pop_back();
    if (name.empty() || !used.insert(name).second) continue;
    const auto found = maker.find(name);
    if (found == maker.end() || needed[static_cast<std::size_t>(found->second)]) continue;
    needed[static_cast<std::size_t>(found->second)] = true;
    add_inputs(graph.node(found->second), waiting);
  }
  return needed;
}

template <typename Field, typename Keep>
void keep_if(Field& field, const Keep& keep) {
  int kept = 0;
  for (int i = 0; i < field.size(); ++i) {
    if (!keep(field.Get(i))) continue;
    if (kept != i) field.SwapElements(kept, i);
    ++kept;
  }
  field.DeleteSubrange(kept, field.size() - kept);
}

OnnxModel parse_stream(pb::io::ZeroCopyInputStream& stream) {
  auto model = std::make_shared<onnx::ModelProto>();
  pb::io::CodedInputStream coded(&stream);
  coded.SetTotalBytesLimit(std::numeric_limits<int>::max());
  coded.SetRecursionLimit(100);
  if (!model->ParseFromCodedStream(&coded) || !coded.ConsumedEntireMessage()) {
    refuse("it is damaged, cut short, or not ONNX at all");
  }
  return model;
}

}  // namespace

OnnxModel parse_onnx(std::string_view bytes, const fs::path& folder) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) refuse("it is over 2 GB");
  pb::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  OnnxModel model = parse_stream(stream);
  check_onnx(*model, folder);
  return model;
}

OnnxModel load_onnx(const fs::path& file) {
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    throw Error(system_error_code(error),
                "cannot read the network " + file.string() + ": " + system_reason(error));
  }
  const Closer closer{fd};
  try {
    std::error_code error;
    if (fs::file_size(file, error) > static_cast<std::uintmax_t>(std::numeric_limits<int>::max()) && !error) {
      refuse("it is over 2 GB; keep its weights in an external data file");
    }
    pb::io::FileInputStream stream(fd, 1 << 20);
    const auto check_read = [&] {  // protobuf takes what cannot be read for the end of the file
      if (const int failed = stream.GetErrno(); failed != 0) {
        throw Error(system_error_code(failed), "cannot be read: " + system_reason(failed));
      }
    };
    OnnxModel model;
    try {
      model = parse_stream(stream);
    } catch (const Error&) {
      check_read();
      throw;
    }
    check_read();
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    check_onnx(*model, folder);
    return model;
  } catch (const Error& error) {
    throw Error(error.code(), file.string() + ": " + error.what());
  }
}

void check_onnx(const onnx::ModelProto& model, const fs::path& folder) {
  if (!model.has_graph() || model.graph().node().empty()) refuse("it holds no graph");
  const onnx::GraphProto& graph = model.graph();
  for_each_tensor(graph, [&](const onnx::TensorProto& tensor) { check_tensor(tensor, folder); });
  for (const auto& training : model.training_info()) {
    const auto visit = [&](const onnx::TensorProto& tensor) { check_tensor(tensor, folder); };
    for_each_tensor(training.initialization(), visit);
    for_each_tensor(training.algorithm(), visit);
  }
  check_function_tensors(model, folder);
  for (const auto& value : graph.input()) check_shape(value);
  for (const auto& value : graph.output()) check_shape(value);
  for (const auto& value : graph.value_info()) check_shape(value);
  check_order(graph);
}

std::vector<fs::path> external_files(const onnx::ModelProto& model, const fs::path& folder) {
  std::set<fs::path> files;
  for_each_tensor(model.graph(), [&](const onnx::TensorProto& tensor) {
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL) files.insert(locate(tensor, folder).file);
  });
  return {files.begin(), files.end()};
}

void inline_external_data(onnx::ModelProto& model, const fs::path& folder) {
  for_each_tensor(*model.mutable_graph(), [&](onnx::TensorProto& tensor) {
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return;
    const External external = locate(tensor, folder);
    const std::uint64_t bits = element_bits(tensor.data_type());
    const std::uint64_t bytes = bits == 0 ? external.length : element_count(tensor) * bits / 8;
    std::string raw(bytes, '\0');
    std::ifstream in(external.file, std::ios::binary);
    in.seekg(static_cast<std::streamoff>(external.offset));
    if (!in.read(raw.data(), static_cast<std::streamsize>(raw.size()))) {
      throw Error(ErrorCode::kIo, "cannot read " + external.file.string());
    }
    tensor.set_raw_data(std::move(raw));
    tensor.clear_external_data();
    tensor.clear_data_location();
  });
}

void prune_onnx(onnx::ModelProto& model, const std::vector<std::string>& tensors) {
  onnx::GraphProto& graph = *model.mutable_graph();
  std::unordered_map<std::string, onnx::ValueInfoProto> described;
  std::unordered_set<std::string> made;
  for (const auto& node : graph.node()) made.insert(node.output().begin(), node.output().end());
  std::string listed;
  for (const auto& value : graph.output()) {
    described.emplace(value.name(), value);
    listed += (listed.empty() ? "" : ", ") + value.name();
  }
  for (const auto& value : graph.value_info()) described.emplace(value.name(), value);
  for (const auto& name : tensors) {
    if (!made.contains(name)) {
      throw Error(ErrorCode::kUsage, "the network has no tensor `" + name + "`; its outputs are " + listed);
    }
  }
  std::unordered_set<std::string> used;
  const std::vector<bool> needed = needed_nodes(graph, tensors, used);
  std::unordered_set<const onnx::NodeProto*> kept;
  for (int i = 0; i < graph.node_size(); ++i) {
    if (needed[static_cast<std::size_t>(i)]) kept.insert(&graph.node(i));
  }
  keep_if(*graph.mutable_node(), [&](const auto& node) { return kept.contains(&node); });
  keep_if(*graph.mutable_initializer(), [&](const auto& tensor) { return used.contains(tensor.name()); });
  keep_if(*graph.mutable_sparse_initializer(),
          [&](const auto& tensor) { return used.contains(tensor.values().name()); });
  keep_if(*graph.mutable_value_info(), [&](const auto& value) { return used.contains(value.name()); });
  graph.clear_output();
  for (const auto& name : tensors) {
    const auto found = described.find(name);
    if (found != described.end()) {
      *graph.add_output() = found->second;
    } else {
      graph.add_output()->set_name(name);
    }
  }
  if (!has_ml_nodes(model)) {
    keep_if(*model.mutable_opset_import(), [](const auto& opset) { return opset.domain() != kMlDomain; });
  }
}

bool has_ml_nodes(const onnx::ModelProto& model) {
  return std::ranges::any_of(model.graph().node(),
                             [](const auto& node) { return node.domain() == kMlDomain; });
}

std::vector<std::string> outputs_without_ml(const onnx::ModelProto& model) {
  const onnx::GraphProto& graph = model.graph();
  std::vector<std::string> names;
  for (const auto& value : graph.output()) {
    std::unordered_set<std::string> used;
    const std::vector<bool> needed = needed_nodes(graph, {value.name()}, used);
    bool clean = true;
    for (int i = 0; i < graph.node_size(); ++i) {
      clean = clean && !(needed[static_cast<std::size_t>(i)] && graph.node(i).domain() == kMlDomain);
    }
    if (clean) names.push_back(value.name());
  }
  return names;
}

std::string serialize_onnx(const onnx::ModelProto& model) {
  if (model.ByteSizeLong() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    refuse("it is over 2 GB, more than one file can hold");
  }
  std::string bytes;
  {
    pb::io::StringOutputStream stream(&bytes);
    pb::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    if (!model.SerializeToCodedStream(&coded))
      throw Error(ErrorCode::kInternal, "cannot serialize an ONNX graph");
  }
  return bytes;
}

std::string onnx_metadata(const onnx::ModelProto& model, std::string_view key) {
  for (const auto& entry : model.metadata_props()) {
    if (entry.key() == key) return entry.value();
  }
  return {};
}

void set_onnx_metadata(onnx::ModelProto& model, std::string_view key, std::string_view value) {
  for (auto& entry : *model.mutable_metadata_props()) {
    if (entry.key() != key) continue;
    entry.set_value(std::string(value));
    return;
  }
  auto& entry = *model.add_metadata_props();
  entry.set_key(std::string(key));
  entry.set_value(std::string(value));
}

}  // namespace pomona
