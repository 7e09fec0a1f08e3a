from dataclasses import dataclass, field
from typing import Literal

import pytest
import yaml

from arcgym.errors import ArcGymError, ConfigError
from arcgym.runs.parsing import parse_config, run_recipe, save_config


@dataclass
class Settings:
    steps: int = field(default=3, metadata={"help": "Steps."})
    rate: float = field(default=0.1, metadata={"help": "Rate."})
    kind: Literal["plain", "chat"] = field(default="plain", metadata={"help": "Kind."})
    is_fast: bool = field(default=True, metadata={"help": "Fast."})
    names: list[str] = field(default_factory=lambda: ["a"], metadata={"help": "Names."})

    def __post_init__(self):
        if self.steps == 13:
            raise ValueError("13 steps bring bad luck")


@dataclass
class Other:
    depth: int = field(default=1, metadata={"help": "Depth."})
    limit: int | None = field(default=9, metadata={"help": "Limit."})


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return ["--config", str(path)]

    return write


def test_defaults_yaml_and_command_line_in_rising_precedence(config):
    words = [*config("steps: 5\nrate: 1e-4\nnames: [b, c]\nis_fast: false\ndepth: 2"), "--steps", "7"]
    settings, other = parse_config([Settings, Other], words)
    assert settings == Settings(steps=7, rate=1e-4, is_fast=False, names=["b", "c"])
    assert other == Other(2)
    assert parse_config([Settings], []) == (Settings(),)


def test_the_command_line_wins_wherever_config_stands(config):
    (settings,) = parse_config([Settings], ["--steps", "7", *config("steps: 5")])
    assert settings.steps == 7


def test_a_null_in_yaml_is_none_and_not_the_default(config):
    (other,) = parse_config([Other], config("limit: null"))
    assert other.limit is None
    (other,) = parse_config([Other], [*config("limit: null"), "--limit", "5"])
    assert other.limit == 5


def test_an_empty_list_in_yaml_is_one(config):
    (settings,) = parse_config([Settings], config("names: []"))
    assert settings.names == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 5", "stepz.*Did you mean `steps`"),
        ("steps: null", "sets `steps` to null, but it needs a value"),
        ("steps: []", "sets `steps` to an empty list, but it takes one value"),
        ("is_fast: []", "sets `is_fast` to an empty list, but it takes one value"),
        ("steps: 2.5", "steps.*invalid int value: '2.5'"),
        ("steps: many", "steps.*invalid int value"),
        ("kind: prose", "kind.*invalid choice: 'prose'"),
        ("is_fast: perhaps", "(?i)truthy|bool"),
        ("- steps", "must hold a mapping"),
        ("steps: [", "not valid YAML"),
        ("steps: 13", "bad luck"),
    ],
)
def test_every_mistake_in_yaml_is_refused(config, text, message):
    with pytest.raises(ConfigError, match=message):
        parse_config([Settings], config(text))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stepz", "5"], "Did you mean `steps`"),
        (["--steps", "x"], "invalid int"),
        (["--config"], "needs a path"),
        (["--config", "missing.yaml"], "no config file 'missing.yaml'"),
    ],
)
def test_every_mistake_on_the_command_line_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        parse_config([Settings], words)


def test_saved_settings_can_be_read_back(tmp_path):
    saved = tmp_path / "saved.yaml"
    save_config(saved, Settings(steps=9, names=["x"]), Other(4))
    assert yaml.safe_load(saved.read_text())["depth"] == 4
    assert parse_config([Settings, Other], ["--config", str(saved)]) == (Settings(steps=9, names=["x"]), Other(4))


def test_a_recipe_prints_fixable_errors_without_traceback(capsys):
    def main():
        raise ConfigError("`steps` is 0, but has to be at least 1.")

    with pytest.raises(SystemExit) as caught:
        run_recipe(main)
    assert caught.value.code == 2
    assert "ConfigError: `steps` is 0" in capsys.readouterr().err
    assert issubclass(ConfigError, ArcGymError)


def test_a_recipe_keeps_the_traceback_of_a_bug():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_recipe(main)
