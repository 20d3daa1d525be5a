#!/usr/bin/env python3
"""Checks that sim/ and bindings/ keep the module boundaries of docs/architecture.md.

A module includes only the modules below it, each outside library is used in one place, only the command line
prints or exits, no headers include each other in a circle, and no C++ under sim/ names a chip or a vendor.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

# module -> modules that it may include; a module is a folder of sim/xpusim, `simulate` is simulate.{h,cpp}
LAYERS = {
    "core": "",
    "spec": "core",
    "operators": "core spec",
    "result": "core spec operators",
    "config": "core spec operators",
    "graph": "core spec operators result",
    "mapping": "core spec operators result",
    "des": "core",
    "chip": "core spec operators result mapping des",
    "network": "core spec operators result des",
    "step": "core spec operators result graph des chip network",
    "simulate": "core spec operators result step",
    "validation": "core spec operators graph mapping chip network result step simulate",
    "jobs": "core spec config operators mapping chip network result step simulate validation",
    "regression": "core spec operators config chip network result step simulate validation jobs",
    "report": "core spec operators network result step validation regression",
    "app": "core spec config operators mapping des chip network result step simulate validation "
    "jobs regression report",
    "bindings": "core spec config operators chip network result step simulate validation jobs report",
}
ALLOWED = {module: set(below.split()) | {module} for module, below in LAYERS.items()}

# an include that matches belongs to one module only
LIBRARIES = [
    ("SystemC", re.compile(r"(systemc|tlm|sysc|tlm_core|tlm_utils)(\.h|/.*)?"), "des"),
    ("yaml-cpp", re.compile(r"yaml-cpp/.*"), "config"),
    ("pybind11", re.compile(r"pybind11/.*"), "bindings"),
    ("CLI11", re.compile(r"CLI/.*"), "app"),
    ("<iostream>", re.compile(r"iostream"), "app"),
]
PRINTS = re.compile(
    r"\bstd::(?:cout|cerr|clog)\b"
    r"|(?<![\w.>])(?:printf|puts|exit|_Exit|quick_exit)\s*\("
    r"|\bfmt::print(?:ln)?\s*\(\s*(?:R?\"|stdout\b|stderr\b)"
)
CHIPS = re.compile(
    r"(?<![a-z0-9])(?:[abh]100|[ah]800|b200|ascend|910[abc]|nvidia|huawei|hopper|ampere|davinci|cloudmatrix)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
INCLUDE = re.compile(r"\s*#\s*include\s*(?:\"([^\"]+)\"|<([^>]+)>)")
SUFFIXES = {".h", ".hpp", ".cpp", ".cc", ".inl"}
# comments and literals, whichever begins first
TOKENS = re.compile(
    r"//[^\n]*|/\*.*?\*/"
    r'|R"(?P<d>[^()\\\s]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)


def code_of(text: str, keep_literals: bool) -> list[str]:
    """The lines of a C++ file without comments and, if so asked, without the contents of its literals."""

    def replace(match: re.Match[str]) -> str:
        token = match.group()
        if keep_literals and not token.startswith("/"):
            return token
        quotes = "" if token.startswith("/") else '""'
        return quotes + "\n" * token.count("\n")

    return TOKENS.sub(replace, text).split("\n")


def module_of(name: str) -> str:
    """The module of a path as it is included, such as xpusim/operators/graph.h or xpusim/simulate.h."""
    parts = Path(name).parts
    return parts[1] if len(parts) > 2 else Path(parts[-1]).stem


def is_relative(target: str) -> bool:
    """Whether a quoted include is not written from the include root sim/."""
    return "/" not in target or target.startswith(".") or target.split("/")[0] in ALLOWED


def names_chip(text: str) -> str:
    """The first chip or vendor that a text names; kH100 and H100Config name one, 0x910a does not."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"0[xX][0-9a-fA-F']+", "0", text))
    match = CHIPS.search(words)
    return match.group() if match else ""


def check_file(name: str, module: str, text: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Findings (line, message) of one file, and its project includes (line, included name)."""
    if module not in ALLOWED:
        return [(1, f"module '{module}' is not in LAYERS of scripts/check_layers.py")], []
    findings = []
    includes = []
    if chip := names_chip(name):
        findings.append((1, f"a chip or vendor in the name of a C++ file: {chip}"))
    code = code_of(text, keep_literals=True)
    for number, (line, bare) in enumerate(zip(code, code_of(text, keep_literals=False), strict=True), 1):
        if match := INCLUDE.match(line):
            target = match.group(1) or match.group(2)
            if target.startswith("xpusim/"):
                includes.append((number, target))
                to = module_of(target)
                if to not in ALLOWED:
                    findings.append((number, f"{target}: no module '{to}' in scripts/check_layers.py"))
                elif to not in ALLOWED[module]:
                    may = LAYERS[module] or "nothing"
                    findings.append((number, f"{module} must not include {target} (it may include: {may})"))
            elif match.group(1) and module != "bindings" and is_relative(target):
                findings.append((number, f'write "{target}" from the include root, "xpusim/..."'))
            for library, pattern, home in LIBRARIES:
                if pattern.fullmatch(target) and module != home:
                    findings.append((number, f"{library} belongs to {home}, not to {module}"))
        elif module != "app" and (match := PRINTS.search(bare)):
            findings.append((number, f"only app prints or exits: {match.group().strip()}"))
        if module != "bindings" and (chip := names_chip(line)):
            findings.append((number, f"a chip or vendor belongs in configs/, not in C++: {chip}"))
    return findings, includes


def cycles(graph: dict[str, list[tuple[int, str]]]) -> list[tuple[str, int, str]]:
    """(file, line, message) of each include that closes a circle."""
    found = []
    done: set[str] = set()
    path: list[str] = []

    def visit(node: str) -> None:
        path.append(node)
        for line, target in graph.get(node, []):
            if target in path:
                circle = path[path.index(target) :] + [target]
                found.append((node, line, "include cycle: " + " -> ".join(circle)))
            elif target not in done:
                visit(target)
        path.pop()
        done.add(node)

    for node in sorted(graph):
        if node not in done:
            visit(node)
    return found


def check(root: Path) -> tuple[int, list[str]]:
    """Number of files read under root, and the findings as file:line: message."""
    messages = []
    graph = {}
    count = 0
    for base in (root / "sim", root / "bindings"):
        for path in sorted(p for p in base.rglob("*") if p.suffix in SUFFIXES and p.is_file()):
            count += 1
            name = path.relative_to(base).as_posix()
            module = "bindings" if base.name == "bindings" else module_of(name)
            findings, graph[name] = check_file(name, module, path.read_text(encoding="utf-8"))
            place = path.relative_to(root)
            messages += [f"{place}:{line}: {message}" for line, message in findings]
    messages += [f"sim/{name}:{line}: {message}" for name, line, message in cycles(graph)]
    return count, messages


def self_test() -> None:
    """Asserts on small examples that the checks accept what is right and reject what is wrong."""
    accepted = {
        "core/units.h": "// like an H100\n#include <vector>\n/* Ascend\n910B */ int kB = 0x910a;\n",
        "core/text.cpp": "auto s = fmt::format(\"exit(\"); char c = '\"'; int n = 1'000; // std::cout\n",
        "spec/chip.h": '#include "xpusim/core/units.h"\nint ascending = 0; void f() { pool.exit(1); }\n',
        "config/yaml.cpp": '#include <yaml-cpp/yaml.h>\n#include "xpusim/spec/chip.h"\n',
        "des/kernel.cpp": "#include <systemc>\n#include <tlm_utils/simple_target_socket.h>\n",
        "report/write.cpp": 'void f(std::FILE* o) { fmt::print(o, "x"); std::fprintf(o, "y"); }\n',
        "simulate.cpp": '#include "xpusim/simulate.h"\n#include "xpusim/result/result.h"\n',
        "app/main.cpp": '#include <iostream>\n#include <CLI/CLI.hpp>\n#include "xpusim/simulate.h"\n'
        "int main() { std::cout << 1; std::exit(2); }\n",
    }
    rejected = {
        "core/a.h": ('#include "xpusim/spec/chip.h"\n', "core must not include"),
        "spec/a.h": ('  #  include "xpusim/config/yaml.h"\n', "spec must not include"),
        "chip/a.h": ('#include "xpusim/step/rank.h"\n', "chip must not include"),
        "result/a.h": ('#include "xpusim/chip/kernel.h"\n', "result must not include"),
        "regression/a.h": ('#include "xpusim/report/table.h"\n', "regression must not include"),
        "simulate.h": ('#include "xpusim/config/yaml.h"\n', "simulate must not include"),
        "step/a.cpp": ("#include <systemc.h>\n", "SystemC belongs to des"),
        "app/a.cpp": ("#include <tlm>\n", "SystemC belongs to des"),
        "spec/b.cpp": ("#include <yaml-cpp/yaml.h>\n", "yaml-cpp belongs to config"),
        "operators/a.cpp": ("#include <pybind11/pybind11.h>\n", "pybind11 belongs to bindings"),
        "config/a.cpp": ("#include <CLI/CLI.hpp>\n", "CLI11 belongs to app"),
        "operators/b.cpp": ("#include <iostream>\n", "<iostream> belongs to app"),
        "operators/c.cpp": ("void f() { std::cout << 1; }\n", "only app prints"),
        "operators/d.cpp": ('void f() { std::printf("x"); }\n', "only app prints"),
        "operators/e.cpp": ('void f() { fmt::print("x"); }\n', "only app prints"),
        "operators/f.cpp": ("void f() { exit(1); }\n", "only app prints"),
        "chip/b.cpp": ('if (name == "Ascend-910C") {}\n', "a chip or vendor"),
        "chip/c.cpp": ("bool is_hopper = true;\n", "a chip or vendor"),
        "chip/d.h": ("struct H100Config {};\n", "a chip or vendor"),
        "des/a.h": ('#include "kernel.h"\n', "from the include root"),
        "des/b.h": ('#include "../core/units.h"\n', "from the include root"),
        "des/c.h": ('#include "core/units.h"\n', "from the include root"),
        "magic/a.h": ("int x;\n", "not in LAYERS"),
        "app/b.cpp": ('#include "xpusim/magic/a.h"\n', "no module 'magic'"),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sim = root / "sim" / "xpusim"

        def write(name: str, text: str) -> None:
            (sim / name).parent.mkdir(parents=True, exist_ok=True)
            (sim / name).write_text(text, encoding="utf-8")

        for name, text in accepted.items():
            write(name, text)
        assert check(root) == (len(accepted), []), check(root)
        for name, (text, message) in rejected.items():
            write(name, "\n" + text)
            found = check(root)[1]
            assert len(found) == 1 and found[0].startswith(f"sim/xpusim/{name}:"), (name, found)
            assert message in found[0], (name, found)
            (sim / name).unlink()
        write("operators/x.h", '#include "xpusim/operators/y.h"\n')
        write("operators/y.h", '#include "xpusim/operators/x.h"\n')
        assert [m for m in check(root)[1] if "include cycle: " in m], "a cycle of headers must be found"

    def below(module: str, seen: frozenset[str] = frozenset()) -> None:
        assert module not in seen, f"LAYERS has a cycle through {module}"
        for other in LAYERS[module].split():
            below(other, seen | {module})

    for module in LAYERS:
        below(module)
    print(f"check_layers: self-test of {len(accepted) + len(rejected)} examples, ok")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--self-test", action="store_true", help="test this script instead of the sources")
    if parser.parse_args().self_test:
        self_test()
        return 0
    count, messages = check(Path(__file__).resolve().parent.parent)
    for message in messages:
        print(message)
    print(f"check_layers: {count} files, " + (f"{len(messages)} findings" if messages else "ok"))
    return 1 if messages or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
