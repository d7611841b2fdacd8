# What is done when the workflow plans, before the first job and after the last one, whichever logger shows the jobs.

import shutil

from replication.report.incomplete import (
    clear_incomplete_report,
    describe_failure,
    progress,
    write_incomplete_report,
)
from replication.runs.plan import work_of
from replication.runs.rundir import forget_finished, hold_folder, keep_finished
from replication.runs.seals import find_damage, seal_of

REPORT = Path(RESULTS) / "report.html"
HELD = []  # locks, until this process ends


def redone_if_damaged(rule_):
    """An input function that returns no files: it forces a job whose finished files were damaged.

    Only jobs that the targets need are checked.
    """

    def check(wildcards):
        outputs = [path.apply_wildcards(wildcards) for path in rule_.output]
        again = workflow.dag.forcefiles
        if again.isdisjoint(outputs) and (problem := find_damage(outputs)):
            logger.warning(problem)
            again.update(outputs)
        return []

    return check


for one in workflow.modifier.rules if MAIN else []:
    if one.output:
        one.set_input(checked=redone_if_damaged(one))


def keep_finished_runs():
    """Let planned trainings find their finished runs, so that hashes of inputs decide and not times.

    A forced training (--forcerun, or damaged files) is done again.
    """
    for job in workflow.dag.needrun_jobs():
        whole = all(Path(path).exists() for path in job.output)
        for record in job.output.get("metrics", []):
            if workflow.dag.reason(job).forced:
                forget_finished(Path(record))
            elif whole:
                keep_finished(Path(record))


def kind_of(job):
    """Jobs of a group differ in their work alone: the progress display estimates the time left from both."""
    cell = (job.wildcards.get(name) for name in ("model", "dataset"))
    spec = TRAININGS.get(job.wildcards.get("id"))
    work = work_of(spec) * len(job.output.metrics) if spec else 1.0
    return " ".join(filter(None, [job.rule.name, *cell])), work


def failed_jobs():
    """The jobs that failed in all attempts; of a group, those without their outputs."""
    for job in workflow.scheduler.failed:
        for member in job.jobs if job.is_group() else [job]:
            if not all(Path(path).exists() for path in member.output):
                yield member


def report_failures(log):
    """Put a page that names the failed jobs into the report's place, where the report was to be made."""
    for folder in RESULTS, FIGURES:
        if shutil.disk_usage(folder).free < 2**20:  # even a log may be empty then
            logger.error(f"{folder}: no space left on the disk")
            return
    failed = list(failed_jobs())
    planned = {job.rule.name for job in workflow.dag.needrun_jobs()}
    if not failed or "report" not in planned:
        return
    said = "".join(Path(path).read_text(errors="replace") for path in log)
    write_incomplete_report(
        REPORT,
        failed=[
            describe_failure(
                job.rule.name,
                job.jobid,
                job.output,
                logs=job.log,
                command=job.shellcmd,
                said=said,
            )
            for job in failed
        ],
        waiting=len(workflow.scheduler.remaining_jobs),
        rows=progress(GRID.experiments, Path(RESULTS)),
        template=ROOT / "workflow/report/incomplete.html.j2",
    )
    Path(seal_of(REPORT)).unlink(missing_ok=True)
    logger.error(f"What failed, and how far the rest is: {REPORT}")


onstart:
    try:
        HELD.extend(hold_folder(Path(folder)) for folder in (RESULTS, FIGURES))
        keep_finished_runs()
    except (TempBalanceError, OSError) as error:
        sys.exit(f"error: {error}")
    # The rate limiter leaves a timer behind for every finished job (see docs/cluster.md); `jobs` and `cores` limit enough.
    workflow.scheduler.job_rate_limiter = None
    kinds = {job.jobid: kind_of(job) for job in workflow.dag.needrun_jobs()}
    logger.info("", extra={"kinds": kinds})


onerror:
    report_failures(log)


onsuccess:
    clear_incomplete_report(REPORT)
