"""What every attack may use, put above it; further above stand the names of what there is to steal and to reach."""

import os
import sys


def attempt(function, *args):
    """What the function returns, or None where it is refused: a hostile program goes on."""
    try:
        return function(*args)
    except Exception:
        return None
