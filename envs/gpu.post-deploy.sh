#!/usr/bin/env bash
# Snakemake runs this in the new environment, in the working directory: the package itself, without its dependencies.
set -euo pipefail
pip install --no-deps --editable . --editable workflow
