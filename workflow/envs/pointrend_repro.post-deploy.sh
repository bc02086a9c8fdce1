#!/bin/bash
# Snakemake runs this in the new environment, from the repository's folder.
set -euo pipefail
python -m pip install --no-deps --require-hashes -r requirements.lock
python -m pip install --no-deps --no-build-isolation --editable .
