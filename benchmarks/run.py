"""Run all benchmarks beside this file in one go, and bring docs/performance.md up to date.

    python benchmarks/run.py [--quick] [--only NAME] [--out FOLDER]

A benchmark is a module with a function ``measure(quick: bool)`` that returns rows as timing.py describes them. The
folder gets performance.json (rows, machine, versions, commit, date), performance.md (all below its mark is replaced,
the text above it stays) and images/performance.png (seconds against size). One that fails does not stop the others.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import sys
import time
import traceback
from datetime import date
from pathlib import Path
from textwrap import fill
from typing import Any

HERE = Path(__file__).parent
MARK = "<!-- What follows is written by benchmarks/run.py. -->\n"
COLUMNS = 3  # of panels in the plot
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

Row = dict[str, Any]


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def about() -> dict[str, Any]:
    """Where and with what the rows were measured."""
    import torch

    from replication.runs.provenance import provenance

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    load = f"{os.getloadavg()[0]:.1f}"
    machine = {"processor": processor(), "cores": os.cpu_count(), "gpu": gpu, "load_before": load}
    return {"date": date.today().isoformat(), "machine": machine, **provenance("cpu")}


def measure_all(quick: bool, only: list[str]) -> dict[str, Any]:
    """The record of one run: what :func:`about` says, and of every benchmark its title, duration and rows."""
    sys.path.insert(0, str(HERE))
    record: dict[str, Any] = {**about(), "quick": quick, "benchmarks": {}}
    for name in sorted(path.stem for path in HERE.glob("*.py")):
        if name == Path(__file__).stem or (only and name not in only):
            continue
        start = time.perf_counter()
        try:
            module = importlib.import_module(name)
            if not hasattr(module, "measure"):
                continue
            found = {"title": (module.__doc__ or name).splitlines()[0].rstrip("."), "rows": module.measure(quick)}
        except Exception as error:
            traceback.print_exc()
            found = {"title": name, "rows": [], "error": f"{type(error).__name__}: {error}"}
        found["took_s"] = round(time.perf_counter() - start, 1)
        record["benchmarks"][name] = found
        print(f"{name:12s} {len(found['rows']):3d} rows, {found['took_s']:6.1f} s", flush=True)
    return record


def cell(value: Any) -> str:
    """A number to three digits, a range of two, or text."""
    if isinstance(value, list | tuple):
        return " to ".join(map(cell, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def tables(rows: list[Row]) -> str:
    """A table for every name, with all other keys of the rows as columns."""
    import pandas as pd

    parts = []
    for name in dict.fromkeys(row["name"] for row in rows):
        some = [
            {key: row[key] for key in row if key not in ("benchmark", "name")} for row in rows if row["name"] == name
        ]
        cells = pd.DataFrame(some, dtype=object).fillna("").map(cell)
        parts.append(f"**{name}**\n\n{cells.to_markdown(index=False, disable_numparse=True)}")
    return "\n\n".join(parts)


def page(record: dict[str, Any]) -> str:
    """The measured part of the page."""
    machine = record["machine"]
    hardware = [f"{machine['processor']}, {machine['cores']} cores", *([machine["gpu"]] if machine["gpu"] else [])]
    commit, _, dirty = record["git_commit"].partition("+")
    versions = ", ".join(f"{name} {version}" for name, version in record["packages"].items())
    lines = [
        f"Measured on {record['date']}, commit {commit[:10]}{dirty and ' with changes'}; {', '.join(hardware)}; "
        f"load before the run {machine['load_before']}.",
        f"Python {record['python']}; {versions}.",
        *(["", "This was a quick run: sizes and repetitions are those of a test."] if record["quick"] else []),
        "",
        "![Seconds against size](images/performance.png)",
    ]
    for name, found in record["benchmarks"].items():
        body = tables(found["rows"]) if found["rows"] else found.get("error", "Nothing measured in a quick run.")
        lines += ["", f"## {found['title']}", "", f"`benchmarks/{name}.py`, {found['took_s']:.0f} s.", "", body]
    return "\n".join(lines) + "\n"


def plot(record: dict[str, Any], path: Path) -> None:
    """A panel for everything timed at two sizes or more, a line a variant."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    panels: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for benchmark, found in record["benchmarks"].items():
        for row in found["rows"]:
            if isinstance(row.get("size"), int | float) and row.get("seconds"):
                lines = panels.setdefault((benchmark, row["name"]), {})
                lines.setdefault(row.get("variant", ""), []).append((row["size"], row["seconds"]))
    panels = {key: lines for key, lines in panels.items() if max(map(len, lines.values())) > 1}
    height = max(1, math.ceil(len(panels) / COLUMNS))
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(3.3 * COLUMNS, 2.7 * height), layout="constrained")
        axes = list(figure.subplots(height, COLUMNS, squeeze=False).flat)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis, ((_, name), lines) in zip(axes, panels.items(), strict=False):
            for variant, points in lines.items():
                axis.plot(*zip(*sorted(points), strict=True), marker="o", markersize=3, label=variant)
            title, _, size = name.partition(" against ")
            axis.set(xscale="log", yscale="log", title=fill(title.rstrip(","), 34), ylabel="seconds")
            axis.set_xlabel(size or "size")
            sizes = sorted({size for points in lines.values() for size, _ in points})
            axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)


def write(record: dict[str, Any], out: Path) -> None:
    """The record, the page and the plot."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "performance.json").write_text(json.dumps(record, indent=1) + "\n")
    target = out / "performance.md"
    text = target.read_text().partition(MARK)[0] if target.is_file() else "# Performance\n\n"
    target.write_text(text + MARK + "\n" + page(record))
    plot(record, out / "images/performance.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: seconds, for a test")
    parser.add_argument("--only", action="append", default=[], help="a benchmark; can be given several times")
    parser.add_argument("--out", type=Path, help="default: docs, for --quick and --only results/benchmarks")
    options = parser.parse_args()
    # Before any library is loaded that reads them.
    os.environ.update(dict.fromkeys(THREADS, "1"))
    record = measure_all(options.quick, options.only)
    write(record, options.out or HERE.parent / ("results/benchmarks" if options.quick or options.only else "docs"))
    print("\n" + page(record))
    took = sum(found["took_s"] for found in record["benchmarks"].values())
    failed = [name for name, found in record["benchmarks"].items() if "error" in found]
    print(f"{took:.0f} s in all" + (f"; failed: {', '.join(failed)}" if failed else ""))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
