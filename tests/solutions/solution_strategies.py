"""Solutions for tests: of few tasks and programs, so that the same ones meet again, and with all sorts of figures."""

import numpy as np
from hypothesis import strategies as st

from arcgym.sandbox import Status
from arcgym.solutions import PairVerdict, Solution

HASHES = [f"{digit}{'a' * 31}" for digit in "09abcdef"]
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
grids = st.builds(
    lambda rows, width: np.full((rows, width), rows, dtype=np.int8), st.integers(1, 3), st.integers(1, 3)
)
shares = st.none() | st.sampled_from([0.0, 0.25, 1 / 3, 1.0])


def solution(number, *, task="task", program=None, right=(True, True), **values):
    """A solution that differs from those of other numbers; `number` is that of its program."""
    program = program or f"def transform(grid):\n    return grid + {number}\n"
    defaults = {"created_at": 1.5, "sampling": {"temperature": 1.0}, "source_policy": "tiny"}
    return Solution(
        task_id=task,
        task_hash=f"{sum(task.encode()):064x}",
        program=program,
        normal_form=program.strip(),
        program_hash=f"{number:032x}",
        status=Status.OK,
        verdicts=tuple(PairVerdict("train", i, verdict) for i, verdict in enumerate(right)),
        outputs=tuple(np.full((1, 2), number % 10, dtype=np.int8) for _ in right),
        output_signature=f"{number % 10:032x}",
        **{"length": len(program.strip())} | defaults | values,
    )


@st.composite
def solutions(draw):
    """Any solution; its identity is one of few."""
    return Solution(
        task_id=draw(st.sampled_from(["t1", "T2", "ü"])),
        task_hash=draw(st.sampled_from(HASHES[:3])) * 2,
        program=draw(texts),
        normal_form=draw(texts),
        program_hash=draw(st.sampled_from(HASHES)),
        status=draw(st.sampled_from([Status.OK, Status.TIMEOUT])),
        verdicts=tuple(
            PairVerdict("train", i, v) for i, v in enumerate(draw(st.lists(st.booleans(), min_size=1, max_size=3)))
        ),
        outputs=tuple(draw(st.lists(st.none() | grids, max_size=2))),
        output_signature=draw(st.sampled_from(HASHES)),
        length=draw(st.integers(0, 2)),
        log_prob=draw(st.sampled_from([None, -1.5, -1.5, -0.1 - 0.2])),
        view_share=draw(shares),
        fresh_share=draw(shares),
        source_policy=draw(texts),
        source_revision=draw(texts),
        sampling=draw(st.dictionaries(texts, st.none() | st.integers() | st.floats(-1, 1) | texts, max_size=2)),
        parent=draw(st.none() | st.just(f"{HASHES[0] * 2}/{HASHES[1]}")),
        generation=draw(st.integers(0, 1)),
        created_at=draw(st.sampled_from([0.0, 1.25, 1.7e9])),
    )
