import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_strategies import grids, tasks

from arcgym.data import Pair, Task, TaskFormatter
from arcgym.data.formatting import ENCODINGS
from arcgym.errors import ConfigError, TaskError
from arcgym.grids import grids_equal

TASK = Task.from_dict(
    {
        "train": [{"input": [[1, 2]], "output": [[3]]}, {"input": [[4], [5]], "output": [[6, 7]]}],
        "test": [{"input": [[8]], "output": [[9]]}, {"input": [[0, 0]]}],
    },
    task_id="t1",
    source="here",
    family="flips",
)
PLAIN = "Input:\n12\nOutput:\n3\nInput:\n4\n5\nOutput:\n67\nTest:\n8\nTest:\n00\nProgram:\n"


class CharTokenizer:
    """One token per character, a special token in front, and three for the assistant's header."""

    def __init__(self, chat_template=None):
        self.chat_template = chat_template

    def __call__(self, text):
        return {"input_ids": [0, *map(ord, text)]}

    def apply_chat_template(self, conversation, *, add_generation_prompt, tokenize, return_dict):
        assert tokenize
        assert return_dict
        text = "".join(message["content"] for message in conversation)
        return {"input_ids": [*map(ord, text), *([0, 0, 0] if add_generation_prompt else [])]}


def read_plain(text, formatter):
    """Read a plain prompt back, block by block."""
    headers = {"Input:": [], "Output:": [], "Test:": [], "Program:": []}
    current = None
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line in headers:
            current = headers[line]
            current.append("")
        else:
            current[-1] += line + "\n"
    assert headers["Program:"] == [""]
    return [[formatter.parse_grid(block) for block in headers[name]] for name in ("Input:", "Output:", "Test:")]


def test_the_plain_prompt_is_this_text():
    assert TaskFormatter().format(TASK).prompt == PLAIN
    assert TaskFormatter().format(TASK).num_tokens is None
    assert TaskFormatter().format(TASK).shown == (0, 1)


def test_the_chat_prompt_ends_with_the_plain_one():
    system, user = TaskFormatter(style="chat").format(TASK).prompt
    assert (system["role"], user["role"]) == ("system", "user")
    assert user["content"].endswith("\n\n" + PLAIN)
    assert "transform(grid)" in user["content"]


@pytest.mark.property(2)
@given(grids(), st.sampled_from(ENCODINGS))
def test_a_grid_written_and_read_is_the_same_grid(grid, encoding):
    formatter = TaskFormatter(encoding=encoding)
    again = formatter.parse_grid(formatter.format_grid(grid))
    assert again.dtype == grid.dtype
    assert again.shape == grid.shape
    assert grids_equal(again, grid)
    assert grids_equal(formatter.parse_grid(formatter.format_grid(grid).removesuffix("\n")), grid)


@pytest.mark.property(4)
@given(tasks(max_side=6), st.sampled_from(["plain", "chat"]), st.data())
def test_the_prompt_holds_every_pair_and_every_question_and_no_answer(task, style, data):
    formatter = TaskFormatter(style=style)
    formatted = formatter.format(task)
    text = formatted.prompt if style == "plain" else formatted.prompt[1]["content"].split("\n\n", 1)[1]
    inputs, outputs, questions = read_plain(text, formatter)
    assert formatted.shown == tuple(range(len(task.train)))
    assert [Pair(*grids_of) for grids_of in zip(inputs, outputs, strict=True)] == list(task.train)
    assert [Pair(question, None) for question in questions] == [Pair(pair.input, None) for pair in task.test]

    # Whatever the answers are, the prompt is the same: so nothing about them can be read out of it.
    others = tuple(Pair(pair.input, data.draw(grids(6) | st.none())) for pair in task.test)
    assert formatter.format(Task(task.task_id, task.train, others)) == formatted


@pytest.mark.parametrize(
    "text",
    ["", "\n", "1\n\n2", "12\n3", "1 2", "1x", "٣", "1\n2\n\n", "1\r\n2", "-1", "1" * 31, "1\n" * 31],
)
def test_what_is_not_exactly_a_grid_is_refused(text):
    with pytest.raises(TaskError, match="not a grid: "):
        TaskFormatter().parse_grid(text)


def test_a_foreign_symbol_is_located():
    with pytest.raises(TaskError, match="row 1, column 2: 'x' is not a digit"):
        TaskFormatter().parse_grid("123\n45x\n")


@settings(deadline=None)
@given(tasks(), st.sampled_from(["plain", "chat"]), st.integers(1, 1200))
def test_a_budget_drops_the_last_pairs_and_only_as_many_as_needed(task, style, budget):
    tokenizer = CharTokenizer(chat_template="some")
    formatter = TaskFormatter(style=style, tokenizer=tokenizer, budget=budget)

    def length(count):
        shorter = Task(task.task_id, task.train[:count], task.test)
        prompt = TaskFormatter(style=style).format(shorter).prompt
        return 1 + len(prompt) if style == "plain" else 3 + sum(len(message["content"]) for message in prompt)

    fitting = [count for count in range(1, len(task.train) + 1) if length(count) <= budget]
    if fitting:
        formatted = formatter.format(task)
        assert formatted.shown == tuple(range(fitting[-1]))
        assert formatted.num_tokens == length(fitting[-1]) <= budget
        assert (
            formatted.prompt
            == TaskFormatter(style=style).format(Task(task.task_id, task.train[: fitting[-1]], task.test)).prompt
        )
    else:
        with pytest.raises(TaskError, match=f"takes {length(1)} tokens with a single .* budget is {budget}"):
            formatter.format(task)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoding": "digit"}, "`encoding` is 'digit'.* Did you mean 'digits'"),
        ({"style": "caht"}, "`style` is 'caht'.* Did you mean 'chat'"),
        ({"style": None}, "must be one of 'plain', 'chat'"),
        ({"budget": 100}, "no `tokenizer`. Pass"),
        ({"budget": 0, "tokenizer": CharTokenizer()}, "`budget` is 0"),
        ({"budget": True, "tokenizer": CharTokenizer()}, "`budget` is True"),
        ({"budget": 9.5, "tokenizer": CharTokenizer()}, "`budget` is 9.5"),
        ({"style": "chat", "tokenizer": CharTokenizer()}, "no chat template. Use `style='plain'`"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_remedy(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TaskFormatter(**arguments)


@pytest.mark.parametrize("style", ["plain", "chat"])
def test_the_dataset_holds_prompts_and_columns_for_rewards(style):
    dataset, dropped = TaskFormatter(style=style).dataset([TASK])
    assert dropped == []
    assert dataset.column_names == ["prompt", "task_id", "source", "family", "train", "test", "shown"]
    row = dataset[0]
    assert row["prompt"] == TaskFormatter(style=style).format(TASK).prompt
    assert (row["task_id"], row["source"], row["family"], row["shown"]) == ("t1", "here", "flips", [0, 1])
    assert row["test"] == [{"input": [[8]], "output": [[9]]}, {"input": [[0, 0]], "output": None}]
    assert Task.from_dict(row, task_id="t1", source="here", family="flips") == TASK


def test_the_dataset_reports_the_tasks_that_it_leaves_out(caplog):
    small = Task("small", TASK.train[:1], TASK.test[:1])
    formatter = TaskFormatter(tokenizer=CharTokenizer(), budget=40)
    with caplog.at_level(logging.INFO):
        dataset, dropped = formatter.dataset([TASK, small])
    assert dataset["task_id"][:] == ["small"]
    assert [task_id for task_id, _ in dropped] == ["t1"]
    assert "budget is 40" in dropped[0].reason
    assert "1 of 2 tasks" in caplog.text
    none_left = TaskFormatter(tokenizer=CharTokenizer(), budget=1).dataset([TASK])
    assert len(none_left.dataset) == 0
    assert "prompt" in none_left.dataset.column_names


def test_a_real_tokenizer_counts_as_the_model_will_see_it():
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?")
    assert TaskFormatter(tokenizer=tokenizer).format(TASK).num_tokens == len(tokenizer(PLAIN)["input_ids"]) > 20
    with pytest.raises(ConfigError, match="no chat template"):
        TaskFormatter(style="chat", tokenizer=tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.content }}>{% endfor %}{% if add_generation_prompt %}!{% endif %}"
    )
    formatted = TaskFormatter(style="chat", tokenizer=tokenizer, budget=5000).format(TASK)
    text = "".join(f"<{message['content']}>" for message in formatted.prompt) + "!"
    assert formatted.num_tokens == len(tokenizer(text)["input_ids"])
