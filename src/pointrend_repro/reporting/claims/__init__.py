"""The paper's claims as data, and whether the measured numbers bear them out.

`schema` reads the files of claims, `contrasts` makes differences of cells of a claim, `measuring`
finds their numbers, `intervals` and `student` say how sure those are, `judging` gives the verdicts,
`files` writes and reads what was judged, and `shown` prepares it for the page. docs/claims.md has
the rules.
"""

from typing import Literal

# How an interval over resampled images is made (`intervals.images_error`); earlier versions took
# percentiles. The pipeline judges anew what was judged by another method.
Method = Literal["percentile", "symmetric"]
METHOD: Method = "symmetric"

# What decides a verdict, for the pipeline, which judges anew what was judged by another rule. To be
# changed with it: a file of before would else keep its verdict. The first, which had no name, took
# differences of medians and gave verdicts on single trainings.
JUDGED_BY = "differences by trial; several trainings; 20 images"
