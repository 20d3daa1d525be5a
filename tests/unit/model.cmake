# The modules from operators to the step. A shipped config is read where a test says so.
xpusim_add_test(
  unit_model
  SOURCES timeline_test.cpp calendar_test.cpp cost_test.cpp serving_graph_test.cpp training_test.cpp unread_test.cpp pipeline_test.cpp tile_program_test.cpp
          templates_test.cpp chip_test.cpp collective_test.cpp golden_network_test.cpp streams_test.cpp
  LIBRARIES xpusim::simulate xpusim::config
  LABELS fast)
# Measured sets, their replay, and the error bands that come of it.
xpusim_add_test(
  unit_validation
  SOURCES validation_test.cpp
  LIBRARIES xpusim::validation xpusim::config
  LABELS fast)
# Baselines and comparisons of `xpusim check`, and the processes that run it.
xpusim_add_test(
  unit_regression
  SOURCES regression_test.cpp workers_test.cpp ${PROJECT_SOURCE_DIR}/sim/xpusim/app/workers.cpp
  LIBRARIES xpusim::report
  LABELS fast)
# From names to jobs, and what they come to.
xpusim_add_test(
  unit_jobs
  SOURCES extremes_test.cpp jobs_test.cpp search_test.cpp sound_test.cpp
  LIBRARIES xpusim::jobs xpusim::report
  LABELS fast)
