"""What the figures of all papers share; their drawings lie in `papers/<paper>/figures/`.

`objects` and `streets` choose what is shown, `regions` and `detections` are what models say of it,
`drawing` is the style, `embedding` and `comparison` are for what the page moves; `loading` finds
what draws a figure, and `making` writes it to disk with its `record`.
"""
