"""The 3D-FUTURE challenge report, paper `3dfuture` (a module's name cannot begin with a digit)."""
