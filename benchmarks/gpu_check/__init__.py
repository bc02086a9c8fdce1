"""All that has to be looked at on a GPU, in one command of under ten minutes: `make gpu-check`."""
