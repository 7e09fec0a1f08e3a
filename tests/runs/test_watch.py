"""A run directory as it grows, and what the terminal shows of it."""

import io
import itertools
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from arcgym.data.encodings import ENCODINGS
from arcgym.data.formatting import TaskFormatter
from arcgym.data.loader import TaskLoader
from arcgym.errors import ConfigError
from arcgym.grids import as_grid
from arcgym.runs.following import RunReader, Solved
from arcgym.runs.program_cards import choose_cards, draw_card, draw_grid, shown_pairs
from arcgym.runs.watch import page, sparkline, watch
from arcgym.training.logs import JsonLines

START = 1_000_000.0
FLIP = "from arcgym.primitives import *\n\n\ndef transform(grid):\n    return flip_lr(grid)\n"
PROMPT = "Input:\n12\nOutput:\n21\nInput:\n340\nOutput:\n043\nTest:\n56\nProgram:\n"


class Run:
    """A run directory, written as a run writes it."""

    def __init__(self, path):
        self.path = path
        self.now = START
        self.reader = None

    def config(self, **settings):
        known = {"model_name_or_path": "policy", "train_tasks": ["arc-agi-1/train"], "num_generations": 2}
        (self.path / "config.yaml").write_text(yaml.safe_dump(known | {"max_steps": 40} | settings))
        self.touch("config.yaml")

    def touch(self, name):
        os.utime(self.path / name, (self.now, self.now))

    def log(self, step, **metrics):
        self.append("metrics.jsonl", {"step": step, "time": self.now, **metrics})

    def begin(self, step=0):
        self.log(step, event="begin")

    def append(self, name, row):
        with (self.path / name).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self, count, first=1, seconds=10.0):
        for step in range(first, first + count):
            self.now += seconds
            self.log(
                step, loss=0.1, reward=step / 10, entropy=1 / step, **{"tasks/solved_frac": 0.25, "step_time": 9.0}
            )

    def evaluation(self, when, solved):
        (self.path / "eval").mkdir(exist_ok=True)
        report = {"name": "arc-agi-1/train", "aggregates": {"solved": solved, "tasks": 8}}
        (self.path / "eval" / f"{when}-arc-agi-1-train.json").write_text(json.dumps(report))

    def completions(self, step, *rows):
        (self.path / "completions").mkdir(exist_ok=True)
        known = {"step": step, "prompt": PROMPT, "completion": FLIP, "program_reward": 1.0, "is_solved": True}
        known |= {"pairs_passed": "3/3", "program_error": "", "program_shortcut": "", "program_status": "ok"}
        table = pa.Table.from_pylist([known | {"task_id": f"task{i}"} | row for i, row in enumerate(rows)])
        pq.write_table(table, self.path / "completions" / f"completions_{step:05}.parquet")

    def summary(self):
        (self.path / "summary.json").write_text(json.dumps({"seconds": 754.0}))
        self.touch("summary.json")

    def state(self):
        self.reader = self.reader or RunReader(self.path, clock=lambda: self.now)
        return self.reader.read()


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


@pytest.fixture
def full(run):
    """A run in training, with everything that a page shows."""
    run.config()
    run.evaluation("before", 3)
    run.begin()
    run.rows(12)
    run.log(12, **{"rewards/program_reward/mean": 0.5, "rewards/hidden_gap": 0.1})
    run.completions(12, {}, {"program_reward": 2.0}, {"program_reward": -1.0, "is_solved": False})
    run.append(
        "collapse.jsonl",
        {"step": 9, "action": "warning", "signals": ["entropy"], "values": {"entropy": 0.1}, "limits": {"entropy": 1}},
    )
    return run


def draw(state, width=100, height=None, metrics=None, **console):
    """The page as plain text."""
    console = Console(width=width, height=height or 60, file=io.StringIO(), **console)
    console.print(page(state, console, height=height, metrics=metrics))
    return console.file.getvalue()


# --- What the directory says ---


def test_a_run_is_followed_from_an_empty_folder_to_its_summary(run):
    assert run.state().phase == "starting"
    assert "nothing is written yet" in draw(run.state())
    run.config()
    assert run.state().phase == "evaluating before training"
    run.evaluation("before", 3)
    run.begin()
    assert run.state().phase == "training"
    assert "waiting for the first row" in draw(run.state())
    run.rows(4)
    assert [row["step"] for row in run.state().rows] == [1, 2, 3, 4]
    run.log(4, train_runtime=40.0)
    assert run.state().phase == "evaluating after training"
    run.evaluation("after", 5)
    run.summary()
    state = run.state()
    assert state.phase == "finished"
    assert state.evaluations == {"arc-agi-1/train": {"before": Solved(3, 8), "after": Solved(5, 8)}}
    assert "finished, 12 min 34 s of training" in draw(state)


def test_a_torn_line_waits_and_a_broken_one_is_passed_over(run):
    run.begin()
    run.rows(1)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "time": 1000030.0, "rew')
    assert len(run.state().rows) == 1
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('ard": 0.5}\n')
    assert run.state().series("reward") == [(1, 0.1), (2, 0.5)]
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "tim\n')
    run.rows(1, first=3)
    assert [row["step"] for row in run.state().rows] == [1, 2, 3]


def test_what_was_read_is_not_read_again(run):
    file = JsonLines(run.path / "metrics.jsonl")
    assert list(file.new()) == [], "it is not there yet"
    run.rows(2)
    assert [row["step"] for row in file.new()] == [1, 2]
    run.rows(1, first=3)
    assert [row["step"] for row in file.new()] == [3]
    assert list(file.new()) == []


def test_steps_before_a_rollback_are_out_of_date(run):
    run.begin()
    run.rows(6)
    assert run.state().step == 6
    run.begin(2)
    assert run.state().step == 2
    run.rows(1, first=3)
    assert [row["step"] for row in run.state().rows] == [1, 2, 3]


def test_a_run_that_is_resumed_after_its_end_trains_again(run):
    run.config()
    run.begin()
    run.rows(2)
    run.log(2, train_runtime=20.0)
    run.summary()
    assert run.state().phase == "finished"
    run.now += 3600
    run.begin(2)
    assert run.state().phase == "training"


def test_the_summary_of_an_earlier_run_in_the_folder_does_not_count(run):
    run.config()
    run.summary()
    assert run.state().phase == "finished"
    run.now += 60
    run.config(seed=1)
    assert run.state().phase == "evaluating before training"


def test_time_left_follows_the_pace_of_the_rows(run):
    run.config(max_steps=40)
    run.begin()
    assert run.state().seconds_left is None
    run.rows(10, seconds=10)
    assert run.state().seconds_left == pytest.approx(300)
    run.now += 4
    assert run.state().seconds_left == pytest.approx(296)
    assert run.state().seconds_silent == pytest.approx(4)
    run.rows(20, first=11, seconds=2)
    assert run.state().seconds_left == pytest.approx(20), "only the last rows count"


def test_steps_in_all_follow_from_epochs_where_no_number_is_set(run):
    run.config(max_steps=-1, num_train_epochs=3.0)
    run.begin()
    assert run.state().total_steps is None
    run.log(5, epoch=0.5, loss=0.1)
    assert run.state().total_steps == 30


def test_programs_are_of_the_newest_file_that_is_whole(run):
    run.completions(4, {"completion": "four"})
    (run.path / "completions" / "completions_00008.parquet").write_bytes(b"PAR1 half of a file")
    assert [row["completion"] for row in run.state().programs] == ["four"]
    run.completions(8, {"completion": "eight"})
    assert [row["completion"] for row in run.state().programs] == ["eight"]


def test_looking_at_a_run_writes_nothing(full):
    def files():
        return {path: path.stat().st_mtime_ns for path in full.path.rglob("*")}

    before = files()
    draw(full.state())
    assert files() == before


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path / "typo", "does not exist, but a run is a folder"),
        (lambda path: path / "notes.txt", "is a file, but a run is a folder"),
        (lambda path: path, r"is no run: it holds notes\.txt, but none of config\.yaml"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, prepare, message):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ConfigError, match=message):
        RunReader(prepare(tmp_path))


# --- The page ---


def test_the_page_holds_what_one_wants_to_know(full):
    shown = draw(full.state(), width=170)
    for text in (
        "policy · arc-agi-1/train · 2 programs per task",
        "step 12/40",
        "4 min 40 s left, last row 0 s ago",
        "! step 9: may be the start of a collapse: entropy 0.1 (limit 1)",
        "reward                 0.1     1.2  ▁",
        "tasks/solved_frac   25.0 %  25.0 %",
        "3/8",
        "✓ task1  ok, 3/3 pairs  reward 2.000",
        "✗ task2",
        "return flip_lr(grid)",
    ):
        assert text in shown
    assert shown.index("task1") < shown.index("task0") < shown.index("task2")


@pytest.mark.parametrize("width", [40, 60, 80, 110, 160])
@pytest.mark.parametrize("height", [10, 24, 40])
def test_the_page_fits_the_terminal(full, width, height):
    lines = draw(full.state(), width=width, height=height).splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert any("step 12" in line for line in lines)


def test_a_page_of_a_usual_terminal_has_a_program_with_its_grids(full):
    shown = draw(full.state(), width=80, height=24)
    assert "✓ task1" in shown and "12 → 21" in shown and "return flip_lr(grid)" in shown


def test_without_colour_grids_are_digits_and_nothing_is_escaped(full, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown = draw(full.state(), force_terminal=True, color_system="truecolor")
    assert "12 → 21" in shown
    assert "38;" not in shown and "48;" not in shown, "styles such as bold may stay, colours not"
    monkeypatch.delenv("NO_COLOR")
    assert "▀▀ → ▀▀" not in draw(full.state()), "a pipe has no colours either"
    assert "\x1b[38;2;0;116;217" in draw(full.state(), force_terminal=True, color_system="truecolor")


def test_silence_stands_out(full):
    def is_marked():
        return "\x1b[1;33m" in draw(full.state(), force_terminal=True, color_system="truecolor").split("metric")[0]

    (full.path / "collapse.jsonl").unlink()  # which is yellow too
    assert not is_marked()
    full.now += 600
    assert is_marked()


def test_other_metrics_can_be_shown_and_a_wrong_name_is_noticed(full):
    shown = draw(full.state(), metrics=["step_time", "entrpy", "xyz"])
    assert "step_time         9     9" in shown
    assert "not logged so far; did you mean entropy?" in shown
    assert "xyz" in shown and "tasks/solved_frac" not in shown


def test_rewards_have_the_weights_of_the_run(full):
    assert "reward 2.000" in draw(full.state())
    full.config(reward_weights=[2.5])
    assert "reward 5.000" in draw(full.state())


def test_validation_during_training_is_shown(full):
    full.log(12, **{"eval_tasks/solved_frac": 0.5})
    assert "eval_tasks/solved_frac" in draw(full.state())


def test_metrics_that_are_not_finite_leave_a_gap(run):
    run.begin()
    run.log(1, reward=None, loss=0.0)
    run.log(2, reward=0.5, loss=0.0)
    assert run.state().series("reward") == [(2, 0.5)]
    assert "0.5" in draw(run.state())


@given(st.lists(st.floats(-1e6, 1e6), max_size=60), st.integers(1, 30))
def test_a_curve_goes_from_the_least_to_the_greatest(values, width):
    curve = sparkline(values, width)
    assert len(curve) == min(width, len(values))
    assert set(curve) <= set("▁▂▃▄▅▆▇█")
    if len(values) <= width and values and max(values) - min(values) > 1e-9:
        assert curve[int(np.argmax(values))] == "█" and curve[int(np.argmin(values))] == "▁"


# --- Programs and grids ---


@pytest.mark.parametrize("size_headers", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_demonstrations_are_read_back_from_prompts(encoding, size_headers):
    tasks = TaskLoader().load("arc-agi-1", "train")[:20:4]
    formatter = TaskFormatter(encoding=encoding, size_headers=size_headers)
    for task in tasks:
        for prompt in (formatter.format(task).prompt, f"<s>user\n{formatter.format(task).prompt}<|end|>\nassistant\n"):
            pairs = shown_pairs(prompt, encoding, size_headers)
            assert len(pairs) == len(task.train)
            for found, pair in zip(pairs, task.train, strict=True):
                assert np.array_equal(found.input, pair.input) and np.array_equal(found.output, pair.output)


@given(st.text(alphabet="Input:Otpu\n0123 Tes[]x,=.", max_size=200))
def test_any_other_prompt_gives_grids_or_nothing(text):
    for pair in shown_pairs(text):
        assert pair.input.ndim == pair.output.ndim == 2


def test_a_grid_is_drawn_in_its_colours():
    grid = as_grid([[1, 2], [3, 4], [5, 6]])
    assert draw_grid(grid, colour=False).plain == "12\n34\n56"
    drawing = draw_grid(grid, colour=True)
    assert drawing.plain == "▀▀\n▀▀"
    assert [span.style for span in drawing.spans] == ["#0074D9 on #2ECC40", "#FF4136 on #FFDC00", "#AAAAAA", "#F012BE"]


def rows_of(*entries):
    return [
        {"task_id": task, "completion": f"def transform(grid):\n    return {name}", "right": right, "style": style}
        for task, name, right, style in entries
    ]


def test_the_best_programs_are_of_different_tasks_and_a_failure_is_among_them():
    rows = rows_of(
        ("a", "a1", 2.0, 0), ("a", "a2", 1.9, 0), ("b", "b1", 1.0, 0), ("c", "c1", 0.5, 0), ("c", "c2", -1, 0)
    )
    chosen = choose_cards(rows, 3, reward_names=["right", "style"])
    assert [(card.task_id, card.reward) for card in chosen] == [("a", 2.0), ("b", 1.0), ("c", -1.0)]
    assert [card.task_id for card in choose_cards(rows, 1, reward_names=["right"])] == ["a"]
    assert len(choose_cards(rows, 9, reward_names=["right"])) == 4


def test_rewards_are_weighted_as_in_training_and_may_be_missing():
    rows = rows_of(
        ("a", "a1", 1.0, 4.0), ("b", "b1", 1.5, 0.0), ("c", "c1", None, None), ("d", "d1", float("nan"), 0.0)
    )
    weighted = choose_cards(rows, 4, reward_names=["right", "style"], reward_weights=[1.0, 0.5])
    assert [(card.task_id, card.reward) for card in weighted] == [("a", 3.0), ("b", 1.5), ("c", None), ("d", None)]


def test_rows_of_any_trainer_can_be_shown():
    (card,) = choose_cards([{"prompt": "How?", "completion": "I do not know [bold]", "advantage": 0.1}], 3)
    console = Console(width=60, file=io.StringIO())
    console.print(draw_card(card, width=60, colour=False))
    assert "I do not know [bold]" in console.file.getvalue()


def test_a_program_cannot_write_to_the_terminal():
    evil = "def transform(grid):\n    return '\x1b]0;owned\x07\x1b[2J\x9b2J\r'"
    row = {"task_id": "a\x1b[2J", "prompt": PROMPT, "completion": evil, "program_error": "E: \x1b[8m"}
    (card,) = choose_cards([row], 1)
    console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(draw_card(card, width=100, colour=False))
    assert "]0;owned" in console.file.getvalue()
    assert not set("\x1b\x07\x9b\r") & set(console.file.getvalue())


# --- Following ---


def follow(run, console, changes, **arguments):
    """Follow a run to which something happens between two looks."""
    steps = iter(changes)

    def sleep(seconds):
        change = next(steps)
        if isinstance(change, BaseException):
            raise change
        change()

    watch(RunReader(run.path, clock=lambda: run.now), console, sleep=sleep, **arguments)
    assert next(steps, None) is None, "it goes on until the run has finished"
    return console.file.getvalue()


def test_a_pipe_gets_each_row_once_until_the_run_has_finished(run):
    changes = [run.config, run.begin, lambda: run.rows(2), lambda: None, lambda: run.rows(1, first=3), run.summary]
    lines = follow(run, Console(file=io.StringIO(), width=40), changes).splitlines()
    assert [line.split(":")[0].split("  ")[0] for line in lines if line.startswith("step")] == ["step"] * 3
    assert [line.split()[1] for line in lines if line.startswith("step")] == ["1", "2", "3"]
    assert "reward 0.3   tasks/solved_frac 25.0 %" in lines[-2]
    assert "waiting for the run to begin" in lines[0] and "finished" in lines[-1]


def test_a_terminal_is_redrawn_and_keeps_the_last_page(full):
    console = Console(file=io.StringIO(), width=80, height=30, force_terminal=True, color_system="truecolor")
    shown = follow(full, console, [lambda: full.rows(1, first=13), full.summary])
    assert shown.count("\x1b[?1049h") == shown.count("\x1b[?1049l") == 1
    assert "step 13/40" in shown
    assert "finished" in shown.split("\x1b[?1049l")[1]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_an_interrupt_ends_it_quietly(full, is_terminal):
    console = Console(file=io.StringIO(), width=80, height=30, force_terminal=is_terminal)
    shown = follow(full, console, [KeyboardInterrupt()])
    assert ("step 12/40" in shown.split("\x1b[?1049l")[-1]) is is_terminal, "what was there last stays to be read"


def test_a_finished_run_and_one_look_do_not_wait(full):
    console = Console(file=io.StringIO(), width=80)
    assert "step 12/40" in follow(full, console, [], once=True)
    full.summary()
    assert "finished" in follow(full, console, [])


def test_a_growing_file_is_read_in_step_with_many_looks(run):
    run.begin()
    for count in itertools.accumulate([1, 2, 3]):
        first = run.state().step + 1
        run.rows(count - len(run.state().rows), first=first)
        assert len(run.state().rows) == count
