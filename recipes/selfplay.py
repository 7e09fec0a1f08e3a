"""Let a policy learn from its own verified programs, in rounds: sample, verify, relabel, choose, fine-tune, evaluate.

    python recipes/selfplay.py --config recipes/configs/selfplay_tiny.yaml
    python recipes/selfplay.py --config recipes/configs/selfplay_tiny.yaml --num_rounds 1 --relabel none

The second command is rejection-sampling fine-tuning. A run that was stopped, also by `kill -9`, goes on with the same
command and ends as one that was not. `--learn false` samples as many programs without learning. `--dry_run true` goes
through one round of the two longest tasks, and keeps nothing. docs/selfplay.md explains the rest.
"""

import logging
import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# bitsandbytes, which trl imports, warns of optional kernels whether it is used or not
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from trl import ModelConfig, SFTConfig

from arcgym.runs.arguments import ModelArguments, SandboxArguments, TaskArguments
from arcgym.runs.finetuning import CommonSettings, FinetuningJob, GlanceArguments
from arcgym.runs.hub import HubArguments
from arcgym.runs.parsing import parse_config, run_recipe
from arcgym.runs.selfplay import SelfPlay, SelfPlayArguments, SelfPlaySettings
from arcgym.runs.selfplay_choice import ChoiceArguments, RelabelArguments
from arcgym.solutions import SolutionDatabase

OWN = (SelfPlayArguments, ChoiceArguments, RelabelArguments)
COMMON = (TaskArguments, GlanceArguments, SandboxArguments, ModelConfig, ModelArguments, HubArguments, SFTConfig)


def main() -> None:
    """Load, go through the rounds, save."""
    (*values,) = parse_config([*OWN, *COMMON], description=__doc__)
    settings = SelfPlaySettings(*values[: len(OWN)])
    job = FinetuningJob(CommonSettings(*values[len(OWN) :]), *settings)
    own = job.directory.path / "solutions.sqlite"
    where = own if job.settings.tasks.dry_run else settings.rounds.solutions or own
    with job.sandbox() as sandbox, SolutionDatabase(where) as database:
        selfplay = SelfPlay(job, settings, sandbox, database)
        before, after = selfplay.run()
        job.finish(
            before,
            after,
            programs=selfplay.programs(),
            seconds=selfplay.seconds(),
            further={"rounds": selfplay.figures, "stopped_by": selfplay.stopped_by},
        )


if __name__ == "__main__":
    run_recipe(main)
