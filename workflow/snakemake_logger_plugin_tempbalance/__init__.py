"""Snakemake logger plugin ``tempbalance``: how far the whole grid is, and the epoch of each running training.

Switched on by ``logger: tempbalance`` in a profile; Snakemake finds the plugin by the name of this package. It only
shows: the workflow does the same with any other logger.
"""

from snakemake_logger_plugin_tempbalance.handler import LogHandler, LogHandlerSettings

__all__ = ["LogHandler", "LogHandlerSettings"]
