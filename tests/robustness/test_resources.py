"""What jobs ask for: one table, used by every rule, with names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from replication.settings.checks import FAMILIES

SCALES = {"smoke", "demo", "desk", "paper"}
#: Rules of trainings are made in a loop, one for each family and number of seeds in a job.
TRAINING = "train_{family}"
# A GPU server with 24 GB of memory for jobs, two at once.
HALF_A_SMALL_MACHINE_MB = 12_000


@pytest.fixture(scope="module")
def table(root: Path) -> dict:
    return yaml.safe_load((root / "profiles/resources.yaml").read_text())


@pytest.fixture(scope="module")
def rules(root: Path) -> dict[str, str]:
    """Rule -> its text."""
    text = "\n".join(path.read_text() for path in sorted((root / "workflow/rules").glob("*.smk")))
    parts = re.split(r"^ *(?:(?:rule|checkpoint)(?: (\w+))?|use rule \w+ as (\w+))(?::| with:)$", text, flags=re.M)
    names = [name or derived or TRAINING for name, derived in zip(parts[1::3], parts[2::3], strict=True)]
    return dict(zip(names, parts[3::3], strict=True))


def test_every_rule_asks_by_the_table_under_its_own_name(rules):
    asked = {name: re.findall(r"asks_for\(f?\"([^\"]+)\"", text) for name, text in rules.items()}
    assert asked == {name: [name] for name in rules}


def test_no_rule_retries_by_itself(rules):
    # Together with the profile's retries the two would multiply.
    assert not [name for name, text in rules.items() if re.search(r"^    retries:", text, re.M)]


def test_the_table_names_rules_and_scales_that_exist_with_sensible_values(table, rules):
    assert set(table) == {"partition", "account", "rules"}
    trainings = {TRAINING.format(family=family) for family in FAMILIES}
    assert set(table["rules"]) - {"default"} <= set(rules) - {TRAINING} | trainings
    assert set(table["rules"]["default"]) == SCALES
    for name, scales in table["rules"].items():
        assert set(scales) <= SCALES
        for scale, row in scales.items():
            if name == "default":
                assert set(row) == {"mem_mb", "runtime", "gpu"}
            assert set(row) <= {"mem_mb", "runtime", "gpu"} | ({"threads"} if name == "simulate" else set())
            assert all(isinstance(value, int) and value >= 0 for value in row.values()), (name, scale)
            if scale != "paper":
                assert row.get("mem_mb", 0) <= HALF_A_SMALL_MACHINE_MB


def test_the_slurm_profile_groups_rules_that_exist(root, rules):
    profile = yaml.safe_load((root / "profiles/slurm/profile.yaml").read_text())
    assert {group.split("=")[0] for group in profile["groups"]} <= set(rules)
    assert profile["retries"] == 2
    # More cores than a node has would leave a group in the queue for ever, without an error.
    assert profile["cores"] == 1
