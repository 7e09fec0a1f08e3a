"""Prompts: a task as text for a policy, within a budget of tokens, and the way back from text to grids.

The plain style is the one that the default policy is trained on: headers, rows of digits and nothing else. The chat
style puts the same body below an instruction, for instruction-tuned models. A budget is met by leaving out whole
demonstrations, the last ones first, never by cutting a grid. No prompt is built from the output of a test pair.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from arcgym.data.tasks import Task
from arcgym.errors import ConfigError, TaskError
from arcgym.grids import Grid, as_grid

if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)

Prompt = str | list[dict[str, str]]

ENCODINGS = ("digits",)
STYLES = ("plain", "chat")

_SYSTEM = "You solve grid puzzles by writing Python programs."
_INSTRUCTION = """\
A rule turns each input grid into its output grid. Grids have 1 to 30 rows and columns; each digit is a colour.
Find the rule that explains all the examples, and write a Python function `transform(grid)` that applies it: it takes
the input as a 2-D numpy int8 array and returns the output as one. The program may use numpy and the standard library,
and `from arcgym.primitives import *`. Answer with the whole program in one ```python code block.

"""


class Tokenizer(Protocol):
    """What the formatter needs of a Hugging Face tokenizer."""

    chat_template: Any

    def __call__(self, text: str) -> Any:
        """Return a mapping with `input_ids`."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Return the token ids of a conversation."""


@dataclass(frozen=True)
class FormattedPrompt:
    """A task as a prompt.

    Args:
        prompt: the text (plain), or the messages (chat).
        num_tokens: length in tokens as the policy will see it; `None` without a tokenizer.
        shown: indices of the train pairs that the prompt shows, ascending.
    """

    prompt: Prompt
    num_tokens: int | None
    shown: tuple[int, ...]


class DroppedTask(NamedTuple):
    """A task that did not fit into the budget, and why."""

    task_id: str
    reason: str


class PromptDataset(NamedTuple):
    """The prompts of many tasks, and the tasks that have none."""

    dataset: "datasets.Dataset"
    dropped: list[DroppedTask]


class TaskFormatter:
    """Turn tasks into prompts.

    Args:
        encoding: how a grid is written; `"digits"`: the digits of a row without separators, then a line feed.
        style: `"plain"` for a completion model, `"chat"` for an instruction-tuned one.
        tokenizer: the policy's tokenizer, to count tokens with.
        budget: longest allowed prompt in tokens; needs a tokenizer. `None`: any length.

    Raises:
        ConfigError: an argument is unknown or out of range, or contradicts another.
    """

    def __init__(
        self,
        encoding: str = "digits",
        style: str = "plain",
        tokenizer: Tokenizer | None = None,
        budget: int | None = None,
    ):
        _check_choice("encoding", encoding, ENCODINGS)
        _check_choice("style", style, STYLES)
        if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
            raise ConfigError(f"`budget` is {budget!r}, but it counts tokens. Use an integer of 1 or more, or None.")
        if budget is not None and tokenizer is None:
            raise ConfigError("`budget` counts tokens, but there is no `tokenizer`. Pass the policy's tokenizer.")
        if style == "chat" and tokenizer is not None and not tokenizer.chat_template:
            raise ConfigError(
                "`style` is 'chat', but the tokenizer has no chat template. Use `style='plain'`, or the tokenizer of "
                "an instruction-tuned model, or set `tokenizer.chat_template`."
            )
        self.encoding = encoding
        self.style = style
        self.tokenizer = tokenizer
        self.budget = budget

    def format(self, task: Task) -> FormattedPrompt:
        """Write the prompt of a task, with as many demonstrations as the budget allows.

        Raises:
            TaskError: not even one demonstration fits into the budget.
        """
        for count in range(len(task.train), 0, -1):
            prompt = self._prompt(task, count)
            num_tokens = None if self.tokenizer is None else self._count_tokens(prompt, self.tokenizer)
            if self.budget is None or num_tokens is None or num_tokens <= self.budget:
                return FormattedPrompt(prompt, num_tokens, tuple(range(count)))
        raise TaskError(
            f"task {task.task_id!r} takes {num_tokens} tokens with a single demonstration, but the budget is "
            f"{self.budget}. Raise the budget or leave the task out."
        )

    def format_grid(self, grid: Grid) -> str:
        """Write a grid, one line per row, each ended by a line feed."""
        return "".join("".join(map(str, row)) + "\n" for row in grid.tolist())

    def parse_grid(self, text: str) -> Grid:
        """Read a grid back; the inverse of `format_grid`. The last line feed may be missing.

        Raises:
            TaskError: the text is not exactly one grid; the message says where.
        """
        rows = text.removesuffix("\n").split("\n")
        foreign = [
            f"row {r}, column {c}: {symbol!r} is not a digit; use 0 to 9"
            for r, row in enumerate(rows)
            for c, symbol in enumerate(row)
            if symbol not in "0123456789"  # `str.isdigit` would let other scripts' digits pass
        ]
        if foreign:
            raise TaskError("not a grid: " + "; ".join(foreign) + ".")
        return as_grid([[int(symbol) for symbol in row] for row in rows])

    def dataset(self, tasks: Iterable[Task]) -> PromptDataset:
        """Format many tasks into a dataset that a TRL trainer takes as it is.

        Columns: `prompt`, `task_id`, `source`, `family`, `train`, `test` (lists of `{"input": rows, "output": rows}`,
        the output null where it is not known) and `shown` (indices of the train pairs in the prompt).

        Returns:
            The dataset in the order of the tasks, and the tasks that do not fit into the budget, which it leaves out.
        """
        import datasets

        from arcgym.data.builder import PAIRS_FEATURE, task_row

        message = {"role": datasets.Value("string"), "content": datasets.Value("string")}
        features = datasets.Features(
            {
                "prompt": datasets.List(message) if self.style == "chat" else datasets.Value("string"),
                "task_id": datasets.Value("string"),
                "source": datasets.Value("string"),
                "family": datasets.Value("string"),
                "train": PAIRS_FEATURE,
                "test": PAIRS_FEATURE,
                "shown": datasets.List(datasets.Value("int32")),
            }
        )
        columns: dict[str, list[Any]] = {name: [] for name in features}
        dropped: list[DroppedTask] = []
        for task in tasks:
            try:
                formatted = self.format(task)
            except TaskError as exc:
                dropped.append(DroppedTask(task.task_id, str(exc)))
                continue
            row = {"prompt": formatted.prompt, "shown": list(formatted.shown), **task_row(task)}
            for name, values in columns.items():
                values.append(row[name])
        dataset = datasets.Dataset.from_dict(columns, features=features)
        if dropped:
            logger.info("%d of %d tasks do not fit into the budget", len(dropped), len(dropped) + len(dataset))
        return PromptDataset(dataset, dropped)

    def _prompt(self, task: Task, num_shown: int) -> Prompt:
        parts = []
        for pair in task.train[:num_shown]:
            assert pair.output is not None  # a Task guarantees it
            parts += ["Input:\n", self.format_grid(pair.input), "Output:\n", self.format_grid(pair.output)]
        for pair in task.test:
            parts += ["Test:\n", self.format_grid(pair.input)]
        body = "".join([*parts, "Program:\n"])
        if self.style == "plain":
            return body
        return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _INSTRUCTION + body}]

    def _count_tokens(self, prompt: Prompt, tokenizer: Tokenizer) -> int:
        """Count as the trainer and the solver do: with the special tokens, and the header of the assistant's turn."""
        if isinstance(prompt, str):
            return len(tokenizer(prompt)["input_ids"])
        encoded = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)
        return len(encoded["input_ids"])


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value in choices:
        return
    close = get_close_matches(str(value), choices, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ConfigError(f"`{name}` is {value!r}, but it must be one of {', '.join(map(repr, choices))}.{hint}")
