"""Writes the conda environments from constraints.txt: ``python envs/update.py`` after changing a version.

A test keeps them equal. The package itself is added by `*.post-deploy.sh`, which Snakemake runs with
``--software-deployment-method conda``, or by hand: ``pip install --no-deps --editable . --editable workflow``
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
KINDS = {
    "cpu": ("never uses a GPU", ["variables:", "  CUDA_VISIBLE_DEVICES: ''"]),
    "gpu": ("torch as the package index has it for Linux, with CUDA", []),
}


def environment(kind: str, constraints: str) -> str:
    """The text of ``<kind>.yaml``."""
    about, more = KINDS[kind]
    pins = [line for line in constraints.splitlines() if line and not line.startswith("#")]
    return "\n".join(
        [
            f"# Made by envs/update.py from constraints.txt: {about}.",
            f"name: tempbalance-{kind}",
            "channels: [conda-forge]",
            *more,
            "dependencies:",
            "  - python=3.11",
            "  - pip",
            "  - pip:",
            *(f"      - {pin}" for pin in pins),
            "",
        ]
    )


if __name__ == "__main__":
    for kind in KINDS:
        (HERE / f"{kind}.yaml").write_text(environment(kind, (HERE / "constraints.txt").read_text()))
