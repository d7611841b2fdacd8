# Where jobs failed, a page in the report's place says which and why. The logger knows it at the end: no rule could.

from snakemake_logger_plugin_tempbalance import at_end, tail

from replication.report.incomplete import (
    FailedJob,
    progress,
    write_incomplete_report,
)


def report_failures(grid):
    """Write the page; returns a line for the summary, None where the report was not to be made or nothing failed."""
    if not grid.failures or "report" not in grid.planned:
        return None
    page = Path(RESULTS) / "report.html"
    failed = [
        FailedJob(
            failure.job.rule,
            failure.job.label,
            failure.reason,
            {path: tail(path) for path in failure.log},
        )
        for failure in grid.failures.values()
    ]
    write_incomplete_report(
        page,
        failed=failed,
        waiting=grid.total - grid.done - len(failed),
        rows=progress(GRID.experiments, Path(RESULTS)),
        template=ROOT / "workflow/report/incomplete.html.j2",
    )
    return f"What failed, and how far the rest is: {page}"


# Jobs run Snakemake too; only the one that a person started reports.
if workflow.is_main_process:
    at_end(report_failures)
