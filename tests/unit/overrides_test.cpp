#include <nlohmann/json.hpp>

#include "support/shipped.h"
#include "unit/mistakes.h"
#include "xpusim/config/describe.h"

/// --set, and the library that finds files.
namespace xpusim::config {
namespace {

class OverrideTest : public Mistakes {
 protected:
  [[nodiscard]] std::string setting(const std::string& text) const {
    return message([&] { static_cast<void>(library().chip("h100_sxm", {parse_override(text)})); });
  }
  [[nodiscard]] std::string setting_of_system(const std::string& text) const {
    return message([&] { static_cast<void>(library().system("dgx_h100", {parse_override(text)})); });
  }
};

TEST_F(OverrideTest, ReplacesAValueAndSaysSo) {
  const auto chip = library().chip("h100_sxm", {parse_override("chip.hbm.bandwidth=5 TB/s")});
  EXPECT_EQ(chip.value.hbm.bandwidth, BytesPerSecond(5e12));
  const Leaf& leaf = chip.leaves.at("chip.hbm.bandwidth");
  EXPECT_EQ(leaf.basis, "set");
  EXPECT_EQ(leaf.where.location().file, "--set chip.hbm.bandwidth=5 TB/s");
}

TEST_F(OverrideTest, ReachesIntoLists) {
  const auto system = library().system("dgx_h100", {parse_override("system.levels[0].latency=3 us")});
  EXPECT_EQ(system.value.levels[0].latency, Seconds(3e-6));
  EXPECT_EQ(setting_of_system("system.levels[7].latency=3 us"),
            "--set system.levels[7].latency=3 us: system.levels[7]: no such list element (indices 0 to 0)");
  EXPECT_EQ(setting_of_system("system.library[0].latency=3 us"),
            "--set system.library[0].latency=3 us: system.library[0]: no such list element (the list is "
            "empty or not "
            "a list)");
}

TEST_F(OverrideTest, MayBeAWholeGroup) {
  const auto chip = library().chip("h100_sxm", {parse_override("chip.clock={max: 1 GHz}")});
  EXPECT_EQ(chip.value.clock.max, Hertz(1e9));
  EXPECT_EQ(chip.leaves.at("chip.clock.max").basis, "set") << "its values need no source either";
}

TEST_F(OverrideTest, TheLastOneWins) {
  const auto chip = library().chip("h100_sxm", {{"chip.cores.count", "7"}, {"chip.cores.count", "8"}});
  EXPECT_EQ(chip.value.cores.count, 8);
}

TEST_F(OverrideTest, LeavesOtherFilesAlone) {
  auto chip = library().chip("h100_sxm", {parse_override("model.layers=nonsense")});
  auto plain = library().chip("h100_sxm");
  EXPECT_EQ(to_json(describer(chip.value)), to_json(describer(plain.value)));
}

TEST_F(OverrideTest, DoNotStayOnFilesThatAreReadOnce) {
  const Library once = library().read_once();
  for (const char* clock : {"1 GHz", "2 GHz", ""}) {
    const Overrides overrides =
        *clock == '\0' ? Overrides{} : Overrides{{"chip.clock.max", clock}, {"chip.cores.count", "7"}};
    auto kept = once.chip("h100_sxm", overrides);
    auto fresh = library().chip("h100_sxm", overrides);
    EXPECT_EQ(to_json(describer(kept.value)), to_json(describer(fresh.value))) << clock;
  }
}

TEST_F(OverrideTest, AFileReadOnceIsAsItWasThen) {
  write(FileKind::Model, kModel);
  const Library once = library().read_once();
  EXPECT_EQ(once.model("test").value.layers, 2);
  std::string deeper = kModel;
  deeper.replace(deeper.find("layers: 2"), 9, "layers: 3");
  write(FileKind::Model, deeper);
  EXPECT_EQ(once.model("test").value.layers, 2);
  EXPECT_EQ(library().model("test").value.layers, 3);
}

TEST_F(OverrideTest, AMisspeltKeyGetsTheNearestOne) {
  EXPECT_EQ(setting("chip.hbm.bandwith=5 TB/s"),
            "--set chip.hbm.bandwith=5 TB/s: chip.hbm.bandwith: unknown key (did you mean 'bandwidth'?)");
  EXPECT_EQ(setting("chip.hbn.bandwidth=5 TB/s"),
            "--set chip.hbn.bandwidth=5 TB/s: chip.hbn: unknown key (did you mean 'hbm'?)");
}

TEST_F(OverrideTest, AWrongUnitGetsTheRightOnes) {
  EXPECT_EQ(setting("chip.l2.latency=5 GHz"),
            "--set chip.l2.latency=5 GHz: chip.l2.latency: cannot read '5 GHz' as time (write a number with "
            "its unit, "
            "e.g. 2.4 us; units: s, h, ms, us, ns)");
}

TEST_F(OverrideTest, NothingIsNoValue) {
  EXPECT_EQ(setting("chip.hbm.bandwidth="),
            "--set chip.hbm.bandwidth=: chip.hbm.bandwidth: has no value (peak bandwidth of one die)");
}

TEST_F(OverrideTest, AValueIsSetWhole) {
  EXPECT_EQ(
      setting("chip.hbm.bandwidth.value=5 TB/s"),
      "--set chip.hbm.bandwidth.value=5 TB/s: chip.hbm.bandwidth.value: chip.hbm.bandwidth is a single value "
      "(set that)");
  EXPECT_EQ(setting("chip.hbm=5 TB/s"),
            "--set chip.hbm=5 TB/s: chip.hbm: expected a map of keys, found a value");
}

TEST_F(OverrideTest, APathBeginsWithAKindOfFile) {
  EXPECT_EQ(setting("chp.hbm.bandwidth=5 TB/s"),
            "--set chp.hbm.bandwidth=5 TB/s: chp: a path begins with chip, system, stack, model or scenario "
            "(did you mean "
            "'chip'?)");
  EXPECT_EQ(
      setting("hbm.bandwidth=5 TB/s"),
      "--set hbm.bandwidth=5 TB/s: hbm: a path begins with chip, system, stack, model or scenario (e.g. "
      "chip.hbm.bandwidth)");
}

TEST_F(OverrideTest, APathHasNoHoles) {
  for (const char* path :
       {"chip", "chip.", "chip..hbm", "chip.hbm[", "chip.hbm[]", "chip.hbm[0]x", "chip.[0]", "chip.h m"})
    EXPECT_EQ(setting(std::string(path) + "=1"),
              std::string("--set ") + path + "=1: " + path +
                  ": not the path of a value (e.g. chip.hbm.bandwidth or system.levels[0].latency)");
  for (const char* text : {"", "chip.hbm", "=5"})
    EXPECT_EQ(setting(text),
              std::string("--set ") + text + ": no path=value (e.g. 'chip.hbm.bandwidth=3.2 TB/s')");
}

TEST_F(OverrideTest, IsYaml) {
  EXPECT_EQ(setting("chip.name='a"),
            "--set chip.name='a:1:3: not readable as YAML: illegal EOF in scalar (close the quote)");
}

TEST_F(OverrideTest, MayHaveComeFromAnotherOption) {
  EXPECT_EQ(message([&] {
              static_cast<void>(library().chip("h100_sxm", {parse_override("chip.x=1", "--on")}));
            }).substr(0, 14),
            "--on chip.x=1:");
}

TEST_F(OverrideTest, ABaseLiesUnderItsHeir) {
  write(FileKind::Chip, kChip + "hbm:\n  bandwidth: {value: 9 TB/s, basis: estimate, source: me}\n");
  const auto heir = library().chip("test"), base = library().chip("h100_sxm");
  EXPECT_EQ(heir.value.hbm.bandwidth, BytesPerSecond(9e12));
  EXPECT_EQ(heir.value.hbm.capacity, base.value.hbm.capacity);
  EXPECT_EQ(heir.value.name, "Test");
  EXPECT_TRUE(heir.leaves.at("chip.hbm.bandwidth").where.location().file.ends_with("test.yaml"));
  EXPECT_TRUE(heir.leaves.at("chip.hbm.capacity").where.location().file.ends_with("h100_sxm.yaml"));
  EXPECT_EQ(library().chip("test", {parse_override("chip.hbm.bandwidth=1 TB/s")}).value.hbm.bandwidth,
            BytesPerSecond(1e12));
}

TEST_F(OverrideTest, AnUnknownIdGetsTheKnownOnes) {
  EXPECT_EQ(message([&] { static_cast<void>(library().chip("h100_smx")); }),
            "h100_smx: no such chip (did you mean 'h100_sxm'? known: a100_sxm, a100_sxm_40gb, ascend_910a, "
            "ascend_910b1, "
            "ascend_910b2, ascend_910b3, ascend_910b4, ascend_910c, ascend_950pr, b200_sxm, h100_sxm, h20, "
            "h200_sxm, h800)");
}

TEST_F(OverrideTest, AnUnknownIdIsReportedWhereAFileNamesIt) {
  write(FileKind::Scenario, kScenario);
  write(FileKind::Model, kModel, "other");
  const auto scenario = library().scenario("test");
  EXPECT_EQ(message([&] {
              static_cast<void>(library().model({scenario.value.model, scenario, "scenario.model"}));
            }),
            "test.yaml:2:8: scenario.model: no model 'test' (known: other)");
}

TEST_F(OverrideTest, AFileMustBeReadable) {
  const std::string nowhere = (folder() / "nowhere.yaml").string();
  EXPECT_EQ(message([&] { static_cast<void>(library().chip(nowhere)); }),
            nowhere + ": there is no such file");
  const std::string place = (folder() / "configs").string();
  EXPECT_EQ(message([&] { static_cast<void>(library().chip(place)); }),
            place + ": is a folder (name a file in it)");
}

TEST_F(OverrideTest, TheFolderTellsTheKind) {
  EXPECT_EQ(kind_of_path("configs/chips/x.yaml"), FileKind::Chip);
  EXPECT_EQ(kind_of_path("/a/workloads/traces/x.yaml"), FileKind::Trace);
  EXPECT_EQ(kind_of_path("x.yaml"), std::nullopt);
}

TEST(Notes, NameWhatDevicesHave) {
  const auto notes = [](const std::string& change) {
    return render(test::library().chip("h100_sxm", {parse_override(change)}).notes);
  };
  EXPECT_EQ(
      notes("chip.hbm.bandwidth=3352 TB/s"),
      "--set chip.hbm.bandwidth=3352 TB/s: chip.hbm.bandwidth: 3352 TB/s is beyond what devices have (300 "
      "GB/s to 25 TB/s; is the unit right?)");
  EXPECT_NE(notes("chip.hbm.bandwidth=3.352 GB/s"), "");
  EXPECT_EQ(notes("chip.hbm.bandwidth=8 TB/s"), "");
  EXPECT_EQ(notes("chip.operand_feed.a_capacity=0 B"), "") << "there is none";
}

/// The ranges are of devices that there are: the shipped ones are.
TEST(Notes, AreNotMadeOfShippedFiles) {
  for (const std::string& id : test::library().list(FileKind::Chip))
    EXPECT_EQ(render(test::library().chip(id).notes), "") << id;
  for (const std::string& id : test::library().list(FileKind::System))
    EXPECT_EQ(render(test::library().system(id).notes), "") << id;
  for (const std::string& id : test::library().list(FileKind::Stack))
    EXPECT_EQ(render(test::library().stack(id).notes), "") << id;
}

}  // namespace
}  // namespace xpusim::config
