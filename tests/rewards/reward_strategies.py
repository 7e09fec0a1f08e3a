"""What the reward tests share: Hypothesis strategies for settings and verdicts, and a call as TRL makes it."""

from collections import defaultdict

from hypothesis import strategies as st

from arcgym.rewards import PairVerdict, RewardConfig, Verdict
from arcgym.sandbox import Status

# Severity classes, worst first, as DESIGN section 6 orders them, with the names of the penalties.
SEVERITIES = [
    {None: "syntax_penalty", Status.SYNTAX_ERROR: "syntax_penalty"},
    {Status.CRASHED: "crash_penalty", Status.SECURITY_VIOLATION: "violation_penalty"},
    {
        Status.TIMEOUT: "timeout_penalty",
        Status.MEMORY: "memory_penalty",
        Status.OUTPUT_LIMIT: "output_limit_penalty",
    },
    {Status.RUNTIME_ERROR: "runtime_penalty"},
    {Status.INVALID_OUTPUT: "output_penalty"},
]


@st.composite
def configs(draw):
    names = [sorted(set(row.values())) for row in SEVERITIES]
    costs = sorted(draw(st.sets(st.floats(0.01, 5), min_size=9, max_size=9)), reverse=True)
    penalties = {}
    for row in names:
        own, costs = costs[: len(row)], costs[len(row) :]
        penalties |= dict(zip(row, draw(st.permutations(own)), strict=True))
    shape_weight = draw(st.floats(0, 0.99))
    return RewardConfig(
        correctness_weight=draw(st.floats(0.1, 10)),
        hidden_weight=draw(st.floats(0.1, 10)),
        solved_bonus=draw(st.floats(0, 5)),
        brevity_weight=draw(st.floats(0, 0.99)),
        brevity_scale=draw(st.floats(1, 10_000)),
        shape_weight=shape_weight,
        cell_weight=draw(st.floats(0, 0.99)) * (0.99 - shape_weight),
        shortcut_penalty=draw(st.just(0.0) | st.just(costs[0])),
        shortcut_share=draw(st.floats(0, 1)),
        **penalties,
    )


def verdict(passed, hidden, status=Status.OK, right_shape=None, num_chars=100, cells=None, shortcut=None):
    shapes = passed if right_shape is None else [a or b for a, b in zip(passed, right_shape, strict=True)]
    cells = [float(shape) / 2 for shape in shapes] if cells is None else cells
    by_shortcut = [flag and shortcut is not None for flag in passed]
    pairs = map(PairVerdict, hidden, passed, shapes, cells, by_shortcut)
    return Verdict(status, tuple(pairs), num_chars, shortcut=shortcut)


def flags(size):
    return st.lists(st.booleans(), min_size=size, max_size=size)


TRAIN = [{"input": [[1, 2], [3, 4]], "output": [[2, 1], [4, 3]]}, {"input": [[5, 6]], "output": [[6, 5]]}]
TEST = [{"input": [[7, 8, 9]], "output": [[9, 8, 7]]}]


class TrlCall:
    """Calls a reward function with what TRL 1.16's `_calculate_rewards` passes, and keeps what it logs."""

    def __init__(self, reward_func):
        self.reward_func = reward_func
        self.metrics = defaultdict(list)
        self.extra = defaultdict(list)

    def __call__(self, completions, train=TRAIN, test=TEST, shown=None, **columns):
        size = len(completions)
        shown = range(len(train)) if shown is None else shown
        return self.reward_func(
            prompts=["p"] * size,
            completions=completions,
            completion_ids=[[1]] * size,
            **{"task_id": ["t"] * size, **columns},
            source=[""] * size,
            train=[train] * size,
            test=[test] * size,
            shown=[list(shown)] * size,
            trainer_state=None,
            log_extra=lambda column, values: self.extra[column].extend(values),
            log_metric=lambda name, value: self.metrics[name].append(value),
        )
