"""Snakemake over damaged results: what a step has moved aside is made anew by the next run.

A stub makes the results; the steps that look at them are the real ones.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_workflow import STUB

from pointrend_repro.digests import content_digest
from pointrend_repro.origins import origin_path
from working_copy import WorkingCopy, make_copy

# The stub makes what is asked for, and the real command looks at what is there.
CHECKING = """#!/bin/sh
case $1 in
    predict | evaluate-all | collect)
        [ -e "real_$1" ] && PYTHONPATH={path} exec {python} -m pointrend_repro "$@" ;;
esac
exec {stub} "$@"
"""
TRIAL = Path("results/smoke/generated_coco/pointrend_r50_fpn/trial0")
EVALUATE = "evaluate_coco_ap_lvis_ap_star"
