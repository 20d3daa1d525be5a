#pragma once
#include <functional>
#include <string>
#include <vector>

#include "xpusim/core/units.h"
#include "xpusim/spec/graph.h"

/// When the operators of one rank run: two in-order streams, computation and overlapped communication.
namespace xpusim::cluster {

enum class Stream : std::uint8_t { Compute, Communication };

/// One run of one operator. Operators are named by their place in the graph.
struct OperatorSpan {
  std::uint32_t section = 0;
  std::uint32_t index = 0;
  Stream stream = Stream::Compute;
  Seconds begin, end;
};

struct Schedule {
  std::vector<OperatorSpan> spans;
  Seconds total;
  Seconds exposed_communication;  ///< of overlapped collectives, and of those on the compute stream
};

using OperatorTime = std::function<Seconds(const Operator&)>;

/// Runs the graph's sections in order, each `repeat` times. An operator starts when its stream is free and
/// what it comes after has ended. Every rank does the same, so one rank stands for all.
[[nodiscard]] Schedule schedule(const Graph&, const OperatorTime&);

}  // namespace xpusim::cluster
