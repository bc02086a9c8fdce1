"""Write pins anew: `python tests/pins/record.py [NAME...]`.

Without a name, all but `model_files` and `records`. Old results have to be accepted whatever
changes here: think twice before these two are written anew, since they are what users have.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import finished
import pinned

WRITERS = pinned.PINS | {"model_files": finished.model_files, "records": finished.records}

for name in sys.argv[1:] or pinned.PINS:
    path = pinned.RECORDED / f"{name}.json"
    path.write_text(json.dumps(WRITERS[name](), indent=1) + "\n")
    print(path)
