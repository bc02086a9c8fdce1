"""Results of several models in one file, whatever toolbox they come from."""
