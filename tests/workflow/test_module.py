"""Another workflow imports this one as a module."""

from __future__ import annotations

import pytest
from planning import planned, trained

SLICE = {"dataset": ["1dcfd-smoke"], "model": ["fno"], "ratio": [1.0]}
IMPORT = """
module tempbalance:
    snakefile: "{root}/Snakefile"
    {more}
    config: {config}

use rule * from tempbalance as tb_*

rule own:
    default_target: True
    input: "figures/fig4_cfd_ratio.pdf"
    output: "copy.pdf"
    shell: "cp {{input}} {{output}}"
"""


@pytest.fixture
def plan(root, snakemake, tmp_path):
    def call(more: str = "", **config):
        config = {"scale": "smoke", "experiments": ["fig4_cfd_ratio"], "only": SLICE, **config}
        (tmp_path / "Snakefile").write_text(IMPORT.format(root=root, more=more, config=config))
        # The other workflow's own configuration, of which this one knows nothing.
        (tmp_path / "config.yaml").write_text("samples: [a, b]\n")
        return snakemake(tmp_path, "--snakefile", str(tmp_path / "Snakefile"), "-n", "--quiet", "rules")

    return call


def test_its_targets_are_planned_with_the_rules_they_need(plan):
    done = plan()
    assert done.returncode == 0, done.stderr[-3000:]
    jobs = planned(done.stdout)
    assert jobs["own"] == 1
    assert jobs["tb_figure"] == 1
    assert sum(trained({name.removeprefix("tb_"): count for name, count in jobs.items()}).values()) == 2


@pytest.mark.parametrize(
    ("more", "config", "words"),
    [
        ("", {"scael": "smoke"}, "unknown key 'scael' (did you mean 'scale'?)"),
        ('prefix: "there"', {}, "cannot be imported with prefix:; give results_dir and figures_dir"),
    ],
)
def test_a_mistake_is_one_sentence(plan, more, config, words):
    done = plan(more, **config)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
