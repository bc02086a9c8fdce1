"""The official tools of single benchmarks, which a plain `pip install` leaves out.

What they ask pip for would break the environment: a second OpenCV over the first (lvis), and a
Python 2 backport of `typing` (cityscapesscripts). They work without both.
"""

# By the name of the module.
_WANTED = {"lvis": "lvis==0.5.3", "cityscapesscripts": "cityscapesscripts pyquaternion"}


def how_to_install(error: Exception) -> str:
    """Return how to install the tool that an import lacks; empty if it lacks another module."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    wanted = _WANTED.get((missing or "").partition(".")[0])
    return f"; pip install --no-deps {wanted}" if wanted else ""
