#!/bin/bash
# Snakemake runs this in the new environment, from the repository's folder: torch first.
set -euo pipefail
python -m pip install --no-deps --require-hashes -r requirements.lock
python -m pip install --no-deps --no-build-isolation -r workflow/envs/detectron2.txt
python -m pip install --no-deps --no-build-isolation --editable .
