"""Code that one paper alone needs, by the paper's name; everything else is shared."""
