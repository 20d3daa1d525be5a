#include "xpusim/operators/collective.h"

namespace xpusim {

void describe(Fields& f, CollectiveShape& c) {
  f.required("bytes", c.bytes, "message, by the nccl-tests size convention", between(1, 1LL << 50));
  f.optional("group", c.group, "ranks that take part");
  f.optional("overlap", c.overlap, "runs on its own stream beside computation");
  f.optional("library", c.library, "library of the system that runs it; default: its first");
  f.optional("copies", c.copies, "dispatch, combine: experts that each token goes to", between(1, 1 << 16));
  f.optional("max_nodes", c.max_nodes,
             "dispatch, combine: nodes that a token's experts are on at most; 0: any", between(0, 1 << 16));
}

}  // namespace xpusim
