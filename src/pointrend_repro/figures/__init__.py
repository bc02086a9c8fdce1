"""What the figures of all papers share; their drawings lie in `papers/<paper>/figures/`.

`objects` and `streets` choose what is shown, `regions` and `detections` get the models'
predictions, `drawing` is the style, `embedding` and `comparison` are for interactive pictures;
`loading` finds the code of a figure, and `making` writes it to disk with its `record`.
"""
