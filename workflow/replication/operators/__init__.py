"""Neural operators: models, rollout, training."""
