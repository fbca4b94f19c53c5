# SPDX-License-Identifier: Apache-2.0
# One library per folder, one test program per folder, the same flags for all.

add_library(pomona_flags INTERFACE)
target_include_directories(pomona_flags INTERFACE "${PROJECT_SOURCE_DIR}/src")
target_compile_definitions(pomona_flags INTERFACE POMONA_VERSION="${PROJECT_VERSION}")
target_compile_options(pomona_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                              -Woverloaded-virtual -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # gcc 12 sees overlaps in std::string's own operator+ (GCC bug 105329).
  target_compile_options(pomona_flags INTERFACE -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++'s own std::stable_sort uses what it calls deprecated, and clang sees it.
  target_compile_options(pomona_flags INTERFACE -Wno-deprecated-declarations)
endif()
if(POMONA_WERROR)
  target_compile_options(pomona_flags INTERFACE -Werror)
endif()
if(POMONA_SANITIZE)
  # A finding ends the program: what is only printed makes no test fail.
  target_compile_options(pomona_flags INTERFACE -fsanitize=${POMONA_SANITIZE} -fno-sanitize-recover=all
                                                -fno-omit-frame-pointer)
  target_link_options(pomona_flags INTERFACE -fsanitize=${POMONA_SANITIZE})
endif()
if(POMONA_FUZZ)
  # Every object counts its edges and comparisons for libFuzzer; programs without it are none the wiser.
  target_compile_options(pomona_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# pomona_library(NAME SOURCES ... PUBLIC ... PRIVATE ...)
function(pomona_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC pomona_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
endfunction()

# pomona_test(NAME SOURCES ... LINK ...): a GoogleTest program; its cases become ctest cases labelled "unit".
# Tests find data through POMONA_SOURCE_DIR and the oracle's interpreter through POMONA_PYTHON.
function(pomona_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(NOT POMONA_TESTS)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE pomona_flags ${ARG_LINK} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE POMONA_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                             POMONA_PYTHON="${POMONA_VENV}/bin/python")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 DISCOVERY_MODE PRE_TEST
                       PROPERTIES LABELS unit TIMEOUT 300)
endfunction()
