"""The experiment grid, a run's record and provenance, and reading records back as tidy tables."""
