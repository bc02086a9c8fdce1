"""How cost grows with images, jobs and results; docs/scaling.md tells what was found."""
