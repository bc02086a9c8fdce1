"""Write the pins anew: `python tests/pins/record.py [NAME...]`, all of them without a name.

Old results have to be accepted whatever changes here: think twice before `model_files` or `records`
is written anew, since what is there now is what users have.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import finished
import pinned

WRITERS = pinned.PINS | {"model_files": finished.model_files, "records": finished.records}

for name in sys.argv[1:] or WRITERS:
    path = pinned.RECORDED / f"{name}.json"
    path.write_text(json.dumps(WRITERS[name](), indent=1) + "\n")
    print(path)
