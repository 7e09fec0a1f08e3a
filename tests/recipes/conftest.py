"""What the recipes' tests share: an untrained policy, small runs of a recipe, and the errors of a wrong setting."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from arcgym.models import build_tiny, build_tokenizer
from arcgym.runs.parsing import run_recipe

ROOT = Path(__file__).parents[2]
SMALL = {
    "train_tasks": ["synthetic/train:6", "arc-agi-1/train:2"],
    "eval_tasks": ["synthetic/evaluation:3"],
    "max_prompt_tokens": 256,
    "eval_samples": 2,
    "num_generations": 2,
    "per_device_train_batch_size": 4,
    "max_completion_length": 6,
    "logging_steps": 1,
}


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    """A folder with an untrained policy and its tokenizer."""
    folder = tmp_path_factory.mktemp("policy")
    tokenizer = build_tokenizer(512)
    build_tiny(tokenizer, hidden_size=32, num_layers=1, max_length=512).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Recipe:
    """A recipe with the settings of a small run.

    Args:
        name: `ppo`, `grpo` or `rloo`; its quickstart's settings are the base.
        settings: What is different.
        folder: Where the run and its YAML file go.
    """

    def __init__(self, name, settings, folder):
        self.script = ROOT / "recipes" / f"{name}.py"
        self.settings = yaml.safe_load((ROOT / "recipes" / "configs" / f"{name}_quickstart.yaml").read_text())
        self.settings |= {"output_dir": str(folder / "run")} | settings
        self.folder = folder

    def words(self, **changes):
        """Command-line words of a run; keyword arguments change its settings."""
        path = self.folder / "small.yaml"
        path.write_text(yaml.safe_dump(self.settings | changes))
        return ["--config", str(path)]

    def launch(self, *arguments, **changes):
        """Run the recipe to its end, as its user does."""
        script = ["-m", "accelerate.commands.launch", str(self.script)]
        with self._popen([*script, *self.words(**changes), *arguments]) as process:
            out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, *arguments, **changes):
        """Start the recipe without a launcher above it, so that it can be signalled."""
        return self._popen([str(self.script), *self.words(**changes), *arguments])

    @staticmethod
    def _popen(words):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, *words], env=environment, **pipes)

    def module(self):
        """Import the recipe."""
        spec = importlib.util.spec_from_file_location(f"{self.script.stem}_recipe", self.script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def refusal(self, capsys, monkeypatch, **changes):
        """Run the recipe in this process; return the message it ends with."""
        monkeypatch.setattr(sys, "argv", [self.script.name, *self.words(**changes)])
        with pytest.raises(SystemExit) as caught:
            run_recipe(self.module().main)
        assert caught.value.code == 2
        message = capsys.readouterr().err
        assert "Traceback" not in message
        return message


@pytest.fixture
def make_recipe(policy, tmp_path):
    """Make a small run of a recipe on the untrained policy."""

    def make(name, **settings):
        own = {"num_mini_batches": 1} if name == "ppo" else {}
        return Recipe(name, SMALL | own | {"model_name_or_path": str(policy)} | settings, tmp_path)

    return make
