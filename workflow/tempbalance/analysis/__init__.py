"""From tidy tables of runs to statistics, verdicts, tables and the report."""
