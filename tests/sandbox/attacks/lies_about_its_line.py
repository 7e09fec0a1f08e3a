"""Is an object that can be called, and does as it likes when it is asked for its line.

Expected: invalid_output
"""


class Liar:
    def __call__(self, grid):
        return None

    @property
    def __code__(self):
        raise SystemExit


transform = Liar()
