import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from solution_strategies import solution
from writers import write_range

from arcgym.errors import ConfigError, DatabaseError
from arcgym.solutions import Generality, PairVerdict, SolutionDatabase, SolutionFilter
from arcgym.solutions.models import to_row
from arcgym.solutions.schema import writing


@pytest.fixture
def database(fresh_location):
    with SolutionDatabase(fresh_location()) as database:
        yield database


def numbers(solutions):
    return [int(solution.program_hash, 16) for solution in solutions]


def test_a_solution_comes_back_as_it_went_in(database):
    stored = solution(
        7, right=(True, False), log_prob=-0.1 - 0.2, view_share=1 / 3, fresh_share=0.0, generation=2,
        sampling={"top_p": 0.9, "seeds": [1, 2]}, parent=f"{'0' * 64}/{'1' * 32}", source_revision="step-3",
    )  # fmt: skip
    stored = replace(stored, outputs=(np.array([[0, 9], [1, 2]], dtype=np.int8), None))
    database.add([stored])
    (found,) = database.best()
    assert to_row(found) == to_row(stored)
    assert found.verdicts == (PairVerdict("train", 0, True), PairVerdict("train", 1, False))
    assert found.outputs[0].tolist() == [[0, 9], [1, 2]] and found.outputs[0].dtype == np.int8
    assert not found.outputs[0].flags.writeable
    assert found.outputs[1] is None and found.log_prob == -0.1 - 0.2 and found.sampling == stored.sampling
    assert (found.pass_share, found.is_solved, found.number) == (0.5, False, database.position())


def test_the_better_record_of_a_solution_stays_whichever_came_first(database):
    longer = solution(1, program="def transform(grid):\n    return grid  # as it is\n", log_prob=-1.0)
    shorter, unknown = solution(1, program="def transform(g): return g", log_prob=-9.0), solution(2)
    assert database.add([longer, unknown]) == 2
    assert database.add([shorter, replace(unknown, log_prob=-3.0)]) == 2
    assert database.add([longer, shorter, unknown]) == 0
    assert {s.log_prob for s in database.best()} == {-9.0, -3.0}
    assert database.get(shorter.task_hash, shorter.program_hash).program == shorter.program


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"right": (True, True), "length": 900}, {"right": (True, False), "view_share": 1.0}),
        ({"view_share": 0.5, "length": 900}, {"fresh_share": 1.0}),
        ({"fresh_share": 0.5, "length": 900}, {"length": 1}),
        ({"length": 10, "log_prob": -50.0}, {"length": 11, "log_prob": -1.0}),
        ({"length": 10, "log_prob": -50.0}, {"length": 10}),
        ({"length": 10, "log_prob": -1.0}, {"length": 10, "log_prob": -1.5}),
        ({"length": 10, "view_share": 0.0}, {"length": 11}),
    ],
)
def test_each_term_of_the_key_decides_before_the_next(database, better, worse):
    database.add([solution(1, **worse), solution(2, **better)])
    assert numbers(database.best()) == [2, 1]


def test_hashes_decide_where_nothing_else_does(database):
    # A server that sorts by a language's rules puts letters elsewhere than bytes do.
    for number in (0xF, 0xA, 0x10, 0x9):
        database.add([solution(number, length=5)])
    assert numbers(database.best()) == [0x9, 0xA, 0xF, 0x10]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"task_ids": ["a"]}, [1, 3]),
        ({"task_ids": []}, []),
        ({"task_hashes": [f"{97:064x}"]}, [1, 3]),
        ({"solved": True}, [1, 2]),
        ({"solved": False}, [3, 4]),
        ({"statuses": ["timeout"]}, [4]),
        ({"policies": ["tiny", "no one"]}, [1, 2, 4]),
        ({"generations": (1, 2)}, [2, 3]),
        ({"max_length": 30}, [1, 3]),
        ({"per_task": 1}, [1, 2]),
        ({"per_task": 1, "solved": False}, [3, 4]),
        ({"limit": 3}, [1, 2, 3]),
        ({"limit": 3, "per_task": 1}, [1, 2]),
        ({"hash_prefix": f"{4:032x}"[:32]}, [4]),
        ({"hash_prefix": "%"}, []),
    ],
)
def test_filters(database, wanted, expected):
    a, b = {"task": "a"}, {"task": "b"}
    database.add([
        solution(4, **b, right=(False,), length=40, created_at=4.0),
        solution(3, **a, right=(False,), length=30, source_policy="other", generation=1),
        solution(2, **b, length=50, generation=2),
        solution(1, **a, length=20),
    ])  # fmt: skip
    with writing(database._engine, 1.0) as connection:
        connection.exec_driver_sql("UPDATE solutions SET status = 'timeout' WHERE length = 40")
    assert numbers(database.best(SolutionFilter(**wanted))) == expected
    assert numbers(database.iterate(SolutionFilter(**wanted))) == expected
    assert database.count(SolutionFilter(**wanted)) == len(expected)


def test_tasks_are_counted(database):
    programs = [
        solution(1, task="b"),
        solution(11, task="b", length=3),
        solution(2, task="b", right=(False,), length=1),
    ]
    database.add([*programs, solution(3, task="a", right=(False, True))])
    first, second = database.tasks()
    assert (first.task_id, *first[2:]) == ("a", 1, 0, 1, None)
    assert (second.task_id, *second[2:]) == ("b", 3, 2, 2, 3)
    assert [count.programs for count in database.tasks(SolutionFilter(solved=True))] == [2]
    assert [count.shortest for count in database.tasks(SolutionFilter(limit=1))] == [3]


def test_what_came_after_a_position(database):
    assert database.position() == 0
    database.add([solution(1), solution(2)])
    position = database.position()
    database.add([solution(2, log_prob=-1.0), solution(3)])
    assert numbers(database.after(position)) == [3]
    assert numbers(database.after(0)) == [1, 2, 3]
    assert numbers(database.best(SolutionFilter(after=position))) == [3]
    assert list(database.after(database.position())) == []


def test_generality_is_recorded_and_unmeasured_parts_are_kept(database):
    one, two = solution(1), solution(2)
    database.add([one, two])
    assert (
        database.set_generality([Generality(*two.key.split("/"), view_share=0.5), Generality("no", "one", 1.0)]) == 1
    )
    assert database.set_generality([Generality(*two.key.split("/"), fresh_share=0.25)]) == 1
    assert numbers(database.best()) == [2, 1]
    found = database.get(two.task_hash, two.program_hash)
    assert (found.view_share, found.fresh_share) == (0.5, 0.25)
    database.set_generality([Generality(*two.key.split("/"), view_share=0.0)])
    found = database.get(two.task_hash, two.program_hash)
    assert (found.view_share, found.fresh_share) == (0.0, 0.25)


def test_parents(database):
    child = solution(2, parent=solution(1).key)
    database.add([child])
    assert database.parent(child) is None
    database.add([solution(1)])
    assert numbers([database.parent(child)]) == [1]
    assert database.parent(solution(1)) is None


def test_a_reader_may_stop_early(database):
    database.add(map(solution, range(2500)))
    solutions = database.iterate()
    assert numbers([next(solutions)]) == [0]
    solutions.close()
    assert database.add([solution(3000)]) == 1


def test_databases_are_merged(database, tmp_path):
    with SolutionDatabase(tmp_path / "other.db") as other:
        other.add([solution(1, log_prob=-2.0), solution(2), solution(3)])
        database.add([solution(1, log_prob=-1.0), solution(4)])
        assert database.merge(other) == 2
        assert database.merge(other) == 0
        assert database.merge(database) == 0
        assert sorted(numbers(database.best())) == [1, 2, 3, 4]
        assert database.get(*solution(1).key.split("/")).log_prob == -1.0
        assert other.count() == 3


def test_processes_write_at_once_into_a_database_that_none_had_made(fresh_location):
    location, spawn = fresh_location(), multiprocessing.get_context("spawn")
    ranges = [(0, 200), (100, 300), (0, 300)]
    writers = [spawn.Process(target=write_range, args=(location, *ends)) for ends in ranges]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with SolutionDatabase(location, create=False) as database:
        assert sorted(numbers(database.best())) == list(range(300))


def test_a_killed_writer_loses_no_more_than_its_open_transaction(fresh_location):
    location, batch_size = fresh_location(), 25
    command = [sys.executable, str(Path(__file__).with_name("writers.py")), location, str(batch_size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        while (told := int(writer.stdout.readline())) < 200:
            pass
        os.kill(writer.pid, signal.SIGKILL)
        told = int([told, *writer.stdout][-1])
    with SolutionDatabase(location, create=False) as database:
        found = numbers(database.after(0))
        assert found == list(range(len(found)))
        assert len(found) % batch_size == 0 and len(found) >= told
        database.add(solution(number) for number in range(1000))  # everything once more, after the restart
        assert sorted(numbers(database.after(0))) == list(range(max(1000, len(found))))


def test_an_error_in_the_middle_undoes_its_batch_and_no_other(database):
    def stream():
        yield from map(solution, range(1000))
        raise KeyboardInterrupt

    database.add([solution(5000)])
    with pytest.raises(KeyboardInterrupt):
        database.add(stream())
    assert database.count() == 1001
    with pytest.raises(DatabaseError, match="solutions cannot be written"):
        database.add([solution(6000), replace(solution(6001), length=None)])
    assert database.count() == 1001


def test_positions_follow_the_order_of_commits(database):
    """A writer whose transaction is open holds the others back, or its rows would appear below a seen position."""
    database.add([solution(1)])
    with writing(database._engine, 5.0):
        other = threading.Thread(target=database.add, args=([solution(2)],))
        other.start()
        other.join(0.3)
        assert other.is_alive()
        assert numbers(database.after(0)) == [1]  # readers do not wait
    other.join()
    assert numbers(database.after(0)) == [1, 2]


def test_a_writer_that_waits_too_long_says_so(fresh_location):
    with SolutionDatabase(fresh_location(), timeout_s=0.2) as database, writing(database._engine, 1.0):
        with pytest.raises(DatabaseError, match=r"solutions cannot be written: .*(locked|lock timeout)"):
            database.add([solution(1)])


def test_a_database_goes_through_a_fork(database):
    database.add([solution(1)])
    child = os.fork()
    if child == 0:
        try:
            database.add([solution(2)])
            os._exit(0 if database.count() == 2 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    database.add([solution(3)])
    assert sorted(numbers(database.best())) == [1, 2, 3]


def test_sqlite_writes_ahead_and_to_the_disk(tmp_path):
    with SolutionDatabase(tmp_path / "new/folder/a.db") as database, database._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("mysql://host/name", "'mysql' cannot hold solutions"),
        ("sqlite://", "'sqlite' cannot hold solutions"),
        ("://", "is no address of a database"),
    ],
)
def test_locations_that_are_none(location, message):
    with pytest.raises(ConfigError, match=message):
        SolutionDatabase(location)


def test_what_is_no_database_of_solutions(tmp_path):
    with pytest.raises(DatabaseError, match="there is no database"):
        SolutionDatabase(tmp_path / "none.db", create=False)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("of no use " * 100)
    with pytest.raises(DatabaseError, match="cannot be opened: file is not a database"):
        SolutionDatabase(tmp_path / "text.db")
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    with pytest.raises(DatabaseError, match="holds no solutions"):
        SolutionDatabase(tmp_path / "empty.db", create=False)


def test_messages_do_not_hold_the_password():
    with pytest.raises(
        DatabaseError, match=r"postgresql://me:.*@127.0.0.1:1/name: solutions cannot be opened"
    ) as caught:
        SolutionDatabase("postgresql://me:secret@127.0.0.1:1/name")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"right": ()}, "has no verdict"),
        ({"log_prob": float("nan")}, "log_prob is nan"),
        ({"view_share": 1.5}, "view_share is 1.5"),
        ({"program": "a\0"}, "program holds a NUL"),
        ({"source_policy": "\ud800"}, "source_policy holds a NUL or half of a surrogate pair"),
        ({"generation": -1}, "generation -1"),
    ],
)
def test_values_that_no_database_should_hold(values, message):
    with pytest.raises(ValueError, match=message):
        solution(1, **values)
