"""Paired gains, claims and verdicts from the tables of runs, compared with the published numbers."""
