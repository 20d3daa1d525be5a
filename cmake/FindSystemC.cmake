# SystemC from its own CMake package (3.x) or from pkg-config (Debian's 2.3.4).
find_package(SystemCLanguage CONFIG QUIET)
if(NOT TARGET SystemC::systemc)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(SYSTEMC REQUIRED IMPORTED_TARGET GLOBAL systemc)
  add_library(SystemC::systemc INTERFACE IMPORTED)
  target_link_libraries(SystemC::systemc INTERFACE PkgConfig::SYSTEMC)
  # Debian built it as C++17, and its headers refuse other standards at link time unless told the same.
  target_compile_definitions(SystemC::systemc INTERFACE SC_CPLUSPLUS=201703L)
endif()
include(FindPackageHandleStandardArgs)
set(SystemC_LIBRARY SystemC::systemc)
find_package_handle_standard_args(SystemC REQUIRED_VARS SystemC_LIBRARY)
