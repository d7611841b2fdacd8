"""Runs `replication` commands as forks of one process that has imported everything.

They are real processes, to be killed for real, without seconds of imports each. Talks JSON lines: a command in,
its process id out; a process id in, its exit code out.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback


def signal_after(saves: int, number: int) -> None:
    """Have this process send itself a signal after so many checkpoints."""
    from replication.runs.checkpoint import Checkpoints

    save, done = Checkpoints.save, []

    def counted(*arguments: object) -> object:
        done.append(save(*arguments))
        if len(done) == saves:
            os.kill(os.getpid(), number)
        return done[-1]

    Checkpoints.save = counted


def child(order: dict) -> None:
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(order["folder"])
    if order["largest_file"]:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that write() fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"], order["largest_file"]))
    if order["signal_after"]:
        signal_after(*order["signal_after"])
    sys.argv = ["replication", *order["arguments"]]
    from replication.cli import app
    from tempbalance.cli import guarded

    try:
        code = guarded(app)
    except BaseException:
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if isinstance(order, int):
            _, status = os.waitpid(order, 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                child(order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
