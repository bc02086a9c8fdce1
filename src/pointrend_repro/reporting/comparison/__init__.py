"""Two results folders of one preset side by side: of two machines, two commits or two engines.

`reading` reads the two sides, `comparing` sets them against each other cell by cell, `origins` says
what they were made with that differs, and `writing` writes all that down.
"""
