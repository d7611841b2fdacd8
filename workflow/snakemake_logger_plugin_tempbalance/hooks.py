"""What a workflow wants done at its end, when all is known of its jobs."""

from __future__ import annotations

from collections.abc import Callable

from snakemake_logger_plugin_tempbalance.grid import Grid

#: Called with the grid's last state; what it returns is added to the summary.
Hook = Callable[[Grid], str | None]
_HOOKS: dict[str, Hook] = {}


def at_end(hook: Hook) -> Hook:
    """Have a function called when the workflow is over; a second one of the same name takes the first one's place."""
    _HOOKS[hook.__name__] = hook
    return hook


def said_at_end(grid: Grid) -> list[str]:
    """What the hooks have to say. One that fails says so: it must not cost the summary."""
    said = []
    for name, hook in _HOOKS.items():
        try:
            said.append(hook(grid))
        except Exception as error:
            said.append(f"{name} failed ({type(error).__name__}: {error})")
    return [line for line in said if line]
