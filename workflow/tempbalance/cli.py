"""``tempbalance spectrum``: a checkpoint's layers and how balanced they are."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tempbalance.errors import TempBalanceError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _commands() -> None:
    """Spectra of trained weights."""


@app.command()
def spectrum(
    checkpoint: Annotated[Path, typer.Argument(help="safetensors file, transformers folder, or torch state dict")],
    preset: Annotated[str, typer.Option(help="auto, nlp or sciml")] = "auto",
    csv: Annotated[Path | None, typer.Option(help="write the table of layers to this file")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write table and summary to this file")] = None,
    plot: Annotated[Path | None, typer.Option(help="plot the exponents of the layers to this PNG or PDF")] = None,
) -> None:
    """Show the layers of a checkpoint, their heavy-tail exponents, and how balanced they are."""
    from tempbalance.spectra._report import report_checkpoint

    report_checkpoint(checkpoint, preset=preset, csv=csv, json_file=json_file, plot=plot)


def main() -> None:
    """Entry point of ``tempbalance``."""
    run_app(app)


def run_app(command: Callable[[], Any]) -> None:
    """Run a command line and exit with 0, with 2 for the user's errors, or with 1 for any other error."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    sys.exit(guarded(command, debug=debug))


def guarded(command: Callable[[], Any], *, debug: bool = False) -> int:
    """Run a command and return its exit code; an error is one sentence on standard error."""
    try:
        command()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (TempBalanceError, OSError) as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, TempBalanceError) else 1
    except Exception as error:
        if debug:
            raise
        # The innermost frame says where it failed; the whole traceback would bury the message.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"unexpected error: {type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno}); "
            "run with --debug for the traceback",
            file=sys.stderr,
        )
        return 1
    return 0
