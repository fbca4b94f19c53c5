# SPDX-License-Identifier: Apache-2.0
# Libraries from Debian, and those that Debian lacks or has too old from the wheels in .venv
# (docs/decisions/0001-parts.md says why). Headers of others are system headers: their warnings are theirs.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(CURL REQUIRED)
find_package(LibArchive REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(Protobuf REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(CLI11 REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(HEIF IMPORTED_TARGET libheif)

if(SKBUILD)
  # pip and build make an environment of what pyproject.toml names: its libraries, where they are there.
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "from importlib.metadata import files
print(next(f for f in files('daal') if f.name.startswith('libonedal_core.so')).locate().resolve().parents[1])"
    OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE _building ERROR_QUIET)
  if(_building)
    set(POMONA_VENV "${_building}")
  endif()
endif()
# Debian's own Python calls the folder dist-packages.
file(GLOB _site "${POMONA_VENV}/lib/python3.*/site-packages" "${POMONA_VENV}/lib/python3.*/dist-packages")
if(NOT _site)
  message(FATAL_ERROR "No Python environment at ${POMONA_VENV}. Run `make build`: it makes one from "
                      "setup/requirements.lock. Or let pip make one: leave --no-build-isolation away.")
endif()
list(GET _site 0 _site)
set(_venv_lib "${POMONA_VENV}/lib")

# tbb goes first: oneDAL needs a newer libtbb.so.12 than the one in OpenVINO's wheel, and OpenVINO runs on it too.
set(CMAKE_BUILD_RPATH "${_venv_lib}" "${_site}/openvino/libs" "${_site}/pyarrow")
add_link_options(-Wl,--disable-new-dtags)

add_library(pomona_tbb SHARED IMPORTED)
set_target_properties(pomona_tbb PROPERTIES IMPORTED_LOCATION "${_venv_lib}/libtbb.so.12"
                      INTERFACE_INCLUDE_DIRECTORIES "${POMONA_VENV}/include"
                      INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${POMONA_VENV}/include")

# Loaded before OpenVINO's own, whatever order a program's libraries come in.
add_link_options("$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:SHELL:-Wl,--no-as-needed \"${_venv_lib}/libtbb.so.12\" -Wl,--as-needed>")

set(OpenVINO_DIR "${_site}/openvino/cmake")
set(TBB_FOUND TRUE)
find_package(OpenVINO REQUIRED COMPONENTS Runtime)
add_library(pomona_openvino INTERFACE)
target_link_libraries(pomona_openvino INTERFACE pomona_tbb openvino::runtime)

function(_pomona_wheel_library name file include)
  file(GLOB _lib "${file}")
  if(NOT _lib)
    message(FATAL_ERROR "${file} is missing. Run `make build`: it installs what setup/requirements.lock names.")
  endif()
  list(GET _lib 0 _lib)
  add_library(${name} SHARED IMPORTED)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${_lib}"
                        INTERFACE_INCLUDE_DIRECTORIES "${include}"
                        INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${include}")
endfunction()
_pomona_wheel_library(pomona_arrow "${_site}/pyarrow/libarrow.so.2600*" "${_site}/pyarrow/include")
_pomona_wheel_library(pomona_parquet "${_site}/pyarrow/libparquet.so.2600*" "${_site}/pyarrow/include")
target_link_libraries(pomona_parquet INTERFACE pomona_arrow)
# The S3 client is a library of its own in this Arrow; gs, abfs and hdfs are in libarrow itself.
_pomona_wheel_library(pomona_arrow_s3 "${_site}/pyarrow/libarrow_s3.so.2600*" "${_site}/pyarrow/include")
target_link_libraries(pomona_arrow_s3 INTERFACE pomona_arrow)

_pomona_wheel_library(pomona_onedal_core "${_venv_lib}/libonedal_core.so.*" "${POMONA_VENV}/include")
_pomona_wheel_library(pomona_onedal_thread "${_venv_lib}/libonedal_thread.so.*" "${POMONA_VENV}/include")
_pomona_wheel_library(pomona_onedal_parameters "${_venv_lib}/libonedal_parameters.so.*" "${POMONA_VENV}/include")
_pomona_wheel_library(pomona_onedal_api "${_venv_lib}/libonedal.so.*" "${POMONA_VENV}/include")
add_library(pomona_onedal INTERFACE)
target_compile_definitions(pomona_onedal INTERFACE ONEDAL_DATA_PARALLEL_OFF)
target_link_libraries(pomona_onedal INTERFACE pomona_tbb pomona_onedal_api pomona_onedal_core
                                              pomona_onedal_thread pomona_onedal_parameters)

# Debian's generated ONNX classes, compiled against Debian's protobuf.
find_library(POMONA_ONNX_PROTO onnx_proto REQUIRED)
add_library(pomona_onnx_proto INTERFACE)
target_compile_definitions(pomona_onnx_proto INTERFACE ONNX_ML=1 ONNX_NAMESPACE=onnx)
target_link_libraries(pomona_onnx_proto INTERFACE "${POMONA_ONNX_PROTO}" protobuf::libprotobuf)
