"""From tidy tables to paired gains, claims, verdicts, and the published numbers beside them."""
