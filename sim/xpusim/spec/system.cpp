#include "xpusim/spec/system.h"

namespace xpusim {

void describe(Fields& f, LevelSpec& c) {
  f.label("name", c.name, "name of the level, e.g. package, node", true);
  f.required("kind", c.kind, "how the endpoints are joined");
  f.required("endpoints", c.endpoints, "devices that one instance of this level joins", between(2, 1 << 24));
  f.required("bandwidth", c.bandwidth, "of one device, per direction, all its links of this level",
             positive());
  f.required("latency", c.latency, "one hop from device to device", at_least(0));
  f.required("achieved_fraction", c.achieved_fraction, "part of bandwidth that long messages reach",
             fraction());
  f.optional("in_switch_reduction", c.in_switch_reduction, "the switch adds up what passes through it");
  f.optional("in_switch_fraction", c.in_switch_fraction, "part of bandwidth that in-switch reductions reach",
             fraction());
}

void describe(Fields& f, LibrarySpec& c) {
  f.label("name", c.name, "collective library", true);
  f.required("launch", c.launch, "cost of one collective before data moves", at_least(0));
  f.required("step", c.step, "cost of each algorithm step besides the wire's latency", at_least(0));
}

void describe(Fields& f, SystemSpec& c) {
  f.label("id", c.id, "the file's name without .yaml", true);
  f.label("name", c.name, "name in print", true);
  f.label("notes", c.notes, "free text");
  f.label("chip", c.chip, "id of the chip", true);
  f.required("chips", c.chips, "packages in the system", between(1, 1 << 24));
  f.required("levels", c.levels, "interconnect levels, innermost first");
  f.required("library", c.library, "collective library");
}

}  // namespace xpusim
