# Options of every target, and the one way to add a module.
add_library(xpusim_options INTERFACE)
target_compile_features(xpusim_options INTERFACE cxx_std_20)
target_compile_options(xpusim_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wno-sign-conversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of GCC 12: strings of braced temporaries (bug 105562), assignments of short strings (bug 105329),
  # strings in variants that hold another alternative.
  target_compile_options(xpusim_options INTERFACE -Wno-maybe-uninitialized -Wno-restrict
                         -Wno-free-nonheap-object)
endif()
# The same bits with and without fused multiply-add: by default GCC (across statements) and clang 14 (within one) round
# a product and a sum once where -march has the instruction.
target_compile_options(xpusim_options INTERFACE -ffp-contract=off)
if(XPUSIM_WERROR)
  target_compile_options(xpusim_options INTERFACE -Werror)
endif()
if(XPUSIM_COVERAGE)
  target_compile_options(xpusim_options INTERFACE --coverage)
  target_link_options(xpusim_options INTERFACE --coverage)
endif()

# xpusim_add_module(chip SOURCES ... DEPENDS core spec ... PRIVATE ...): the static library xpusim_chip, alias
# xpusim::chip. DEPENDS are the modules that its headers include; PRIVATE are third-party targets of its sources.
function(xpusim_add_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  add_library(xpusim_${name} STATIC ${ARG_SOURCES})
  add_library(xpusim::${name} ALIAS xpusim_${name})
  set_target_properties(xpusim_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(xpusim_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/sim>
                                                   $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  list(TRANSFORM ARG_DEPENDS PREPEND xpusim::)
  target_link_libraries(xpusim_${name} PUBLIC ${ARG_DEPENDS} PRIVATE $<BUILD_INTERFACE:xpusim_options> ${ARG_PRIVATE})
  target_compile_features(xpusim_${name} PUBLIC cxx_std_20)
  set_property(GLOBAL APPEND PROPERTY XPUSIM_MODULES xpusim_${name})
endfunction()
