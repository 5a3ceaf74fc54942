# What every folder's CMakeLists.txt uses:
#   quorate_library(NAME DEPS target...)   the folder's *.cc (and those of its subfolders without a CMakeLists.txt of their own)
#                                          but *_test.cc, as target quorate_NAME; DEPS repeat the arrows of docs/ARCHITECTURE.md
#   quorate_tests(NAME DEPS target...)     the folder's *_test.cc as one executable NAME_test, registered with ctest
# Test executables are one per folder: linking is what a small machine spends its time on.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# Boost 1.81, header-only: unpacked by tools/install-packages because its package would remove the system's 1.74.
add_library(quorate_boost INTERFACE)
target_include_directories(quorate_boost SYSTEM INTERFACE ${CMAKE_SOURCE_DIR}/build/deps/usr/include)
target_compile_definitions(quorate_boost INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_NO_TS_EXECUTORS)
target_link_libraries(quorate_boost INTERFACE Threads::Threads)

add_library(quorate_options INTERFACE)
target_include_directories(quorate_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(quorate_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
                       -fno-omit-frame-pointer -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(QUORATE_BUGS)
  target_compile_definitions(quorate_options INTERFACE QUORATE_BUGS=1)
endif()

function(quorate_sources out tests)
  file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*/*.cc)
  set(kept "")
  foreach(file ${found})
    get_filename_component(dir ${file} DIRECTORY)
    if(NOT dir STREQUAL CMAKE_CURRENT_SOURCE_DIR AND EXISTS ${dir}/CMakeLists.txt)
      continue()
    endif()
    if((file MATCHES "_test\\.cc$" AND tests) OR (NOT file MATCHES "_test\\.cc$" AND NOT tests))
      list(APPEND kept ${file})
    endif()
  endforeach()
  set(${out} ${kept} PARENT_SCOPE)
endfunction()

function(quorate_library name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  quorate_sources(sources FALSE)
  if(sources)
    add_library(quorate_${name} STATIC ${sources})
    target_link_libraries(quorate_${name} PUBLIC quorate_options ${ARG_DEPS})
  else()
    add_library(quorate_${name} INTERFACE)
    target_link_libraries(quorate_${name} INTERFACE quorate_options ${ARG_DEPS})
  endif()
endfunction()

function(quorate_tests name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  quorate_sources(sources TRUE)
  if(sources)
    add_executable(${name}_test ${sources})
    target_link_libraries(${name}_test PRIVATE quorate_${name} ${ARG_DEPS} gtest gmock gtest_main Threads::Threads)
    target_compile_definitions(${name}_test PRIVATE QUORATE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()
endfunction()
