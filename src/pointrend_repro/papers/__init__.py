"""Code that only one paper needs, by the paper's name; everything else is shared."""
