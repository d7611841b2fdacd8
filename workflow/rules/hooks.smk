# What is done before the first job and after the last one, whichever logger shows the jobs.

from replication.report.incomplete import (
    clear_incomplete_report,
    describe_failure,
    progress,
    write_incomplete_report,
)

REPORT = Path(RESULTS) / "report.html"


def kind_of(job):
    """Jobs of a kind take about as long: the progress display estimates the time left from it."""
    cell = (job.wildcards.get(name) for name in ("model", "dataset"))
    return " ".join(filter(None, [job.rule.name, *cell]))


def failed_jobs():
    """The jobs that failed in all attempts; of a group, those without their outputs."""
    for job in workflow.scheduler.failed:
        for member in job.jobs if job.is_group() else [job]:
            if not all(Path(path).exists() for path in member.output):
                yield member


def report_failures(log):
    """Put a page that names the failed jobs into the report's place, where the report was to be made."""
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
    logger.error(f"What failed, and how far the rest is: {REPORT}")


onstart:
    # The rate limiter leaves a timer behind for every finished job (see docs/cluster.md); `jobs` and `cores` limit enough.
    workflow.scheduler.job_rate_limiter = None
    kinds = {job.jobid: kind_of(job) for job in workflow.dag.needrun_jobs()}
    logger.info("", extra={"kinds": kinds})


onerror:
    report_failures(log)


onsuccess:
    clear_incomplete_report(REPORT)
