"""Colours that people with any colour vision can tell apart."""

# Okabe and Ito's; their yellow is too pale for lines.
COLORS = ("#E69F00", "#56B4E9", "#CC79A7", "#009E73", "#D55E00", "#0072B2")
