#pragma once
#include "xpusim/step/step.h"

/// Phases of many steps, put together from single ones.
namespace xpusim::step {

/// A static batch from its prompts to its last tokens: one step of prefill, and decode steps over the growing
/// context, all sequences together; exactly their sum.
[[nodiscard]] result::Result generate(const Request&, std::int64_t devices, const Options&, OperatorTimer&);

/// All steps of a diffusion transformer.
[[nodiscard]] result::Result denoise(const Request&, std::int64_t devices, const Options&, OperatorTimer&);

}  // namespace xpusim::step
