"""The paper's figures, drawn anew from the trained models of a preset.

`plan` says which figures there are and which models they need, `objects` chooses what they show,
`drawing` is the style that they share, `figure2` to `figure7` each compute and draw one, and
`making` writes one to disk. Figures 4 to 7 take boxes and classes from the ground truth: they are
about masks, and even a barely trained model then shows how these come about.
"""
