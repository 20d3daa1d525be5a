#!/usr/bin/env python3
"""Which measured rows of LLM inference a native scenario can express, and how far its predictions are off.

Every row of static, throughput, serving, ascend_static and ascend_serving.csv becomes scenarios (prefill,
decode, generate) that the built program runs; diffusion.csv becomes denoise scenarios. What is left over is
counted by reason. With --errors: predicted over measured, by set and metric, engine, and family of models.
Continuous batching is put together from single steps in closed form: nothing here schedules requests.

exit codes: 0 done, or the folder of measurements is absent; 1 fewer rows than --least % are expressible
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "../shared/measured/inference"
SETS = ("static", "throughput", "serving", "ascend_static", "ascend_serving", "diffusion")
Row = dict[str, str]


class CannotExpress(Exception):
    """Why a row has no native scenario."""


# ---- what the sets call chips, models and types

# The node and the larger system of a chip, its devices a node, and what differs from the system's own chip.
SYSTEMS: dict[str, tuple[str, str, int, list[str]]] = {
    "a100_sxm": ("dgx_a100", "superpod_a100", 8, []),
    "h100_sxm": ("dgx_h100", "superpod_h100", 8, []),
    "h800_sxm": ("h800_8plane", "h800_8plane", 2048, []),
    "h200_sxm": ("hgx_h200", "hgx_h200", 8, []),
    "h20": ("dgx_h100", "superpod_h100", 8, ["system.chip=h20"]),
    "b200_sxm": ("dgx_b200", "gb200_nvl72", 8, []),
    "gb200": ("gb200_nvl72", "gb200_nvl72", 72, []),
    "ascend_910b": ("atlas_800_a2", "atlas_900_a2", 8, []),
    "ascend_910b2": ("atlas_800_a2", "atlas_900_a2", 8, []),
    "ascend_910c_die": ("atlas_800_a3", "cloudmatrix384", 16, []),
    "ascend_950pr": ("atlas_950", "atlas_950", 8192, []),
}
# Speed bins that the sources print; the 560T bin of a 910C die has fewer cores at a lower clock (derived: 560
# of 752 TOPS).
BINS = {"560T": ["chip.cores.count=20", "chip.clock.max=1.5 GHz"]}
DIFFUSION_MODELS = {"hunyuanvideo-13b": "hunyuan_video", "flux.1-dev": "flux_dev"}
EIGHT_BITS = {"int8", "fp8"}
KNOWN_TYPES = EIGHT_BITS | {"bf16", "fp16", "int4", "mxfp4", "nvfp4"}


def number(text: str | None, otherwise: float = 0) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise


def count(row: Row, key: str, otherwise: int = 0) -> int:
    return int(number(row.get(key), otherwise))


def plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def keys_of(path: Path) -> dict[str, str]:
    """Top-level keys of a model file; `experts.count` of the nested ones on one line."""
    keys = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"(\w+): *([^#]*)", line):
            keys[match[1]] = match[2].strip()
        if line.startswith("experts:"):
            keys |= {f"experts.{k}": v for k, v in re.findall(r"(\w+): *(\d+)", line)}
    return keys


def shipped_models() -> dict[str, dict[str, str]]:
    return {p.stem: keys_of(p) for p in sorted((ROOT / "workloads/models").glob("*.yaml"))}


MODELS = shipped_models()


def same_model(row: Row, keys: dict[str, str]) -> bool:
    """Do the dimensions of a row and of a shipped file agree?"""
    pairs = [("layers", "layers"), ("hidden", "hidden"), ("heads", "heads"), ("experts", "experts.count")]
    return all(count(row, mine) == int(keys.get(theirs) or 0) for mine, theirs in pairs)


def model_of(row: Row, folder: Path) -> str:
    """The id of a shipped model, or the path of a file written from the row."""
    by_name = [m for m in MODELS if plain(m) == plain(row["model"]) and same_model(row, MODELS[m])]
    by_shape = [m for m in MODELS if same_model(row, MODELS[m])]
    if by_name or by_shape:
        return (by_name or by_shape)[0]
    if not re.fullmatch(r"mha|gqa|mqa", row["attention"]):
        raise CannotExpress(f"no model file for attention {row['attention'].split('(')[0]}")
    return written_model(row, folder)


def written_model(row: Row, folder: Path) -> str:
    keys: dict[str, Any] = {
        k: count(row, k) for k in ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocab")
    }
    name = "m_" + plain(row["model"])
    keys |= {
        "id": name,
        "name": row["model"],
        "source": "a measured row",
        "norm": "rmsnorm",
        "position": "rope",
    }
    keys |= {"ffn": count(row, "ffn") or count(row, "expert_ffn"), "max_position": 1 << 20}
    keys["ffn_gated"] = "true" if count(row, "ffn_gated", 1) else "false"
    if count(row, "experts"):
        wanted = {"count": "experts", "per_token": "topk", "ffn": "expert_ffn", "shared": "shared_experts"}
        wanted["dense_layers"] = "dense_layers"
        keys["experts"] = "{" + ", ".join(f"{k}: {count(row, v)}" for k, v in wanted.items()) + "}"
    path = folder / f"{name}.yaml"
    path.write_text("".join(f"{k}: {v}\n" for k, v in keys.items()), encoding="utf-8")
    return str(path)


def precision_of(row: Row) -> dict[str, str]:
    weights, kept = row.get("weights", ""), row.get("kv_cache") or "bf16"
    experts = row.get("moe_weights") or ""
    if weights == "w4a8":
        weights, experts, products = (
            ("int8", "int4", "int8") if count(row, "experts") else ("int4", "", "int8")
        )
    elif weights == "int4 experts (native)":
        weights, experts, products = "bf16", "int4", "bf16"
    else:
        products = row.get("activation") or ("bf16" if weights == "int4" else weights)
    narrow = "mxfp4" if "MXFP4" in row.get("note", "") else "nvfp4"
    types = {"weights": weights, "activations": products, "kv_cache": kept, "experts": experts or weights}
    types = {k: narrow if v == "fp4" else v for k, v in types.items()}
    for key, value in types.items():
        if value not in KNOWN_TYPES:
            raise CannotExpress(f"unmodelled type: {key} in {value}")
    return types


# ---- deployments


@dataclass
class Deployment:
    """A row's model, chips and plan."""

    model: str
    system: str
    devices_per_chip: int
    parallelism: dict[str, int]
    precision: dict[str, str]
    launch: str
    drafts: int = 0
    tokens_per_step: float = 1
    experts: dict[str, int] = field(default_factory=dict)
    sets: list[str] = field(default_factory=list)

    @property
    def devices(self) -> int:
        return math.prod(self.parallelism[k] for k in ("tp", "pp", "dp"))

    def scenario(self, phase: str, **keys: Any) -> str:
        dp = self.parallelism["dp"]
        if "batch" in keys:  # a step ends with the fullest replica
            keys["batch"] = math.ceil(max(1, round(keys["batch"])) / dp) * dp
        body = {"name": "row", "model": self.model, "system": self.system, "phase": phase, **keys}
        body["chips"] = math.ceil(self.devices / self.devices_per_chip)
        body |= {"precision": inline(self.precision), "parallelism": inline(self.parallelism)}
        body["launch"] = self.launch
        if self.experts:
            body["experts"] = inline(self.experts)
        if self.drafts and phase in ("decode", "generate"):
            body["speculation"] = inline(self.speculation())
        return "".join(f"{k}: {v}\n" for k, v in body.items())

    def speculation(self) -> dict[str, Any]:
        own = int(MODELS.get(self.model, {}).get("mtp_layers", "0") or 0) > 0
        share = acceptance_of(self.tokens_per_step, self.drafts)
        return {"drafts": self.drafts, "acceptance": share, "drafter": "mtp" if own else "none"}


def inline(keys: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{k}: {v}" for k, v in keys.items()) + "}"


def acceptance_of(tokens: float, drafts: int) -> float:
    """The share whose sum 1 + a + a^2 + ... of as many drafts is `tokens`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if sum(middle**i for i in range(drafts + 1)) < tokens:
            low = middle
        else:
            high = middle
    return round(low, 9)


def published_tokens(row: Row, drafts: int) -> float:
    """Tokens of a sequence and step, of rows with drafts."""
    if number(row.get("tokens_per_step")) > 0:
        return number(row["tokens_per_step"])
    if row["metric"] in ("step_ms", "decode_iteration_ms"):
        return 1  # whatever is accepted
    note = row.get("note", "")
    if match := re.search(r"([\d.]+) of \d drafts? accepted", note):
        return 1 + float(match[1])
    if (match := re.search(r"acceptance[^\d]*([\d.]+)", note)) and float(match[1]) <= 1:
        return 1 + drafts * float(match[1])
    raise CannotExpress("acceptance not published")


def plan_of(row: Row, prefix: str = "") -> dict[str, int]:
    plan = {k: count(row, prefix + k, 1) or 1 for k in ("tp", "pp", "dp", "ep")}
    if not count(row, "experts"):
        return plan | {"ep": 1}
    if plan["ep"] > plan["tp"] * plan["dp"]:  # attention on replicas over the experts' ranks
        plan["dp"] = plan["ep"] // plan["tp"]
    given = count(row, prefix + "moe_tp")
    plan["etp"] = given or max(1, plan["tp"] * plan["dp"] // plan["ep"])
    if plan["tp"] * plan["dp"] % (plan["ep"] * plan["etp"]):
        raise CannotExpress("experts on other devices than attention")
    return plan


def placement(experts: int, ranks: int) -> dict[str, int]:
    """Second copies that make the places divide; on 320 ranks as of CloudMatrix384 (arXiv 2506.12708)."""
    if not experts or experts % ranks == 0:
        return {}
    if (experts, ranks) == (256, 320):
        return {"redundant": 32, "shared_replicas": 32}
    return {"redundant": -experts % ranks}


def deployment(row: Row, bench: Bench, prefix: str = "") -> Deployment:
    if row["chip"] not in SYSTEMS:
        raise CannotExpress(f"chip without a file: {row['chip']}")
    node, large, size, sets = SYSTEMS[row["chip"]]
    if "v4_sparse" in row["attention"]:
        raise CannotExpress("unmodelled attention: that of DeepSeek-V4")
    dies = 2 if row["chip"] == "ascend_910c_die" else 1
    d = Deployment(
        model_of(row, bench.folder), node, dies, plan_of(row, prefix), precision_of(row), bench.launch
    )
    d.system = node if d.devices <= size else large
    bins = [s for name, s in BINS.items() if name in (row.get("chip_bin") or "") and dies == 2]
    d.sets = sets + [x for s in bins for x in s]
    d.experts = placement(count(row, "experts"), d.parallelism["ep"])
    d.drafts = count(row, "mtp") or max(0, count(row, "q_len", 1) - 1)
    d.tokens_per_step = published_tokens(row, d.drafts) if d.drafts else 1
    longest = count(row, "isl") + count(row, "osl") + d.drafts + 1
    if longest > int(MODELS.get(d.model, {}).get("max_position", 1 << 20)):
        d.sets.append(f"model.max_position={longest}")
    return d


# ---- running


class Bench:
    """Runs scenarios, each distinct one once."""

    def __init__(self, xpusim: Path, fidelity: str, launch: str, folder: Path) -> None:
        self.xpusim, self.fidelity, self.launch, self.folder = xpusim, fidelity, launch, folder
        self.known: dict[tuple[str, ...], dict[str, Any] | str] = {}

    def run(self, text: str, sets: list[str]) -> dict[str, Any]:
        key = (text, *sets)
        if key not in self.known:
            self.known[key] = self.play(text, sets)
        found = self.known[key]
        if isinstance(found, str):
            raise CannotExpress(found)
        return found

    def play(self, text: str, sets: list[str]) -> dict[str, Any] | str:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=self.folder, delete=False) as file:
            file.write(text)
        command = [str(self.xpusim), "run", file.name, "--fidelity", self.fidelity, "--json", "-"]
        command += [x for s in sets for x in ("--set", s)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=ENVIRONMENT)
        if done.returncode == 0:
            return json.loads(done.stdout)["results"][0]
        errors = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
        return "refused: " + re.sub(r"\s+", " ", " ".join(errors).replace(file.name, "row"))

    def seconds(self, d: Deployment, phase: str, **keys: Any) -> float:
        return self.run(d.scenario(phase, **keys), d.sets)["step_time_s"]

    def decode(self, d: Deployment, batch: float, first: float, last: float) -> float:
        """The mean step from `first` to `last` cached tokens: Simpson's rule."""
        ends = [max(1, round(x)) for x in (first, (first + last) / 2, last)]
        a, b, c = (self.seconds(d, "decode", batch=batch, context=x) for x in ends)
        return (a + 4 * b + c) / 6

    def prompts(self, d: Deployment, together: float, isl: float, hit: float = 0) -> float:
        """Seconds of as many prompts' prefill, a share of which is in a prefix cache."""
        cached = round(isl * hit)
        fresh = max(1, round(isl) - cached)
        return self.seconds(d, "prefill", batch=together, sequence=fresh, context=cached)

    def prompt(self, d: Deployment, isl: float, hit: float = 0) -> float:
        """Seconds of one prompt, of steps of some 8,192 tokens a replica."""
        together = max(1, int(8192 // (isl * (1 - hit)))) * d.parallelism["dp"]
        return self.prompts(d, together, isl, hit) / together

    def fitting(self, d: Deployment, tokens: float, share: float) -> int:
        """Sequences that fit beside the weights, 3 % and 2 GB of the memory set aside."""
        dp = d.parallelism["dp"]
        memory = self.run(d.scenario("decode", batch=dp, context=max(1, round(tokens))), d.sets)["memory"]
        free = 0.97 * memory["capacity_bytes"] - memory["weights_bytes"] - 2e9
        each = memory["kv_cache_bytes"]
        return max(1, int(free * share / each)) * dp


ENVIRONMENT = os.environ | {"XPUSIM_DATA": str(ROOT)}


# ---- the sets: metric, predicted, measured


@dataclass
class Prediction:
    kind: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Of time, whatever the metric: above zero the model is too slow."""
        is_rate = "per_s" in self.kind
        return self.measured / self.predicted - 1 if is_rate else self.predicted / self.measured - 1


def replicas_on(row: Row, d: Deployment) -> float:
    return max(1.0, number(row["n_chips"]) / d.devices)


def of_static(row: Row, bench: Bench) -> list[Prediction]:
    d = deployment(row, bench)
    batch, isl, osl = number(row["batch"], 1), count(row, "isl"), count(row, "osl")
    kind, metric = row["phase"] + " " + row["metric"], row["metric"]
    if row["phase"] == "request":
        total = bench.seconds(d, "generate", batch=batch, sequence=isl, output=osl)
    elif row["phase"] == "prefill":
        total = bench.seconds(d, "prefill", batch=batch, sequence=isl)
    else:
        total = bench.decode(d, batch, isl, isl + osl)
        total /= 1 if metric == "step_ms" else d.tokens_per_step
    value = batch * osl / total if metric == "out_tok_per_s_total" else 1e3 * total
    return [Prediction(kind, value, number(row["value"]))]


def of_ascend_static(row: Row, bench: Bench) -> list[Prediction]:
    d = deployment(row, bench)
    batch, isl, osl = number(row["batch_or_concurrency"], 1), count(row, "isl"), count(row, "osl")
    metric, measured = row["metric"], number(row["value"])
    if metric in ("ttft_ms", "prefill_ms"):
        return [Prediction(metric, 1e3 * bench.seconds(d, "prefill", batch=batch, sequence=isl), measured)]
    step = bench.decode(d, batch, isl, isl + osl)
    if metric == "decode_iteration_ms":
        return [Prediction(metric, 1e3 * step, measured)]
    return [Prediction(metric, 1e3 * step / d.tokens_per_step, measured)]


def saturated(row: Row, d: Deployment, bench: Bench) -> float:
    """Output tokens a second of one deployment: as many sequences as fit, prompts between their steps."""
    isl, osl = number(row["isl"]), number(row["osl"])
    if not isl or not osl:
        raise CannotExpress("lengths not stated (a data set)")
    limit = number(row["max_batch"], 2048) * d.parallelism["dp"]
    running = min(bench.fitting(d, isl + osl, number(row["kv_mem_frac"], 0.9)), limit)
    requests = number(row["num_requests"]) / replicas_on(row, d)
    if requests:  # waves of equal size
        running = requests / math.ceil(requests / min(running, requests))
    step = bench.decode(d, running, isl, isl + osl) / d.tokens_per_step
    return running / (step + running / osl * bench.prompt(d, isl))


def of_throughput(row: Row, bench: Bench) -> list[Prediction]:
    d = deployment(row, bench)
    if not count(row, "experts"):
        d.parallelism["dp"] = 1
    copies, isl = replicas_on(row, d), count(row, "isl")
    kind = row["phase"] + " " + row["metric"]
    if row["phase"] == "request":
        rate = saturated(row, d, bench)
    elif row["phase"] == "prefill":
        batch = number(row["batch"]) / copies or max(1, 16384 // isl) * d.parallelism["dp"]
        rate = batch * isl / bench.seconds(d, "prefill", batch=batch, sequence=isl)
    else:
        batch = number(row["batch"]) / copies
        rate = batch * d.tokens_per_step / bench.decode(d, batch, isl, isl)
    return [Prediction(kind, copies * rate, number(row["value"]))]


@dataclass
class Load:
    """Requests in a closed loop, of one deployment."""

    requests: float
    isl: float
    osl: float
    limit: float = 0  # on those that run at once
    hit: float = 0  # share of a prompt that a prefix cache holds


def closed_loop(d: Deployment, prefill: Deployment, load: Load, bench: Bench) -> tuple[float, float, float]:
    """Seconds to the first token and between two, output tokens a second.

    Mean values: what is in flight is in every step; prompts of the others come between a sequence's tokens
    where one pool does both.
    """
    fits = bench.fitting(d, load.isl + load.osl / 2, 0.9)
    running = max(1, min(load.requests, load.limit or load.requests, fits))
    tpot = bench.decode(d, running, load.isl, load.isl + load.osl) / d.tokens_per_step
    ttft = bench.prompts(prefill, prefill.parallelism["dp"], load.isl, load.hit)
    if d is prefill:
        each = bench.prompt(d, load.isl, load.hit)
        ttft += tpot / 2 + 0.05 * (running - 1) * each  # a tenth of them starts together
        tpot += (running - 1) / load.osl * each
    ttft += max(0.0, load.requests / running - 1) * load.osl * tpot  # not admitted yet
    return ttft, tpot, load.requests * load.osl / (ttft + (load.osl - 1) * tpot)


def of_serving(row: Row, bench: Bench) -> list[Prediction]:
    mean = (1 + number(row["len_min_frac"], 1)) / 2
    apart = row["mode"] == "disagg"
    d = deployment(row, bench, "decode_" if apart else "")
    prefill = deployment(row, bench, "prefill_") if apart else d
    workers = number(row["decode_workers"], 1) if apart else replicas_on(row, d)
    load = Load(number(row["concurrency"]) / workers, number(row["isl"]) * mean, number(row["osl"]) * mean)
    load.limit = number(row["max_batch"]) * d.parallelism["dp"]
    ttft, tpot, rate = closed_loop(d, prefill, load, bench)
    values = {"ttft_ms": 1e3 * ttft, "tpot_ms": 1e3 * tpot, "out_tok_per_s_total": workers * rate}
    given = [(k, v) for k, v in values.items() if number(row[k])]
    return [Prediction(f"{row['mode']} {k}", v, number(row[k])) for k, v in given]


def of_ascend_serving(row: Row, bench: Bench) -> list[Prediction]:
    d = deployment(row, bench)
    apart = "disagg" in row["note"] + row["id"] or re.search(r"P: \d nodes?", row["note"])
    # Prefill on other devices: the columns are the plan of those that decode, and taken as that of both.
    prefill, copies = (replace(d), 1.0) if apart else (d, replicas_on(row, d))
    load = Load(number(row["batch_or_concurrency"]) / copies, number(row["isl"]), number(row["osl"]))
    if hit := re.search(r"prefix_hit=([\d.]+)", row["note"]):
        load.hit = float(hit[1])
    elif "prefix cache" in row["note"]:
        raise CannotExpress("a prefix cache, its share of hits not published")
    ttft, tpot, rate = closed_loop(d, prefill, load, bench)
    values = {"ttft_ms": 1e3 * ttft, "tpot_ms": 1e3 * tpot, "output_tokens_per_s": copies * rate}
    return [Prediction(row["metric"], values[row["metric"]], number(row["value"]))]


def of_diffusion(row: Row, bench: Bench) -> list[Prediction]:
    node, large, size, sets = SYSTEMS[row["chip"]]
    name = row["model"]
    model = DIFFUSION_MODELS.get(name) or next((m for m in MODELS if plain(m) == plain(name)), "")
    if not model:
        raise CannotExpress(f"no model file for {name}")
    dies = 2 if row["chip"] == "ascend_910c_die" else 1
    ranks = {k: count(row, k, 1) for k in ("tp", "ulysses", "ring")} | {"cfg": count(row, "cfg_parallel", 1)}
    types = {k: row["weights" if k == "weights" else "activation"] for k in ("weights", "activations")}
    d = Deployment(model, node, dies, ranks | {"dp": 1, "pp": 1}, types, bench.launch)
    d.system, d.sets = node if count(row, "n_chips") <= size else large, sets
    body = {"batch": 1, "sequence": count(row, "video_tokens"), "passes": count(row, "cfg", 1)}
    body["steps"] = 1 if row["scope"] == "denoise_step" else count(row, "steps", 1)
    text = d.scenario("denoise", **body).replace(", pp: 1", "")
    chips = math.ceil(count(row, "n_chips", 1) / dies)
    text = re.sub(r"chips: \d+", f"chips: {chips}", text)
    return [Prediction(row["scope"], bench.run(text, d.sets)["step_time_s"], number(row["time_s"]))]


READERS: dict[str, Callable[[Row, Bench], list[Prediction]]] = {
    "static": of_static,
    "throughput": of_throughput,
    "serving": of_serving,
    "ascend_static": of_ascend_static,
    "ascend_serving": of_ascend_serving,
    "diffusion": of_diffusion,
}


# ---- reports


@dataclass
class Outcome:
    set: str
    row: Row
    predictions: list[Prediction] = field(default_factory=list)
    reason: str = ""

    @property
    def counts(self) -> bool:
        """Of the rows that the target is about: with a chip file and a published acceptance."""
        return not self.reason.startswith(("chip without", "acceptance"))


def rows_of(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def outcome(name: str, row: Row, bench: Bench) -> Outcome:
    try:
        return Outcome(name, row, READERS[name](row, bench))
    except CannotExpress as why:
        return Outcome(name, row, reason=str(why))


def family(row: Row) -> str:
    attention = row.get("attention", "")
    if not attention:
        return "diffusion"
    if "gdn" in attention or attention == "hybrid":
        return "linear attention"
    if "dsa" in attention:
        return "sparse MLA"
    if attention.startswith("mla"):
        return "MLA, experts"
    return "GQA, experts" if count(row, "experts") else "dense"


def engine(row: Row) -> str:
    return re.split(r"[ /(]", row.get("engine") or row.get("source") or "?")[0]


def report_coverage(outcomes: list[Outcome]) -> float:
    print(f"{'set':16s} {'rows':>5s} {'native':>6s} {'of those that count':>20s}")
    for name in (*SETS, "all"):
        mine = [o for o in outcomes if name in (o.set, "all")]
        fit, counted = sum(not o.reason for o in mine), sum(o.counts for o in mine)
        if mine:
            print(
                f"{name:16s} {len(mine):5d} {fit:6d} {f'{fit} / {counted}':>14s} {fit / max(1, counted):5.0%}"
            )
    print("\nnot expressible, by reason")
    reasons = Counter((o.set, re.sub(r"[\d.]+ GiB", "x GiB", o.reason)) for o in outcomes if o.reason)
    for (name, reason), rows in sorted(reasons.items(), key=lambda x: (-x[1], x[0])):
        print(f"{rows:5d}  {name:16s} {reason[:180]}")
    return sum(not o.reason for o in outcomes) / max(1, sum(o.counts for o in outcomes))


def table(title: str, groups: dict[str, list[float]]) -> None:
    print(f"\n{title:44s} {'values':>6s} {'MAPE %':>7s} {'median':>7s} {'bias':>7s}")
    for name, errors in sorted(groups.items()):
        sizes = [100 * abs(e) for e in errors]
        bias, mean, median = 100 * statistics.mean(errors), statistics.mean(sizes), statistics.median(sizes)
        print(f"{name:44s} {len(errors):6d} {mean:7.1f} {median:7.1f} {bias:+7.1f}")


def report_errors(outcomes: list[Outcome], worst: int) -> None:
    by: dict[str, dict[str, list[float]]] = {
        "set and metric": defaultdict(list),
        "set, engine": defaultdict(list),
        "set, family": defaultdict(list),
    }
    named = []
    for o in outcomes:
        for p in o.predictions:
            by["set and metric"][f"{o.set} {p.kind}"].append(p.error)
            by["set, engine"][f"{o.set} {engine(o.row)}"].append(p.error)
            by["set, family"][f"{o.set} {family(o.row)} {o.row['chip']}"].append(p.error)
            named.append((abs(p.error), p, o))
    for title, groups in by.items():
        table(title, groups)
    print("\nworst values")
    for _, p, o in sorted(named, key=lambda x: -x[0])[:worst]:
        values = f"{p.predicted:.4g} for {p.measured:.4g}"
        print(f"{100 * p.error:+8.0f} %  {o.set} {p.kind}: {values}  {o.row['id']}")


def arguments() -> argparse.Namespace:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--xpusim", type=Path, default=ROOT / "build/ci/xpusim", help="the built program")
    a.add_argument("--measured", type=Path, default=MEASURED, help="folder of the measured sets")
    a.add_argument("--fidelity", choices=("bound", "tile"), default="bound")
    a.add_argument("--launch", choices=("graph", "eager"), default="graph")
    a.add_argument("--only", default=",".join(SETS), help="sets, with commas between")
    a.add_argument("--every", type=int, default=1, help="take every n-th row")
    a.add_argument("--errors", action="store_true", help="predicted over measured")
    a.add_argument("--worst", type=int, default=20, help="values to name")
    a.add_argument("--least", type=float, default=0, help="%% of the rows that count")
    return a.parse_args()


def main() -> int:
    o = arguments()
    if not o.measured.is_dir():
        print(f"serving_coverage: no measured sets in {o.measured}, skipped", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        bench = Bench(o.xpusim.resolve(), o.fidelity, o.launch, Path(folder))
        jobs = [(n, r) for n in o.only.split(",") for r in rows_of(o.measured / f"{n}.csv")[:: o.every]]
        outcomes = list(pool.map(lambda job: outcome(job[0], job[1], bench), jobs))
    share = report_coverage(outcomes)
    if o.errors:
        report_errors(outcomes, o.worst)
    return 1 if 100 * share < o.least else 0


if __name__ == "__main__":
    sys.exit(main())
