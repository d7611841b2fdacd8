"""Hyper-parameters and method options: what a run resolves to, what is refused, and that the library agrees."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest

from replication.errors import ConfigError
from replication.settings.hyper import (
    HYPER,
    METHOD,
    NlpBalance,
    parse_hyper,
    resolve,
    resolved_hyper,
    unread_hyper,
)
from replication.settings.spec import RunSpec

HYPER_NLP = {"epochs": 3, "batch_size": 8, "lr": 1e-3}
TB: dict[str, Any] = {"optimizer": "adamw", "balance": {}}
SPEC = RunSpec("nlp", "bert", "text", 0.5, "tb", 1, method_options=TB, hyper=HYPER_NLP)


@pytest.mark.parametrize(
    ("method", "hyper"),
    [
        (TB, {"s": 1}),
        (TB, {"s_min": 1, "s_max": 1.0}),
        (TB, {"tau": 10, "weight_decay": 0.1, "threads": 2, "checkpoint_every_s": 5}),
        ({"optimizer": "adamw", "balance": {"schedule": "sigmoid", "s_min": 1.0}}, {}),
        ({"optimizer": "adamw", "balance": {"s_min": 3.0, "s_max": 2.0}}, {"s": 1.0}),
        ({"balance": {"slope": 3.0}, "rho": 0.5, "lora": None}, {}),
    ],
    ids=repr,
)
def test_settings_that_are_equal_when_resolved_are_one_run(method, hyper):
    other = replace(SPEC, method_options=method, hyper={**HYPER_NLP, **hyper})
    assert other.id == SPEC.id
    assert resolved_hyper("nlp", method, other.hyper) == resolved_hyper("nlp", TB, HYPER_NLP)


@pytest.mark.parametrize(
    ("method", "hyper"),
    [
        (TB, {"s": 1.5}),
        (TB, {"s_max": 2.0}),
        (TB, {"lr": 2e-3}),
        (TB, {"every": 5}),
        (TB, {"layer_decay": 0.9}),
        ({"optimizer": "adamw", "balance": {"every": None}}, {}),
        ({"optimizer": "adamw", "balance": {"metric": "stable_rank"}}, {}),
        ({"optimizer": "adamw", "balance": None}, {}),
        ({"optimizer": "sam", "balance": {}}, {}),
    ],
    ids=repr,
)
def test_settings_that_decide_numbers_make_another_run(method, hyper):
    assert replace(SPEC, method_options=method, hyper={**HYPER_NLP, **hyper}).id != SPEC.id


def test_resolving_twice_changes_nothing_and_defaults_are_filled_in():
    method, hyper = resolve("sciml", {"optimizer": "adam", "balance": {"tau": 5}}, {**HYPER_NLP, "s": 1.25})
    assert resolve("sciml", method, hyper) == (method, hyper)
    assert method["balance"] == {
        "schedule": "sigmoid", "s_min": 1.25, "s_max": 1.25, "tau": 5.0, "every": 1, "scheduled": "lr",
        "normalize": False, "tolerance": 0.0,
    }  # fmt: skip
    assert (hyper["initial_steps"], hyper["weight_decay"]) == (10, 0.0)
    assert resolve("sciml", method, hyper)[0]["balance"] == method["balance"]


def test_hyper_parameters_override_the_method_and_the_sides_override_s():
    method = {"optimizer": "sam", "rho": 0.1, "balance": {"s_min": 0.1, "tau": 5}}
    resolved = resolved_hyper("nlp", method, {**HYPER_NLP, "rho": 0.2, "s": 1.0, "s_max": 2.0})
    assert resolved["rho"] == 0.2
    assert [resolved["balance"][key] for key in ("s_min", "s_max", "tau")] == [1.0, 2.0, 5.0]


def test_a_method_that_does_not_balance_or_reads_other_options_ignores_the_rest():
    assert resolve("nlp", {"balance": None}, {**HYPER_NLP, "s": 1.0})[0]["balance"] is None
    linear = resolve("nlp", {"balance": {"schedule": "linear"}}, {**HYPER_NLP, "s": 1.0, "slope": 2.0})[0]["balance"]
    assert linear is not None
    assert (linear["slope"], "s_min" in linear) == (2.0, False)
    assert unread_hyper("nlp", {"balance": {"schedule": "linear"}}) == {"s", "s_min", "s_max", "tau", "rho"}
    assert {"s", "every", "xmin_pos", "rho"} <= unread_hyper("nlp", {"balance": None})
    assert unread_hyper("nlp", {"optimizer": "sam", "balance": {"unit": "layer_in_block"}}) == set()


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        ("nlp", {"learning_rate": 1.0}, "unknown key 'learning_rate'"),
        ("nlp", {"epoch": 1}, "unknown key 'epoch' (did you mean 'epochs'?)"),
        ("nlp", {"initial_steps": 1}, "unknown key 'initial_steps'"),
        ("sciml", {"rho": 0.1}, "unknown key 'rho'"),
        ("nlp", {"lr": -1.0}, "key 'lr' is -1.0, expected more than 0"),
        ("sciml", {"lr": "fast"}, "key 'lr' is 'fast', expected a number"),
        ("sciml", {"lr": True}, "key 'lr' is True, expected a number"),
        ("sciml", {"epochs": 2.0}, "key 'epochs' is 2.0, expected a whole number"),
        ("sciml", {"standardise": 1}, "key 'standardise' is 1, expected true or false"),
        ("sciml", {"precision": "fp16"}, "key 'precision' is 'fp16', expected one of fp32, tf32, bf16"),
        ("nlp", {"lr": float("nan")}, "key 'lr' is nan, expected a finite number"),
    ],
)
def test_hyper_parameters_that_are_not_valid_are_named(family, changes, words):
    with pytest.raises(ConfigError) as caught:
        parse_hyper(family, {**HYPER_NLP, **changes})
    assert words in str(caught.value)


def test_a_missing_hyper_parameter_is_named():
    with pytest.raises(ConfigError, match="key 'lr' is missing"):
        parse_hyper("nlp", {"epochs": 1, "batch_size": 2})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "adamax"}, "key 'optimizer' is 'adamax', expected one of adamw, adafactor, sam"),
        ({"balance": {"schedul": "rank"}}, "unknown key 'schedul' below key 'balance' (did you mean 'schedule'?)"),
        ({"balance": {"every": "often"}}, "key 'balance.every' is 'often', expected a whole number or auto"),
        ({"lora": {"rank": 4}}, "unknown key 'rank' below key 'lora'"),
    ],
)
def test_method_options_that_are_not_valid_are_named(options, words):
    with pytest.raises(ConfigError) as caught:
        resolve("nlp", options, HYPER_NLP)
    assert words in str(caught.value)


def test_every_setting_says_what_it_means():
    for model in (*HYPER.values(), *METHOD.values(), NlpBalance):
        assert [key for key, field in model.model_fields.items() if not field.description] == []


def test_the_library_has_the_same_options_choices_and_defaults():
    from tempbalance.balance import SCHEDULES, TempBalance
    from tempbalance.integrations import TempBalanceCallback
    from tempbalance.spectra import Preset

    fields = NlpBalance.model_fields
    taken = inspect.signature(TempBalance).parameters
    hints = get_type_hints(Preset)
    own = set(taken) - {"model", "optimizer", "scheduler", "groups", "changes"}
    assert set(fields) == own | set(hints) - {"name"}
    for key in set(hints) - {"name", "exclude"}:
        if choices := get_args(hints[key]):
            assert get_args(get_args(fields[key].annotation)[0]) == choices or hints[key] == float | None, key
    for key in ("scheduled", "normalize", "tolerance"):
        assert fields[key].default == taken[key].default
    for schedule in SCHEDULES.values():
        for key, default in (schedule.__kwdefaults__ or {}).items():
            assert key == "equal" or fields[key].default == default
    assert set(get_args(fields["schedule"].annotation)) == {*SCHEDULES, "fixed"}
    assert (
        NlpBalance.model_fields["every"].default == inspect.signature(TempBalanceCallback).parameters["every"].default
    )
