"""What scripts/bench_compare.py decides on made-up numbers, and how it refuses what it cannot compare.

Standard library only: scripts/speed_gate.sh runs it where no wheel and no pytest are.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import bench_compare as bc  # noqa: E402

BUILD = {"compiler": "GNU 12.2.0", "build_type": "Release", "libc": "2.36"}
OTHER_BUILD = BUILD | {"compiler": "GNU 99.0.0"}
COUNTS = {"a": 1_000_000, "b": 2_000_000}


def verdict(base: int, head: int) -> str:
    [change] = bc.changes({"kernel": base}, {"kernel": head}, bc.COUNT_LIMIT_PERCENT)
    return change.verdict


class Counts(unittest.TestCase):
    def test_the_gate_lies_between_1_9_and_2_1_percent(self) -> None:
        self.assertEqual(verdict(1_000_000, 1_019_000), "ok")
        self.assertEqual(verdict(1_000_000, 1_020_000), "ok")
        self.assertEqual(verdict(1_000_000, 1_020_001), "SLOWER")
        self.assertEqual(verdict(1_000_000, 1_021_000), "SLOWER")

    def test_what_is_faster_is_said_and_passes(self) -> None:
        self.assertEqual(verdict(1_000_000, 981_000), "ok")
        self.assertEqual(verdict(1_000_000, 979_000), "faster")

    def test_a_count_of_zero_is_no_count(self) -> None:
        for base, head in ((0, 1), (1, 0), (-1, 1)):
            with self.assertRaisesRegex(bc.UnusableError, "kernel"):
                verdict(base, head)

    def test_kernels_of_one_side_are_listed_after_the_changes_of_both(self) -> None:
        rows = bc.changes({"a": 100, "gone": 5, "z": 100}, {"a": 101, "fresh": 5, "z": 90}, 2)
        listed = [(c.name, c.verdict) for c in rows]
        self.assertEqual(listed, [("z", "faster"), ("a", "ok"), ("fresh", "new"), ("gone", "removed")])
        text = bc.table(rows, "instructions")
        self.assertIn("| z | 100 | 90 | -10.00 % | faster |", text)
        self.assertIn("| fresh |  | 5 |  | new |", text)
        self.assertIn("| gone | 5 |  |  | removed |", text)

    def test_the_profile_must_hold_a_count(self) -> None:
        self.assertEqual(bc.instructions_of("events: Ir\nsummary: 42\n"), 42)
        for profile in ("", "events: Ir\n", "summary: 0\n"):
            with self.assertRaisesRegex(bc.UnusableError, "counted nothing"):
                bc.instructions_of(profile)


class Times(unittest.TestCase):
    """Two benchmarks; `head` says how much longer each takes on the head, in each call."""

    def measured(self, head: list[dict[str, float]]) -> tuple[list[bc.Change], list[tuple[str, int]]]:
        calls: list[tuple[str, int]] = []

        def measure(pattern: str, rounds: int) -> tuple[list[bc.Times], list[bc.Times]]:
            times = {n: 100 * f for n, f in head[len(calls)].items()}
            calls.append((pattern, rounds))
            return [dict.fromkeys(times, 100.0)] * rounds, [times] * rounds

        return bc.time_changes(measure, ".", 3), calls

    def test_medians_ignore_an_outlier(self) -> None:
        rounds = [{"x": 1.0}, {"x": 1.1}, {"x": 50.0, "y": 2.0}]
        self.assertEqual(bc.medians(rounds), {"x": 1.1, "y": 2.0})

    def test_what_is_within_the_limit_is_measured_once(self) -> None:
        rows, calls = self.measured([{"x/1": 1.09, "y": 0.95}])
        self.assertEqual({c.name: c.verdict for c in rows}, {"x/1": "ok", "y": "ok"})
        self.assertEqual(calls, [(".", 3)])

    def test_a_suspect_alone_is_measured_again_and_the_second_result_counts(self) -> None:
        rows, calls = self.measured([{"x/1": 1.3, "y": 1.0}, {"x/1": 1.01}])
        self.assertEqual({c.name: c.verdict for c in rows}, {"x/1": "ok", "y": "ok"})
        self.assertEqual(calls, [(".", 3), ("^(x/1)$", 6)])

    def test_a_suspect_that_stays_slow_is_called_slower_and_does_not_fail(self) -> None:
        rows, _ = self.measured([{"x/1": 1.3, "y": 1.0}, {"x/1": 1.2}])
        self.assertEqual([(c.name, c.verdict) for c in rows], [("x/1", "SLOWER"), ("y", "ok")])
        nothing = bc.parse(["--base", "HEAD"])
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(bc.finish(nothing, "", bc.changes(COUNTS, COUNTS, 2), rows), 0)
        self.assertIn("| x/1 | 100 | 120 | +20.00 % | SLOWER |", out.getvalue())
        self.assertNotIn("| y |", out.getvalue())


class Recorded(unittest.TestCase):
    """The whole command against a record in a folder of its own, with made-up counts of the binary."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.record = self.root / bc.RECORD
        self.build, self.counts = BUILD, dict(COUNTS)
        for name, replacement in (
            ("ROOT", self.root),
            ("described", lambda _: (self.build, sorted(self.counts))),
            ("counts_of", lambda _: self.counts),
        ):
            patch = mock.patch.object(bc, name, replacement)
            patch.start()
            self.addCleanup(patch.stop)
        self.assertEqual(self.run_script("--record", "--reason", "a test")[0], 0)

    def run_script(self, *arguments: str) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            code = bc.main([*arguments, "--binary", str(self.root / "binary")])
        return code, out.getvalue()

    def test_equal_counts_pass(self) -> None:
        self.assertEqual(self.run_script("--recorded")[0], 0)

    def test_a_slower_kernel_fails_and_is_named(self) -> None:
        self.counts["b"] = 2_042_000
        code, text = self.run_script("--recorded")
        self.assertEqual(code, 1)
        self.assertIn("| b | 2,000,000 | 2,042,000 | +2.10 % | SLOWER |", text)
        self.assertIn("Slower: b.", text)

    def test_a_faster_kernel_passes_with_a_hint(self) -> None:
        self.counts["b"] = 1_000_000
        code, text = self.run_script("--recorded")
        self.assertEqual(code, 0)
        self.assertIn("keep the gain", text)

    def test_the_files_hold_what_was_printed_and_all_rows(self) -> None:
        self.counts["b"] = 2_042_000
        markdown, table = self.root / "new/out.md", self.root / "out.json"
        code, text = self.run_script("--recorded", "--markdown", str(markdown), "--json", str(table))
        self.assertEqual((code, markdown.read_text()), (1, text))
        rows = json.loads(table.read_text())["instructions"]
        self.assertEqual([(r["name"], r["verdict"]) for r in rows], [("b", "SLOWER"), ("a", "ok")])

    def test_a_kernel_that_one_side_lacks_is_no_pass(self) -> None:
        for change in ({"a": 1}, COUNTS | {"c": 1}):
            self.counts = change
            code, text = self.run_script("--recorded")
            self.assertEqual(code, 2)
            self.assertIn("--record --reason", text)

    def test_a_record_that_is_broken_is_no_pass(self) -> None:
        good = json.loads(self.record.read_text())
        broken = ["", "{", "[]", json.dumps(good)[:-20]]
        broken += [json.dumps(good | {"schema": s}) for s in (2, None, "1")]
        broken += [json.dumps(good | {"counts": c}) for c in ({}, [])]
        broken += [json.dumps(good | {"counts": {"a": n}}) for n in (0, -1, 1.5, True, None)]
        broken += [json.dumps({k: v for k, v in good.items() if k != key}) for key in good]
        for text in broken:
            self.record.write_text(text)
            code, said = self.run_script("--recorded")
            self.assertEqual(code, 2, text)
            self.assertIn("git restore", said)
        self.record.unlink()
        self.assertEqual(self.run_script("--recorded")[0], 2)

    def test_another_compiler_is_compared_with_the_record_remeasured(self) -> None:
        self.build = OTHER_BUILD
        self.counts = {"a": 1_021_000, "b": 2_000_000}
        for at_record, expected in ((COUNTS, 1), (self.counts, 0)):
            with mock.patch.object(bc, "counts_at_record", lambda _, counts=at_record: counts):
                code, text = self.run_script("--recorded")
            self.assertEqual(code, expected)
            self.assertIn("GNU 99.0.0", text)
            self.assertIn("not comparable", text)


class Misuse(unittest.TestCase):
    """The script as it is started."""

    def start(self, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = os.environ | ({} if path is None else {"PATH": path})
        command = [sys.executable, str(bc.ROOT / "scripts/bench_compare.py"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def test_says_what_would_be_right(self) -> None:
        for arguments, hint in (
            ([], "one of the arguments"),
            (["--recorded", "--base", "HEAD"], "not allowed with"),
            (["--record"], "--reason"),
            (["--record", "--reason", " "], "--reason"),
            (["--recorded", "--rounds", "3"], "go with --base"),
            (["--base", "HEAD", "--rounds", "0"], "--rounds"),
            (["--base", "no-such-revision"], "give a branch, a tag or a commit"),
            (["--recorded", "--binary", "/no/such/binary"], "cmake --build"),
        ):
            done = self.start(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(hint, done.stderr, arguments)

    def test_without_valgrind_names_the_setup(self) -> None:
        binary = bc.ROOT / "build/ci/tests/bench/xpusim_instructions"
        done = self.start("--recorded", "--binary", str(binary), path="")
        self.assertEqual(done.returncode, 2)
        self.assertIn("scripts/setup.sh", done.stderr)


if __name__ == "__main__":
    unittest.main()
