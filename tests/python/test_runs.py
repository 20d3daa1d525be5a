"""Simulating: results, their documents, progress, interrupts."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import xpusim as xs

from conftest import ROOT, Run


@pytest.fixture(scope="module")
def result(decode: xs.Scenario) -> xs.Result:
    return xs.simulate(decode, fidelity="bound")


def test_the_breakdown_adds_up_to_the_step(result: xs.Result) -> None:
    assert sum(result.breakdown.values()) == pytest.approx(result.step_time_s, rel=1e-9)
    assert result.bound_by == max(result.breakdown, key=lambda cause: result.breakdown[cause])


def test_tokens_follow_from_batch_and_time(result: xs.Result) -> None:
    assert result.tokens_per_s == pytest.approx(64 / result.step_time_s)


def test_operators_make_up_the_step(result: xs.Result) -> None:
    frame = result.ops.to_pandas()
    ticks = 0.5e-12 * frame["count"].sum()  # a step counts picoseconds: each run of an operator is rounded
    assert (frame.time_s * frame["count"]).sum() == pytest.approx(result.step_time_s, abs=ticks)
    assert frame.attrs["units"]["hbm_bytes"] == "B" and frame.attrs["units"]["time_s"] == "s"


def test_the_timeline_ends_with_the_step_and_lanes_do_not_overlap(result: xs.Result) -> None:
    spans = result.timeline
    assert max(span["end_s"] for span in spans) == pytest.approx(result.step_time_s, abs=1e-9)
    for lane in {span["lane"] for span in spans}:
        ordered = sorted((s["begin_s"], s["end_s"]) for s in spans if s["lane"] == lane)
        assert all(a[1] <= b[0] + 1e-11 for a, b in zip(ordered, ordered[1:], strict=False))


def test_the_document_is_that_of_the_program(result: xs.Result) -> None:
    document = json.loads(result.to_json())
    assert document["schema"] == "xpusim.result/1" and document["version"] == xs.__version__
    assert document["results"][0]["step_time_s"] == result.step_time_s
    assert "# chip\n" in result.data["config"] and len(result.data["config_hash"]) == 16


def test_a_trace_is_written_whole(result: xs.Result, tmp_path: Path) -> None:
    path = result.save_trace(tmp_path / "deep" / "a.trace.json")
    assert json.loads(path.read_text())["traceEvents"]
    assert [p.name for p in path.parent.iterdir()] == ["a.trace.json"]
    with pytest.raises(OSError):
        result.save_trace(path / "below_a_file.json")


def test_a_result_survives_pickling(result: xs.Result) -> None:
    copy = pickle.loads(pickle.dumps(result))
    assert copy.to_json() == result.to_json() and list(copy.timeline) == list(result.timeline)
    assert str(copy) == str(result) and copy.step_time_s == result.step_time_s


def test_a_second_run_gives_the_same_bits(decode: xs.Scenario) -> None:
    one, other = (xs.simulate(decode, fidelity="tile").to_json() for _ in range(2))
    assert one == other


def test_changes_reach_what_the_scenario_names(decode: xs.Scenario, result: xs.Result) -> None:
    fast = {"chip.hbm.bandwidth": "6.7 TB/s"}
    by_scenario = xs.simulate(decode.with_(fast), fidelity="bound")
    by_argument = xs.simulate(decode, fidelity="bound", changes=fast)
    by_chip = xs.simulate(
        decode, fidelity="bound", chip=xs.Chip("h100_sxm").with_({"hbm.bandwidth": "6.7 TB/s"})
    )
    assert by_scenario.step_time_s == by_argument.step_time_s == by_chip.step_time_s < result.step_time_s
    assert by_scenario.variant == "chip.hbm.bandwidth=6.7 TB/s"
    other = xs.simulate(decode, fidelity="bound", system="dgx_a100", model="llama31_8b")
    assert (other.data["system"], other.data["chip"]) == ("dgx_a100", "a100_sxm")


def test_a_workload_trace_needs_a_system() -> None:
    assert xs.simulate("mlp_block", system="dgx_h100", fidelity="bound").step_time_s > 0
    with pytest.raises(xs.ConfigError, match="names no system"):
        xs.simulate("mlp_block", fidelity="bound")


def test_what_cannot_run_says_what_is_short(decode: xs.Scenario) -> None:
    with pytest.raises(xs.InfeasibleError, match="does not fit h100_sxm: a rank needs 141.4 GiB"):
        xs.simulate(decode, changes={"parallelism.tp": 1})
    with pytest.raises(xs.ConfigError, match="no fidelity 'exact'"):
        xs.simulate(decode, fidelity="exact")  # type: ignore[arg-type]


def test_comparing_gives_ratios_to_the_first(decode: xs.Scenario, result: xs.Result) -> None:
    other = xs.simulate(decode, fidelity="bound", system="dgx_a100")
    frame = xs.compare([result, other]).to_pandas()
    assert frame.speedup.tolist() == [1, result.step_time_s / other.step_time_s]
    html = xs.compare([result, other])._repr_html_()
    assert "dgx_a100" in html and "tokens_per_s" in html
    with pytest.raises(ValueError, match="at least one"):
        xs.compare([])


def test_reprs_show_the_main_figures_and_escape(decode: xs.Scenario, result: xs.Result) -> None:
    assert repr(result).startswith("<xpusim result dgx_h100: ")
    named = xs.simulate(decode, fidelity="bound", changes={"name": "<script>"})
    assert "<script>" not in named._repr_html_() and "&lt;script&gt;" in named._repr_html_()


def test_an_operator_takes_its_shape(h100: xs.Chip) -> None:
    small, large = (xs.op(h100, "gemm", m=m, n=4096, k=4096, fidelity="bound") for m in (64, 4096))
    assert small.step_time_s < large.step_time_s
    floor = xs.lower_bound_s(h100, "gemm", m=4096, n=4096, k=4096)
    assert floor <= xs.op(h100, "gemm", m=4096, n=4096, k=4096).step_time_s
    eager = xs.op(h100, "gemm", m=64, n=4096, k=4096, fidelity="bound", eager=True)
    assert eager.step_time_s > small.step_time_s
    with pytest.raises(xs.ConfigError, match="m: missing required key"):
        xs.op(h100, "gemm", n=1, k=1)
    with pytest.raises(xs.ConfigError, match="a collective runs on a system"):
        xs.op(h100, "all_reduce", bytes="1 MiB")


def test_engines_are_in_the_timeline_when_asked_for(h100: xs.Chip) -> None:
    plain = xs.op(h100, "gemm", m=512, n=512, k=512)
    traced = xs.op(h100, "gemm", m=512, n=512, k=512, engines=True)
    assert {row["lane"] for row in plain.timeline} == {"operators"}
    assert any(row["lane"].startswith("core 0: ") for row in traced.timeline)


def test_a_collective_has_time_bandwidth_and_choices() -> None:
    time = xs.collective("dgx_h100", "all_reduce", ranks=8, size="64 MiB")
    assert time.algorithm_bandwidth_bytes_per_s == pytest.approx(64 * 2**20 / time.time_s)
    assert time.bus_bandwidth_bytes_per_s == pytest.approx(time.algorithm_bandwidth_bytes_per_s * 2 * 7 / 8)
    assert xs.collective("dgx_h100", "all_reduce", ranks=8, size=64 * 2**20).time_s == time.time_s
    assert len(time.choices) > 1 and "all_reduce" in repr(time)
    with pytest.raises(xs.InfeasibleError):
        xs.collective("dgx_h100", "all_reduce", ranks=9, size=1)
    with pytest.raises(xs.ConfigError, match="did you mean 'all_reduce'"):
        xs.collective("dgx_h100", "all_reduc", ranks=8, size=1)


def test_measurements_are_replayed() -> None:
    found = xs.validate(ROOT / "tests/measured/kernels/a100_sxm/gemm_bf16.csv", fidelity="bound")
    row = found.sets[0]
    assert row["chip"] == "a100_sxm" and row["rows"] == len(found.samples) > 20
    errors = [abs(s["predicted_us"] / s["measured_us"] - 1) for s in found.samples]
    assert row["mape_pct"] == pytest.approx(100 * sum(errors) / len(errors))
    with pytest.raises(xs.ConfigError):
        xs.validate(ROOT / "README.md")


def test_a_roofline_has_the_peaks_of_the_data_sheet(h100: xs.Chip) -> None:
    roof = xs.roofline(h100)
    assert roof.peaks_flops_per_s["bf16"] == 4096 * 132 * 1.98e9
    ridge = roof.ridge_flops_per_byte("bf16")
    assert roof.flops_per_s(ridge) == pytest.approx(roof.peaks_flops_per_s["bf16"])
    assert roof.flops_per_s(1) == 3.352e12
    changed = xs.op(h100.with_({"hbm.bandwidth": "1 TB/s"}), "gemm", m=8, n=8, k=8, fidelity="bound")
    assert xs.Roofline.of_result(changed).hbm_bytes_per_s == 1e12
    assert xs.Roofline.of_result(changed).peaks_flops_per_s == roof.peaks_flops_per_s


def test_progress_tells_every_operator_and_may_end_the_run(decode: xs.Scenario) -> None:
    told: list[tuple[int, int]] = []
    xs.simulate(decode, fidelity="bound", progress=lambda done, every: told.append((done, every)))
    assert told == [(i, len(told)) for i in range(1, len(told) + 1)] and len(told) > 5

    def stop(done: int, every: int) -> None:
        raise StopIteration("enough")

    with pytest.raises(StopIteration, match="enough"):
        xs.simulate(decode, progress=stop)


def test_a_bar_of_tqdm_is_drawn(decode: xs.Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    xs.simulate(decode, fidelity="bound", progress=True)
    assert "operators" in capsys.readouterr().err


def test_other_threads_run_meanwhile(decode: xs.Scenario) -> None:
    counted = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            counted += 1
            time.sleep(1e-4)

    thread = threading.Thread(target=count)
    thread.start()
    xs.op("h100_sxm", "gemm", m=16384, n=16384, k=16384)  # one call of some 100 ms in C++
    seen = counted
    stop.set()
    thread.join()
    assert seen > 5


def test_threads_get_the_same_bits(decode: xs.Scenario) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        times = list(pool.map(lambda _: xs.simulate(decode).step_time_s, range(4)))
    assert set(times) == {xs.simulate(decode).step_time_s}


def test_an_interrupt_ends_a_run_at_once(tmp_path: Path) -> None:
    text = (
        "import xpusim as xs\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    while True: xs.simulate('llama31_70b_prefill', changes={'sequence': 8192})\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    time.sleep(0.7)
    child.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert child.communicate(timeout=20)[0] == "interrupted\n"
    assert time.monotonic() - begin < 2


def test_nothing_is_printed(python: Run) -> None:
    done = python("import xpusim as xs\nxs.simulate('llama31_8b_decode')\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_takes_no_time_and_none_of_the_extras(python: Run) -> None:
    done = python(
        "import sys, time\n"
        "begin = time.process_time()\nimport xpusim\ntook = time.process_time() - begin\n"
        "extras = {'numpy', 'pandas', 'plotly', 'matplotlib', 'optuna', 'distributed', 'tqdm'}\n"
        "heavy = extras & set(sys.modules)\n"
        "print(took, heavy)\n"
    )
    took, heavy = done.stdout.split(maxsplit=1)
    assert float(took) < 0.3 and heavy == "set()\n"
