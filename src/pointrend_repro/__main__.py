"""`python -m pointrend_repro`: the command line of the package that this Python has."""

from pointrend_repro.cli import main

if __name__ == "__main__":
    main()
