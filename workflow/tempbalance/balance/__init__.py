"""Learning rates from exponents: schedules and TempBalance."""

from tempbalance.balance._core import TempBalance, updates_every
from tempbalance.balance._diagnostics import Diagnostics
from tempbalance.balance._drift import hill_interval
from tempbalance.balance._schedules import (
    SCHEDULES,
    exp_schedule,
    get_schedule,
    grouped_rates,
    linear_schedule,
    log2_schedule,
    rank_schedule,
    sigmoid_schedule,
    sqrt_schedule,
)

__all__ = [
    "SCHEDULES",
    "Diagnostics",
    "TempBalance",
    "exp_schedule",
    "get_schedule",
    "grouped_rates",
    "hill_interval",
    "linear_schedule",
    "log2_schedule",
    "rank_schedule",
    "sigmoid_schedule",
    "sqrt_schedule",
    "updates_every",
]
