"""Snakemake logger plugin ``tempbalance``: how far the whole grid is, and the epoch inside each running job.

Switched on by ``--logger tempbalance`` or ``logger: tempbalance`` in a profile; Snakemake finds the plugin by
the name of this module. On a terminal a live display stays at the bottom; otherwise a line is written every
few seconds and at each finished job. Failed jobs are shown with the end of their log, and listed at the end. A
workflow can have a say there too (:func:`at_end`).
"""

from snakemake_logger_plugin_tempbalance.handler import LogHandler, LogHandlerSettings
from snakemake_logger_plugin_tempbalance.hooks import at_end
from snakemake_logger_plugin_tempbalance.text import tail

__all__ = ["LogHandler", "LogHandlerSettings", "at_end", "tail"]
