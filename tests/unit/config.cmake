# The modules core, config and result, and the inputs that once broke the reader.
xpusim_add_test(unit_core SOURCES core_test.cpp files_test.cpp units_test.cpp LIBRARIES xpusim::core LABELS fast)
xpusim_add_test(
  unit_config
  SOURCES scalars_test.cpp node_test.cpp mistakes_test.cpp overrides_test.cpp round_trip_test.cpp corpus_test.cpp models_test.cpp
          huggingface_test.cpp foreign_test.cpp
  LIBRARIES xpusim::simulate xpusim::config
  LABELS fast)
xpusim_add_test(unit_result SOURCES result_test.cpp LIBRARIES xpusim::result LABELS fast)
xpusim_add_test(unit_report SOURCES report_test.cpp LIBRARIES xpusim::report LABELS fast)
