import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_strategies import grids, tasks

from arcgym import primitives
from arcgym.data import Pair, Task, TaskFormatter
from arcgym.data.contamination import overlap
from arcgym.data.encodings import ENCODINGS, with_size
from arcgym.data.formatting import AUTO_ENCODINGS, ENCODING_NAMES, PRIMITIVES_LEVELS, Concession
from arcgym.data.prompt_parts import MAX_FEW_SHOT, synthetic_examples
from arcgym.data.synthetic import load_split
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
# The default policy was trained on prompts like this one.
PLAIN = "Input:\n12\nOutput:\n3\nInput:\n4\n5\nOutput:\n67\nTest:\n8\nTest:\n00\nProgram:\n"


CHAT = [
    {"role": "system", "content": "You solve grid puzzles by writing Python programs."},
    {
        "role": "user",
        "content": """\
A rule turns each input grid into its output grid. Grids have 1 to 30 rows and columns; each digit is a colour.
Find the rule that explains all the examples, and write a Python function `transform(grid)` that applies it: it takes
the input as a 2-D numpy int8 array and returns the output as one. The program may use numpy and the standard library,
and `from arcgym.primitives import *`. Answer with the whole program in one ```python code block.

"""
        + PLAIN,
    },
]
# Solved tasks whose grids are larger than those of any task that Hypothesis draws here
SOLVED = [
    Task(
        f"solved{i}",
        [Pair(np.full((7, 7), i), np.full((7, 7), i + 1))],
        [Pair(np.full((8, 8), i), [[9]])],
        program=f"def transform(grid):\n    return grid + {i}\n",
    )
    for i in range(3)
]
GRIDS = '{% from "arcgym/grids.jinja" import grids %}\n'


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


def read_prompt(prompt, formatter):
    """Read a prompt back: the grids of the last task in it, and the programs of those before."""
    text = prompt if isinstance(prompt, str) else "".join(f"{message['content']}\n" for message in prompt)
    blocks, programs, current = {}, [], None
    for line in text.removesuffix("\n").split("\n"):
        if line == "Input:" and (not blocks or blocks["Program:"]):
            blocks = {"Input:": [], "Output:": [], "Test:": [], "Program:": []}
        if line in blocks:
            current = blocks[line]
            current.append("")
            if line == "Program:":
                programs.append("")
        elif blocks and current is blocks["Program:"]:
            programs[-1] += line + "\n"
        elif blocks:
            current[-1] += line + "\n"
    assert programs.pop() in ("", "\n")  # what the policy is to write
    return [
        [formatter.parse_grid(block) for block in blocks[name]] for name in ("Input:", "Output:", "Test:")
    ], programs


def test_the_plain_prompt_is_this_text():
    assert TaskFormatter().format(TASK).prompt == PLAIN
    assert TaskFormatter().format(TASK).num_tokens is None
    assert TaskFormatter().format(TASK).shown == (0, 1)


def test_the_chat_prompt_is_this_text():
    assert TaskFormatter(style="chat").format(TASK).prompt == CHAT


def test_every_encoding_can_be_named():
    assert ENCODING_NAMES == (*ENCODINGS, "auto")


def make_formatter(encoding, **settings):
    """A formatter for any encoding; there is always room for the whole prompt."""
    if encoding == "auto":
        settings |= {"tokenizer": CharTokenizer(chat_template="some"), "budget": 10**6}
    return TaskFormatter(encoding, **settings)


@pytest.mark.property(2)
@given(grids(), st.sampled_from(ENCODING_NAMES), st.booleans())
def test_a_grid_written_and_read_is_the_same_grid(grid, encoding, size_headers):
    formatter = make_formatter(encoding, size_headers=size_headers)
    texts = {formatter.format_grid(grid)}
    if encoding == "auto":  # the budget may choose any of these
        texts |= {(with_size(ENCODINGS[n]) if size_headers else ENCODINGS[n]).write(grid) for n in AUTO_ENCODINGS}
    for text in [*texts, *(text.removesuffix("\n") for text in texts)]:
        again = formatter.parse_grid(text)
        assert again.dtype == grid.dtype
        assert again.shape == grid.shape
        assert grids_equal(again, grid)


@settings(deadline=None)
@pytest.mark.property(4)
@given(
    task=tasks(max_side=6),
    encoding=st.sampled_from(ENCODING_NAMES),
    style=st.sampled_from(["plain", "chat"]),
    size_headers=st.booleans(),
    few_shot=st.sampled_from([0, 2, SOLVED]),
    show_primitives=st.sampled_from(PRIMITIVES_LEVELS),
    data=st.data(),
)
def test_the_prompt_holds_every_pair_and_every_question_and_no_answer(
    task, encoding, style, size_headers, few_shot, show_primitives, data
):
    formatter = make_formatter(
        encoding, style=style, size_headers=size_headers, few_shot=few_shot, show_primitives=show_primitives
    )
    formatted = formatter.format(task)
    (inputs, outputs, questions), programs = read_prompt(formatted.prompt, formatter)
    assert formatted.shown == tuple(range(len(task.train)))
    assert [Pair(*grids_of) for grids_of in zip(inputs, outputs, strict=True)] == list(task.train)
    assert [Pair(question, None) for question in questions] == [Pair(pair.input, None) for pair in task.test]
    assert len(programs) == (few_shot if isinstance(few_shot, int) else len(few_shot))

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
    with pytest.raises(TaskError, match="row 1, column 2: 'x' is not one of 0, 1"):
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
        ({"encoding": "auto"}, "`encoding` is 'auto', which is chosen by `budget`"),
        ({"show_primitives": "name"}, "`show_primitives` is 'name'.* Did you mean 'names'"),
        ({"few_shot": -1}, "`few_shot` is -1, but it is a number of tasks from 0 to 16, or a list of tasks"),
        ({"few_shot": 17}, "`few_shot` is 17"),
        ({"few_shot": True}, "`few_shot` is True"),
        ({"few_shot": "3"}, "`few_shot` is '3'"),
        ({"few_shot": [*SOLVED, TASK]}, "`few_shot` has tasks without a program: t1. "),
    ],
)
def test_a_wrong_setting_is_refused_with_the_remedy(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TaskFormatter(**arguments)


def ladder(task, style, few_shot, show_primitives):
    """The prompts of a task in the order of concessions, each from a formatter that was asked for just that one."""
    tokenizer = CharTokenizer(chat_template="some")

    def ask(examples, level, encoding, pairs):
        formatter = TaskFormatter(
            encoding, style, tokenizer, few_shot=SOLVED[:examples], show_primitives=level, size_headers=True
        )
        return formatter.format(Task(task.task_id, task.train[:pairs], task.test)), (examples, level, encoding, pairs)

    pairs = len(task.train)
    levels = PRIMITIVES_LEVELS[: PRIMITIVES_LEVELS.index(show_primitives) + 1]
    for examples in range(few_shot, -1, -1):
        yield ask(examples, levels[-1], "spaced", pairs)
    for level in levels[-2::-1]:
        yield ask(0, level, "spaced", pairs)
    best, settings_of_best = ask(0, "none", "spaced", pairs)
    for encoding in ("digits", "runs", "sparse"):
        other, settings_of_other = ask(0, "none", encoding, pairs)
        if other.num_tokens < best.num_tokens:
            best, settings_of_best = other, settings_of_other
            yield other, settings_of_other
    for count in range(pairs - 1, 0, -1):
        yield ask(0, "none", settings_of_best[2], count)


@settings(deadline=None)
@given(
    task=tasks(),
    style=st.sampled_from(["plain", "chat"]),
    few_shot=st.integers(0, 3),
    show_primitives=st.sampled_from(PRIMITIVES_LEVELS),
    data=st.data(),
)
def test_concessions_are_made_in_the_stated_order_and_no_further_than_needed(
    task, style, few_shot, show_primitives, data
):
    steps = list(ladder(task, style, few_shot, show_primitives))
    lengths = [prompt.num_tokens for prompt, _ in steps]
    budget = data.draw(st.sampled_from(lengths)) + data.draw(st.sampled_from([-1, 0, 1]))
    formatter = TaskFormatter(
        "auto",
        style,
        CharTokenizer(chat_template="some"),
        budget,
        few_shot=SOLVED[:few_shot],
        show_primitives=show_primitives,
        size_headers=True,
    )
    fitting = [step for step, length in zip(steps, lengths, strict=True) if length <= budget]
    if not fitting:
        with pytest.raises(TaskError, match=f"takes {lengths[-1]} tokens with a single demonstration"):
            formatter.format(task)
        return
    expected, given_settings = fitting[0]
    formatted = formatter.format(task)
    assert formatted.prompt == expected.prompt
    assert formatted.num_tokens == expected.num_tokens <= budget
    assert formatted.encoding == given_settings[2]
    assert formatted.shown == tuple(range(given_settings[3]))
    names = ("few_shot", "primitives", "encoding", "demonstrations")
    changes = zip(names, steps[0][1], given_settings, strict=True)
    assert formatted.concessions == tuple(Concession(*change) for change in changes if change[1] != change[2])


def test_a_compact_encoding_is_taken_only_where_it_is_shorter():
    dense = Task(
        "dense", [Pair(np.arange(64).reshape(8, 8) % 10, [[1]])], [Pair(np.arange(36).reshape(6, 6) % 7, None)]
    )
    empty = Task("empty", [Pair(np.zeros((20, 20), int), [[1]])], [Pair(np.zeros((9, 9), int), None)])
    lengths = {
        (task.task_id, name): TaskFormatter(name, tokenizer=CharTokenizer()).format(task).num_tokens
        for task in (dense, empty)
        for name in AUTO_ENCODINGS
    }
    for task, shortest in ((dense, "digits"), (empty, "sparse")):
        least = lengths[task.task_id, shortest]
        formatted = TaskFormatter("auto", tokenizer=CharTokenizer(), budget=least).format(task)
        assert (formatted.encoding, formatted.num_tokens) == (shortest, least)
        assert formatted.concessions == (Concession("encoding", "spaced", shortest),)
    assert lengths["dense", "runs"] > lengths["dense", "digits"]


def test_text_that_is_a_grid_in_no_encoding_is_refused_by_each():
    with pytest.raises(TaskError, match=r"as spaced: row 0.* as digits: .* as runs: .* as sparse: "):
        make_formatter("auto").parse_grid("black")


def test_few_shot_examples_are_small_solved_tasks_always_the_same():
    examples = synthetic_examples()
    assert len({example.family for example in examples}) == len(examples) > 3 * MAX_FEW_SHOT
    for example in examples[:MAX_FEW_SHOT]:
        namespace = {}
        exec(example.program, namespace)
        for pair in (*example.train, *example.test):
            assert grids_equal(namespace["transform"](pair.input), pair.output)
            assert max(pair.input.shape) <= 6
    # None of them is a task that arcgym is evaluated on
    assert overlap(examples[:MAX_FEW_SHOT], load_split("evaluation")) == []
    prompt = TaskFormatter(few_shot=3).format(TASK).prompt
    assert read_prompt(prompt, TaskFormatter())[1] == [example.program for example in examples[:3]]
    code = """
from arcgym.data import Task, TaskFormatter
task = Task.from_dict({"train": [{"input": [[1, 2]], "output": [[3]]}], "test": [{"input": [[8]]}]}, task_id="t")
print(TaskFormatter(few_shot=3).format(task).prompt, end="")
"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.split("Input:\n12\n")[0] == prompt.split("Input:\n12\n")[0] != ""


def example(train, test=(([[7] * 4] * 3, [[9]]),), family="", program="x"):
    return Task("example", [Pair(*p) for p in train], [Pair(*p) for p in test], family=family, program=program)


PAIRS = [([[1, 2, 3]], [[4, 5]]), ([[3, 3], [1, 0]], [[6], [2]])]
QUESTION = [[0, 7], [7, 2]]
ASKED = Task("asked", [Pair(*p) for p in PAIRS], [Pair(QUESTION, [[8]])], family="turns", program="return 3")
OTHER = ([[5]], [[5]])
COLOURS = np.array([9, 4, 8, 2, 0, 1, 3, 5, 6, 7])
LEAKS = {
    "a demonstration of it": example([PAIRS[0], OTHER]),
    "its question, with another output": example([(QUESTION, [[1]]), OTHER]),
    "its question, as a question": example([OTHER], [(QUESTION, [[1]])]),
    "a program of its family": example([OTHER], family="other+turns"),
    "its program": example([OTHER], program="return 3"),
    "a mirrored, recoloured copy": example([[COLOURS[np.fliplr(grid)] for grid in pair] for pair in PAIRS]),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_an_example_that_may_give_the_answer_away_is_passed_over(leak):
    formatter = TaskFormatter(few_shot=[LEAKS[leak], *SOLVED[:1]])
    harmless = Task("another", [Pair([[2]], [[2, 2]])], [Pair([[2, 1]], None)])
    assert read_prompt(formatter.format(harmless).prompt, formatter)[1] == [
        LEAKS[leak].program + "\n",
        SOLVED[0].program,
    ]
    for held_out in (None, 0):
        prompt = formatter.format(ASKED, held_out=held_out).prompt
        assert read_prompt(prompt, formatter)[1] == [SOLVED[0].program]


def test_a_number_of_examples_is_kept_when_some_are_passed_over():
    first = synthetic_examples()[0]
    task = Task("same family", TASK.train, TASK.test, family=first.family)
    programs = read_prompt(TaskFormatter(few_shot=2).format(task).prompt, TaskFormatter())[1]
    assert programs == [example.program for example in synthetic_examples()[1:3]]


def test_the_chat_shows_examples_as_turns_that_came_before():
    messages = TaskFormatter(style="chat", few_shot=SOLVED[:2]).format(TASK).prompt
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[2]["content"] == f"```python\n{SOLVED[0].program}```"
    assert messages[-1]["content"] == PLAIN
    instruction = CHAT[1]["content"].removesuffix(PLAIN)
    assert messages[1]["content"] == instruction + TaskFormatter().format(SOLVED[0]).prompt
    assert messages[3]["content"] == TaskFormatter().format(SOLVED[1]).prompt


@pytest.mark.parametrize("style", ["plain", "chat"])
def test_the_primitives_are_listed_as_far_as_wanted(style):
    texts = {
        level: str(TaskFormatter(style=style, show_primitives=level).format(TASK).prompt)
        for level in PRIMITIVES_LEVELS
    }
    assert texts["none"] == str(TaskFormatter(style=style).format(TASK).prompt)
    assert [len(text) for text in texts.values()] == sorted({len(text) for text in texts.values()})
    for level in ("names", "signatures", "docs"):
        assert all(name in texts[level] for name in primitives.__all__)
    assert "pad(" not in texts["names"]
    assert "pad(grid, n, colour=0)" in texts["signatures"]
    assert "flip_lr(grid): Mirror the grid left to right." in texts["docs"]


@pytest.mark.parametrize(
    ("encoding", "explained"),
    [
        ("numpy", "each digit is a colour."),
        ("words", "black blue red green yellow gray magenta orange azure maroon."),
        ("runs", "colour x length"),
        ("sparse", "row,column=colour, counted from 0"),
    ],
)
def test_the_chat_explains_how_grids_are_written(encoding, explained):
    assert explained in TaskFormatter(encoding, "chat").format(TASK).prompt[1]["content"]
    sized = TaskFormatter(encoding, "chat", size_headers=True).format(TASK).prompt[1]["content"]
    assert "The line above a grid is its size" in sized


def test_a_users_template_takes_the_place_of_ours(tmp_path):
    file = tmp_path / "mine.jinja"
    file.write_text(GRIDS + "{{ encoding }} {{ size_headers }}\n{{ grids(task) }}")
    prompt = TaskFormatter("runs", template=file).format(TASK).prompt
    assert prompt == "runs False\n" + TaskFormatter("runs").format(TASK).prompt
    file.write_text('Solve.\n{% include "arcgym/plain.jinja" %}')
    assert TaskFormatter(template=str(file)).format(TASK).prompt == "Solve.\n" + PLAIN


def test_a_users_template_may_change_a_block_of_ours(tmp_path):
    file = tmp_path / "mine.jinja"
    file.write_text('{% extends "arcgym/chat.jinja" %}{% block system %}Be brief.{% endblock %}')
    assert TaskFormatter(style="chat", template=file).format(TASK).prompt == [
        {"role": "system", "content": "Be brief."},
        CHAT[1],
    ]
    file.write_text('{% extends "arcgym/chat.jinja" %}{% block instruction %}Go.\n{% endblock %}')
    (_, user) = TaskFormatter(style="chat", template=file).format(TASK).prompt
    assert user["content"] == "Go.\n\n" + PLAIN


def test_a_formatter_keeps_its_template_and_a_new_one_reads_the_file_again(tmp_path):
    file = tmp_path / "mine.jinja"
    file.write_text(GRIDS + "A\n{{ grids(task) }}")
    first = TaskFormatter(template=file)
    file.write_text(GRIDS + "B\n{{ grids(task) }}")
    assert first.format(TASK).prompt == "A\n" + PLAIN
    assert TaskFormatter(template=file).format(TASK).prompt == "B\n" + PLAIN


def test_a_formatter_can_be_sent_to_another_process():
    formatter = TaskFormatter("runs", few_shot=2, show_primitives="names", size_headers=True)
    assert pickle.loads(pickle.dumps(formatter)).format(TASK) == formatter.format(TASK)


CALL = '{% call message("user") %}'


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("{% if %}", {}, r"mine.jinja, line 1: Expected an expression"),
        (GRIDS + "{{ grids(task) }}{{ colour }}", {}, r"mine.jinja fails: 'colour' is undefined\.$"),
        ('{% include "arcgym/plan.jinja" %}', {}, "needs arcgym/plan.jinja, which is neither beside it"),
        ('{% include "mine.jinja" %}', {}, "mine.jinja fails: maximum recursion"),
        ("{% for p in task.train %}{{ p.input }}{% endfor %}", {}, "leaves out `pair.input` or `pair.output`"),
        ("{{ task.train[0] }}{{ task.test }}", {}, "leaves out `pair.input` or `pair.output`"),
        ("{% for p in task.train %}{{ p }}{% endfor %}{{ task.test[0] }}", {}, "leaves out `task.test`"),
        (GRIDS + "{{ grids(task) }}", {"few_shot": 1}, "leaves out `examples`, which `few_shot` asks for"),
        (GRIDS + "{{ grids(task) }}", {"show_primitives": "names"}, "leaves out `primitives`, which"),
        (GRIDS + CALL + "{{ grids(task) }}{% endcall %}", {}, "writes messages. Use `style='chat'`"),
        (GRIDS + "{{ grids(task) }}", {"style": "chat"}, "outside of messages"),
        (GRIDS + "Hi." + CALL + "{{ grids(task) }}{% endcall %}", {"style": "chat"}, "has 'Hi.' outside of messages"),
        ("", {"style": "chat"}, "does not end with a message of the user"),
        (CALL + '{% endcall %}{% call message("assistant") %}{% endcall %}', {"style": "chat"}, "does not end with"),
        ('{% call message("human") %}{% endcall %}', {"style": "chat"}, "one of the roles system, user, assistant"),
        ('{{ message("user") }}', {"style": "chat"}, "mine.jinja fails: .*caller"),
    ],
)
def test_a_template_that_does_not_do_is_refused_when_the_formatter_is_made(tmp_path, text, settings, message):
    file = tmp_path / "mine.jinja"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        TaskFormatter(template=file, **settings)


def test_a_template_that_is_no_text_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory. Name a Jinja file"):
        TaskFormatter(template=tmp_path / "none.jinja")
    with pytest.raises(ConfigError, match="is a folder"):
        TaskFormatter(template=tmp_path)
    (tmp_path / "bytes.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="fails: 'utf-8' codec"):
        TaskFormatter(template=tmp_path / "bytes.jinja")


def test_a_template_that_fails_on_one_task_is_reported(tmp_path):
    file = tmp_path / "mine.jinja"
    file.write_text(GRIDS + "{{ grids(task) }}{{ task.test[1] }}")
    with pytest.raises(ConfigError, match=r"mine.jinja fails: .* has no element 1"):
        TaskFormatter(template=file).format(Task("one", TASK.train, TASK.test[:1]))


def test_tokens_are_counted_for_whole_prompts_in_each_encoding():
    many = [Task(str(n), [TASK.train[0]] * n, TASK.test) for n in range(1, 12)]
    settings_of_all = {"size_headers": True, "few_shot": 1, "show_primitives": "names"}
    budget = 1 + len(TaskFormatter("words", **settings_of_all).format(many[3]).prompt)
    formatter = TaskFormatter(tokenizer=CharTokenizer(), budget=budget, **settings_of_all)
    uses = formatter.token_use(many, ["words", "digits"])
    assert [(use.encoding, use.tasks) for use in uses] == [("words", 11), ("digits", 11)]
    for use in uses:
        lengths = [
            1 + len(TaskFormatter(use.encoding, **settings_of_all).format(task).prompt) for task in many
        ]  # which grow from task to task
        assert (use.median, use.p90) == (lengths[5], lengths[9])
        assert use.fits == sum(length <= budget for length in lengths) / 11
    assert uses[0].fits == 4 / 11
    assert TaskFormatter(tokenizer=CharTokenizer()).token_use(many)[0].fits is None
    assert [use.encoding for use in formatter.token_use(many[:1])] == list(ENCODINGS)


def test_tokens_are_not_counted_without_a_tokenizer_a_task_or_an_encoding():
    with pytest.raises(ConfigError, match="without a `tokenizer`"):
        TaskFormatter().token_use([TASK])
    formatter = TaskFormatter(tokenizer=CharTokenizer())
    with pytest.raises(ConfigError, match="no task whose tokens"):
        formatter.token_use([])
    with pytest.raises(ConfigError, match="`encodings` is 'auto'"):
        formatter.token_use([TASK], ["auto"])


def test_prompts_need_no_heavy_library_at_import():
    code = (
        "import sys, arcgym.data.formatting; print({'jinja2', 'torch', 'transformers', 'datasets'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


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


def hidden_in(row):
    """The pairs of a dataset's row that rewards count as hidden, as RewardCalculator reads them."""
    held_out = [pair for index, pair in enumerate(row["train"]) if index not in row["shown"]]
    return held_out, [pair for pair in row["test"] if pair["output"] is not None]


@pytest.mark.parametrize(
    ("hidden_pairs", "num_held_out", "num_tests"), [("test", 0, 1), ("leave_one_out", 1, 0), ("both", 1, 1)]
)
def test_hidden_pairs_are_test_pairs_or_a_held_out_demonstration(hidden_pairs, num_held_out, num_tests):
    row = TaskFormatter().dataset([TASK], hidden_pairs=hidden_pairs).dataset[0]
    held_out, tests = hidden_in(row)
    assert (len(held_out), len(tests)) == (num_held_out, num_tests)
    assert row["prompt"] == TaskFormatter().format(Task("t1", [TASK.train[i] for i in row["shown"]], TASK.test)).prompt
    assert [pair["input"] for pair in row["test"]] == [[[8]], [[0, 0]]]


@settings(max_examples=40)
@given(tasks(max_side=4), st.sampled_from(["test", "leave_one_out", "both"]), st.integers(0, 99), st.data())
def test_the_prompt_says_nothing_of_hidden_pairs_and_every_task_has_one_if_it_can(task, hidden_pairs, seed, data):
    row = TaskFormatter().dataset([task], hidden_pairs=hidden_pairs, seed=seed).dataset[0]
    held_out, tests = hidden_in(row)
    has_answers = any(pair.output is not None for pair in task.test)
    several = len(task.train) > 1
    assert len(held_out) == (several and (hidden_pairs != "test" or not has_answers))
    assert bool(tests) == (has_answers and not (several and hidden_pairs == "leave_one_out"))
    assert bool(held_out or tests) == (several or has_answers)
    # Deterministic, whatever the task is called and whatever stands beside it
    renamed = Task("other", task.train, task.test)
    again = TaskFormatter().dataset([TASK, renamed], hidden_pairs=hidden_pairs, seed=seed).dataset[1]
    assert (again["shown"], again["prompt"]) == (row["shown"], row["prompt"])
    if held_out:
        index = min(set(range(len(task.train))) - set(row["shown"]))
        other = data.draw(st.builds(Pair, grids(4), grids(4)))
        changed = Task(task.task_id, (*task.train[:index], other, *task.train[index + 1 :]), task.test)
        assert TaskFormatter().format(changed, held_out=index).prompt == row["prompt"]


def test_the_seed_chooses_the_demonstration():
    many = Task("many", [Pair([[i]], [[9 - i]]) for i in range(6)], TASK.test)
    chosen = {
        tuple(TaskFormatter().dataset([many], hidden_pairs="both", seed=seed).dataset[0]["shown"])
        for seed in range(50)
    }
    assert len(chosen) == 6


def test_what_the_budget_leaves_out_is_hidden_already():
    formatter = TaskFormatter(tokenizer=CharTokenizer(), budget=len(PLAIN))  # one too few, with the special token
    row = formatter.dataset([TASK], hidden_pairs="leave_one_out").dataset[0]
    assert row["shown"] == [0]
    assert all(pair["output"] is None for pair in row["test"])


def test_a_task_that_can_hide_nothing_is_reported(caplog):
    bare = Task("bare", TASK.train[:1], [Pair([[8]], None)])
    dataset, dropped = TaskFormatter().dataset([bare, TASK], hidden_pairs="both")
    assert dataset["shown"][:] in ([[0], [0]], [[0], [1]])
    assert dropped == []
    assert "a second demonstration: 1." in caplog.text
    assert "rewarded for: bare." in caplog.text


@pytest.mark.parametrize("held_out", [2, -1])
def test_only_a_demonstration_that_is_there_can_be_held_out(held_out):
    with pytest.raises(ValueError, match=f"demonstration {held_out} of task 't1' cannot be held out"):
        TaskFormatter().format(TASK, held_out=held_out)
    with pytest.raises(ValueError, match="one must be left to show"):
        TaskFormatter().format(Task("one", TASK.train[:1], TASK.test), held_out=0)


def test_an_unknown_choice_of_hidden_pairs_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'leave_one_out'"):
        TaskFormatter().dataset([TASK], hidden_pairs="leave_out")


def test_the_dataset_reports_the_tasks_that_it_leaves_out(caplog):
    small = Task("small", TASK.train[:1], TASK.test[:1])
    formatter = TaskFormatter(tokenizer=CharTokenizer(), budget=40)
    with caplog.at_level(logging.INFO):
        dataset, dropped = formatter.dataset([TASK, small])
    assert dataset["task_id"][:] == ["small"]
    assert [task_id for task_id, _ in dropped] == ["t1"]
    assert "budget is 40" in dropped[0].reason
    assert "1 of 2 tasks" in caplog.text
    assert "Conceded" not in caplog.text
    none_left = TaskFormatter(tokenizer=CharTokenizer(), budget=1).dataset([TASK])
    assert len(none_left.dataset) == 0
    assert "prompt" in none_left.dataset.column_names


def test_the_dataset_counts_concessions(caplog):
    formatter = TaskFormatter(tokenizer=CharTokenizer(), budget=len(PLAIN), few_shot=SOLVED[:2])
    small = Task("small", TASK.train[:1], TASK.test[:1])
    with caplog.at_level(logging.INFO):
        formatter.dataset([TASK, small])
    assert "Conceded to the budget, of 2 prompts: few_shot in 2, demonstrations in 1" in caplog.text


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
