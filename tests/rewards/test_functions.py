"""Other reward functions by dotted path. That trainers take them is tested in tests/training/test_extra_rewards.py."""

import sys

import pytest

from arcgym.errors import ConfigError
from arcgym.rewards import load_reward_functions

MODULE = """
def good(completions, **columns):
    return [float(len(text)) for text in completions]

def only_completions(completions):
    return [0.0 for _ in completions]

def make(scale=1.0):
    if scale < 0:
        raise ValueError("scale must not be negative")
    def scaled(prompts, completions, **columns):
        return [scale for _ in completions]
    return scaled

class Reward:
    __name__ = "reward_object"
    nested = staticmethod(good)
    def __init__(self, value): self.value = value
    def __call__(self, prompts, completions, **columns): return [self.value] * len(completions)

async def slow(prompts, completions, **columns):
    return [1.0 for _ in completions]

number = 3.0
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """A user's package `some_rewards`, with a module that works and two that cannot be imported."""
    folder = tmp_path / "some_rewards"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "lengths.py").write_text(MODULE)
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "needy.py").write_text("import package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("some_rewards")]:
        del sys.modules[name]


def test_functions_come_in_the_order_of_their_paths():
    paths = [
        "some_rewards.lengths.good",
        "some_rewards.lengths.make(scale=2.0)",
        " some_rewards.lengths.Reward(0.5) ",
        "some_rewards.lengths.slow",
    ]
    functions = load_reward_functions(paths)
    assert [function(prompts=["p"], completions=["abc"], task_id=["t"]) for function in functions[:3]] == [
        [3.0],
        [2.0],
        [0.5],
    ]
    assert functions[3].__name__ == "slow"
    assert load_reward_functions([]) == []


def test_attributes_of_attributes_are_followed():
    assert load_reward_functions(["some_rewards.lengths.Reward.nested"])[0].__name__ == "good"


def test_those_of_trl_are_found():
    from trl.rewards import think_format_reward

    paths = [
        "trl.rewards.think_format_reward",
        "trl.rewards.get_soft_overlong_punishment(max_completion_len=4, soft_punish_cache=2)",
        "trl.rewards.get_repetition_penalty_reward(2, max_penalty=-0.5)",
    ]
    functions = load_reward_functions(paths)
    assert functions[0] is think_format_reward
    assert functions[1](completion_ids=[[1, 2, 3], [1]]) == [-0.5, 0.0]
    assert functions[2](completion_ids=[[5, 5, 5]]) == [-0.25]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("good", "'good' does not name a reward function. Write `package.module.function`"),
        ("", "does not name a reward function"),
        ("some rewards.good", "does not name a reward function"),
        ("some_rewards.lengths[0]", "does not name a reward function"),
        ("some_rewards.lengths.make(scale=number)", "does not name a reward function"),
        ("some_rewards.lengths.make(**{'scale': 1})", "does not name a reward function"),
        ("some_reward.lengths.good", "There is no package 'some_reward' .* Did you mean 'some_rewards'"),
        ("some_rewards.length.good", "'some_rewards' has no 'length' .* Did you mean 'lengths'"),
        ("some_rewards.lengths.god", "'some_rewards.lengths' has no 'god' .* Did you mean 'good'"),
        ("some_rewards.lengths.zzz", "'some_rewards.lengths' has no 'zzz' for the reward 'some_rewards.lengths.zzz'."),
        ("some_rewards.broken.good", "cannot be imported: ZeroDivisionError: division by zero"),
        ("some_rewards.needy.good", "cannot be imported: ModuleNotFoundError: No module named 'package_that_nobody"),
        ("some_rewards.lengths.number", "is a float, not a function"),
        ("some_rewards.lengths.number(1)", "is a float, which cannot be called"),
        ("some_rewards.lengths.Reward", r"is a class. Write `some_rewards.lengths.Reward\(\)`"),
        ("some_rewards.lengths.make", "does not take what TRL passes .* write the call with its arguments"),
        ("some_rewards.lengths.only_completions", "does not take what TRL passes"),
        ("some_rewards.lengths.make(scale=-1)", "cannot be made: ValueError: scale must not be negative"),
        ("some_rewards.lengths.make(speed=1)", "cannot be made: TypeError: .*speed"),
    ],
)
def test_what_cannot_be_a_reward_function_is_refused_with_the_reason(path, message):
    with pytest.raises(ConfigError, match=message):
        load_reward_functions([path])


def test_two_functions_of_one_name_are_refused():
    with pytest.raises(ConfigError, match=r"logged as 'scaled', and so is 'some_rewards.lengths.make\(\)'"):
        load_reward_functions(["some_rewards.lengths.make()", "some_rewards.lengths.make(2)"])
