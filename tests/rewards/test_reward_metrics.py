"""Repetition and diversity of programs, by hand; the other metrics are tested through the calculator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_strategies import TrlCall

from arcgym.rewards import RewardCalculator
from arcgym.rewards.metrics import completion_text, distinct_share, repetition

FLIP = "def transform(grid):\n    return grid[:, ::-1]\n"


def test_repetition_by_hand():
    assert repetition("a b c d") == 0
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)  # abcd bcda cdab dabc abcd
    assert repetition("x, x, x, x, x,") == pytest.approx(1 - 2 / 7)
    assert repetition("") == repetition("a b c") == 0


@pytest.mark.parametrize("endless", ["a" * 400, "ab " * 200, "\n" * 200, " " * 800, "grid = grid\n" * 50, "))))" * 40])
def test_a_text_that_got_stuck_is_nearly_all_repetition(endless):
    assert repetition(endless) > 0.9
    assert repetition(FLIP) < 0.1


@given(st.text(max_size=60), st.integers(1, 5))
def test_repetition_is_a_share_and_a_line_said_again_raises_it(text, times):
    lines = [f"{index} {text}\n" for index in range(times)]
    assert 0 <= repetition("".join(lines)) < 1
    assert repetition("".join(lines * 2)) > repetition("".join(lines)) - 1e-9


@pytest.mark.parametrize(
    ("values", "tasks", "share"),
    [
        (["p", "p", "q", "r"], ["a", "a", "b", "b"], 0.75),
        (["p", "p", "q"], ["a", "a", "b"], 0.5),  # a task with one completion says nothing
        (["p", "p", "q"], ["a", "b", "c"], 2 / 3),
        (["p", None, None], ["a", "a", "a"], 1 / 3),
        ([None, None], ["a", "a"], 0),
        (["p"], ["a"], 1),
    ],
)
def test_distinct_share_by_hand(values, tasks, share):
    assert distinct_share(values, tasks) == pytest.approx(share)


def test_diversity_is_logged_by_task_and_by_outputs(sandbox):
    call = TrlCall(RewardCalculator(sandbox))
    mirrored = "import numpy\ndef transform(grid):\n    return numpy.fliplr(grid)\n"  # another text, the same outputs
    call([FLIP, FLIP + "\n", mirrored, "none"])
    assert call.metrics["programs/distinct_frac"] == [0.5]
    assert call.metrics["programs/distinct_outputs_frac"] == [0.25]
    # A program that fails everywhere has no outputs
    call(["def transform(grid):\n    raise KeyError\n", FLIP])
    assert call.metrics["programs/distinct_outputs_frac"][1:] == [0.5]


def test_the_text_of_a_chat_is_all_that_was_written():
    assert completion_text("abc") == "abc"
    chat = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": None}, {"content": "b"}]
    assert completion_text(chat) == "a\n\nb"
