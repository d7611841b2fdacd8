"""What is configured: the configuration, the catalogue, the experiments and the grid of runs they give."""
