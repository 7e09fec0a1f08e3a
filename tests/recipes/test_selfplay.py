"""The self-play recipe as its user starts it: killed twice on its way, tried out, and its settings."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "selfplay"))
from selfplay_toys import Toy, contents, figures, load_recipe, one_core

from arcgym.models import CodeLLM
from arcgym.runs.job import hash_weights
from arcgym.runs.parsing import parse_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return Toy(tmp_path_factory.mktemp("selfplay_recipe"))


def start(words):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with one_core():
        return subprocess.Popen([sys.executable, str(ROOT / "recipes" / "selfplay.py"), *words], **pipes)


def kill_when(words, file):
    """Kill a run as soon as a file is there."""
    with start(words) as process:
        while not file.exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_run_that_was_killed_twice_ends_with_the_same_database_and_policy(toy):
    whole = toy.run("selfplay", "whole")
    killed, words = toy.folder / "killed", toy.words("killed")
    rounds = killed / "rounds"
    kill_when(words, rounds / "0" / "sampling" / "tasks-00000.json")
    assert not (rounds / "0" / "sampled.json").exists(), "it was killed while it sampled"
    kill_when(words, rounds / "0" / "samples.json")
    assert not (rounds / "0" / "trained.json").exists(), "it was killed while it trained"
    with start(words) as process:
        out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    assert "Self-play" in out and "Tasks that were not trained on" in out
    assert contents(killed) == contents(whole)
    assert figures(killed) == figures(whole)
    assert hash_weights(CodeLLM.load(str(killed)).model) == hash_weights(CodeLLM.load(str(whole)).model)


def test_a_dry_run_takes_one_step_and_keeps_nothing(toy, capsys):
    settings = {"dry_run": True, "max_prompt_tokens": 240, "solutions": str(toy.folder / "mine.sqlite")}
    folder = toy.run("selfplay", "dry", **settings)
    out = capsys.readouterr().out
    assert "sampling 8 programs for each of 2 tasks" in out and "Round 0: training on" in out
    assert "Round 1" not in out
    assert not (folder / "rounds").exists() and not (toy.folder / "mine.sqlite").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "configs").glob("selfplay*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_is_accepted(path):
    recipe = load_recipe("selfplay")
    rounds, *_ = parse_config([*recipe.OWN, *recipe.COMMON], ["--config", str(path)])
    assert rounds.num_rounds >= 1 and rounds.learn
