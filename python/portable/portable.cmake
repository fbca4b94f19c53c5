# SPDX-License-Identifier: Apache-2.0
# Included for POMONA_PORTABLE: module and command for systems older than this one (docs/decisions/0012-python-package.md).
add_library(pomona_older_symbols OBJECT portable/older_symbols.cc)
target_link_libraries(pomona_older_symbols PRIVATE pomona_flags)
set(_wrapped hypot hypotf _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE)
foreach(_target pomona_python pomona)
  target_sources(${_target} PRIVATE $<TARGET_OBJECTS:pomona_older_symbols>)
  foreach(_symbol IN LISTS _wrapped)
    target_link_options(${_target} PRIVATE "LINKER:--wrap=${_symbol}")
  endforeach()
endforeach()

# Debian's libarchive.so needs glibc 2.36, and ICU behind its libxml2. What unpacks tar and zip needs neither, so of the
# static library nothing else is taken.
find_library(POMONA_STATIC_ARCHIVE libarchive.a REQUIRED)
find_library(POMONA_ZSTD NAMES zstd libzstd.so.1 REQUIRED)  # libarchive-dev brings no libzstd-dev
set_target_properties(LibArchive::LibArchive PROPERTIES IMPORTED_LOCATION "${POMONA_STATIC_ARCHIVE}")
set_property(TARGET LibArchive::LibArchive APPEND PROPERTY INTERFACE_LINK_LIBRARIES z bz2 lzma "${POMONA_ZSTD}" nettle)

# setup/wheel.sh hands it to auditwheel in the place of Debian's.
add_library(pomona_no_x265 SHARED portable/no_x265.c)
set_target_properties(pomona_no_x265 PROPERTIES OUTPUT_NAME x265 SOVERSION 199
                      LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/portable")
add_dependencies(pomona_python pomona_no_x265)
