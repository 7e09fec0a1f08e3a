"""What writer processes of the tests do; a module of its own, so that spawned processes can import it."""

import os

from solution_strategies import solution

from arcgym.solutions import SolutionDatabase


def write_range(location, first, last):
    """Open the database, made or not, and store solutions in small transactions."""
    with SolutionDatabase(location, batch_size=20) as database:
        database.add(solution(number, task=f"task{number % 3}") for number in range(first, last))


def write_until_killed(location, batch_size):
    """Store one solution after the other and tell after each transaction how many are in."""
    with SolutionDatabase(location, batch_size=batch_size) as database:
        for start in range(0, 10**9, batch_size):
            database.add(solution(number) for number in range(start, start + batch_size))
            os.write(1, f"{start + batch_size}\n".encode())


if __name__ == "__main__":
    import sys

    write_until_killed(sys.argv[1], int(sys.argv[2]))
