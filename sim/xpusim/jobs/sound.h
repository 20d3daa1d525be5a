#pragma once
#include "xpusim/jobs/job.h"

/// The last look at an outcome before anybody reads a figure of it.
namespace xpusim::jobs {

/// Throws ModelError where a figure is not finite, a time is below zero, or parts do not add up to their
/// whole.
void check_sound(const result::Result&);
void check_sound(const network::CollectiveTime&);
void check_sound(const validation::SetReport&);
void check_sound(const result::ScaleCurve&);

}  // namespace xpusim::jobs
