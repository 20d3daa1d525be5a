# Installs the build into a scratch prefix, builds a foreign project against it, and runs both programs from elsewhere.
function(step name)
  execute_process(
    COMMAND ${ARGN}
    WORKING_DIRECTORY ${SCRATCH}
    RESULT_VARIABLE failed
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output)
  if(failed)
    message(FATAL_ERROR "${name} failed (${failed}):\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
set(prefix ${SCRATCH}/prefix)
step(install ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix})
step(configure ${CMAKE_COMMAND} -S ${SOURCE_DIR} -B ${SCRATCH}/build -G ${GENERATOR} -D CMAKE_CXX_COMPILER=${COMPILER} -D
     CMAKE_PREFIX_PATH=${prefix} -D "CMAKE_CXX_FLAGS=${FLAGS}")
step(build ${CMAKE_COMMAND} --build ${SCRATCH}/build)
step(consumer ${SCRATCH}/build/consumer ${prefix}/${DATA_DIR}/xpusim)
if(NOT output MATCHES "gemm on h100_sxm takes [0-9.]+ us")
  message(FATAL_ERROR "the foreign project says: ${output}")
endif()
step(list ${CMAKE_COMMAND} -E env --unset=XPUSIM_DATA ${prefix}/${BIN_DIR}/xpusim list)
foreach(id h100_sxm dgx_h100 llama31_8b llama31_70b_decode)
  if(NOT output MATCHES "${id}")
    message(FATAL_ERROR "xpusim list does not know ${id}: ${output}")
  endif()
endforeach()
step(op ${CMAKE_COMMAND} -E env --unset=XPUSIM_DATA ${prefix}/${BIN_DIR}/xpusim op --chip h100_sxm rmsnorm rows=64
     cols=4096)
file(REMOVE_RECURSE ${SCRATCH})
