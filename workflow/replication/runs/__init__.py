"""A run on disk: its folder, checkpoints, record and device; reading records back as tidy tables."""
