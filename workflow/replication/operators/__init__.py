"""Neural operators: models, rollout and training."""
