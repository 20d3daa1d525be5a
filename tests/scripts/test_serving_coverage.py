"""What scripts/serving_coverage.py makes of rows, without running any."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import serving_coverage as sc  # noqa: E402

LLAMA = {
    "chip": "h100_sxm",
    "n_chips": "2",
    "model": "llama-3.1-70b",
    "layers": "80",
    "hidden": "8192",
    "heads": "64",
    "kv_heads": "8",
    "head_dim": "128",
    "ffn": "28672",
    "vocab": "128256",
    "experts": "0",
    "attention": "gqa",
    "weights": "fp8",
    "activation": "fp8",
    "kv_cache": "fp8",
    "tp": "2",
    "metric": "tpot_ms",
}


class ServingCoverage(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.bench = sc.Bench(Path("xpusim"), "bound", "graph", Path(folder.name))

    def reason(self, **changes: str) -> str:
        with self.assertRaises(sc.CannotExpress) as why:
            sc.deployment(LLAMA | changes, self.bench)
        return str(why.exception)

    def test_models_are_found_by_their_dimensions(self) -> None:
        self.assertEqual(sc.deployment(LLAMA, self.bench).model, "llama31_70b")
        self.assertEqual(sc.model_of(LLAMA | {"model": "another"}, self.bench.folder)[:5], "llama")
        written = Path(sc.model_of(LLAMA | {"layers": "7"}, self.bench.folder))
        self.assertIn("layers: 7\n", written.read_text(encoding="utf-8"))

    def test_large_plans_take_the_large_system(self) -> None:
        self.assertEqual(sc.deployment(LLAMA, self.bench).system, "dgx_h100")
        self.assertEqual(sc.deployment(LLAMA | {"dp": "8"}, self.bench).system, "superpod_h100")

    def test_what_is_missing_is_said(self) -> None:
        self.assertEqual(self.reason(chip="a100_pcie"), "chip without a file: a100_pcie")
        self.assertEqual(self.reason(mtp="3"), "acceptance not published")
        self.assertIn("unmodelled type", self.reason(weights="hif8"))

    def test_acceptance_gives_back_the_tokens(self) -> None:
        for tokens, drafts in ((1.7, 1), (2.44, 3), (1.0, 2)):
            share = sc.acceptance_of(tokens, drafts)
            self.assertAlmostEqual(sum(share**i for i in range(drafts + 1)), tokens, places=6)
        note = {"note": "1.44 of 3 drafts accepted"} | {"metric": "tpot_ms"}
        self.assertAlmostEqual(sc.published_tokens(note, 3), 2.44)

    def test_places_of_experts_divide(self) -> None:
        for experts, ranks in ((256, 320), (256, 288), (256, 72), (128, 8), (0, 1)):
            self.assertEqual((experts + sum(sc.placement(experts, ranks).values())) % ranks, 0)

    def test_errors_are_of_time(self) -> None:
        self.assertAlmostEqual(sc.Prediction("tpot_ms", 12, 10).error, 0.2)
        self.assertAlmostEqual(sc.Prediction("out_tok_per_s_total", 8, 10).error, 0.25)


if __name__ == "__main__":
    unittest.main()
