"""The paper's claims as data, and whether the measured numbers bear them out.

`schema` reads config/claims.yaml, `contrasts` makes differences of cells of a claim, `intervals`
says how sure those are, `judging` gives the verdicts, `files` writes and reads what was judged, and
`shown` prepares it for the page. docs/claims.md has the rules.
"""
