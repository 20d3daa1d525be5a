#pragma once
#include "xpusim/operator_timer.h"
#include "xpusim/request.h"
#include "xpusim/result/result.h"

namespace xpusim {

/// Runs a training scenario on `devices` devices: one optimizer step. Equal ranks are computed once.
[[nodiscard]] result::Result train(const Request&, std::int64_t devices, const Options&);

/// The same with a timer that already knows operators (of the same chip and system), for searches.
[[nodiscard]] result::Result train(const Request&, std::int64_t devices, const Options&, OperatorTimer&);

}  // namespace xpusim
