"""Train the default policy `arcgym-tiny` from scratch on synthetic tasks, with TRL's `SFTTrainer`.

    accelerate launch --quiet recipes/pretrain_tiny.py --config recipes/configs/pretrain_tiny_cpu.yaml

Tasks are generated first, seeded, so that the data is the same everywhere; those that equal a task of the named
`synthetic` evaluation split are dropped. They come in the order of a curriculum: small one-step tasks first, then the
full mix; inside a window, samples of similar length share a batch. The loss is on the program, and with `grid_loss`
also on the output grids of all pairs but the first, which can be inferred from the pairs before them.
"""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# bitsandbytes, which trl imports, warns of optional kernels whether it is used or not
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from transformers import set_seed
from trl import SFTConfig, SFTTrainer

from arcgym.models import CodeLLM
from arcgym.models.growth import grow
from arcgym.models.pretraining import TaskMix, build_curriculum, write_card
from arcgym.models.tiny import build_tiny
from arcgym.models.tokenizer import build_tokenizer
from arcgym.runs.parsing import parse_config, run_recipe, save_config
from arcgym.runs.threads import use_all_cores


@dataclass
class PretrainArguments:
    """What `arcgym-tiny` is, and what it is trained on."""

    num_tasks: int = field(default=200_000, metadata={"help": "Number of synthetic tasks, each seen once per epoch."})
    task_seed: int = field(default=7, metadata={"help": "Seed of the task generator."})
    warmup_share: float = field(
        default=0.3,
        metadata={"help": "Share of the tasks, the first ones, that are small and take one step, in [0, 1]."},
    )
    composed_share: float = field(
        default=0.35, metadata={"help": "Chance of a second step after that, and again of a third, in [0, 1]."}
    )
    max_side: int = field(default=11, metadata={"help": "Largest side of a generated input grid, in cells."})
    transplant_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of the tasks after the warm-up that play on input grids of ARC-AGI-2 training tasks (none "
            "of ARC-AGI-1, none of an evaluation set), with other rules than theirs, in [0, 1]."
        },
    )
    donor_side: int = field(default=20, metadata={"help": "Largest side of such an input grid, in cells."})
    max_sample_tokens: int = field(default=640, metadata={"help": "Longer samples are left out; prompt and program."})
    grid_loss: bool = field(default=False, metadata={"help": "Also learn to write the output grids of later pairs."})
    hidden_size: int = field(default=160, metadata={"help": "Width of the model; a multiple of 32."})
    num_layers: int = field(default=4, metadata={"help": "Depth of the model."})
    context_length: int = field(
        default=2048, metadata={"help": "Longest sequence the model is configured for, tokens."}
    )
    init_from: str | None = field(
        default=None,
        metadata={
            "help": "Folder of an earlier model of this recipe to go on from. It may be smaller and know fewer "
            "tokens: the new model then begins by doing what the small one did."
        },
    )

    def task_mix(self) -> TaskMix:
        """What to generate."""
        return TaskMix(
            num_tasks=self.num_tasks,
            seed=self.task_seed,
            warmup_share=self.warmup_share,
            composed_share=self.composed_share,
            max_side=self.max_side,
            transplant_share=self.transplant_share,
            donor_side=self.donor_side,
            max_tokens=self.max_sample_tokens,
        )


def main() -> None:
    """Generate, train, save."""
    arguments, training = parse_config([PretrainArguments, SFTConfig], description=__doc__)
    set_seed(training.seed)
    use_all_cores(training)
    tokenizer = build_tokenizer(arguments.context_length)
    curriculum = build_curriculum(
        tokenizer,
        arguments.task_mix(),
        batch_size=training.per_device_train_batch_size,
        grid_loss=arguments.grid_loss,
        num_proc=training.dataset_num_proc or os.cpu_count() or 1,
    )
    model = build_tiny(
        tokenizer,
        hidden_size=arguments.hidden_size,
        num_layers=arguments.num_layers,
        max_length=arguments.context_length,
    )
    if arguments.init_from:
        start = CodeLLM.load(arguments.init_from)
        grow(start.model, model, start.tokenizer, tokenizer)
    trainer = SFTTrainer(model=model, args=training, train_dataset=curriculum.dataset, processing_class=tokenizer)
    trainer.train(resume_from_checkpoint=training.resume_from_checkpoint)

    model.config.use_cache = True  # switched off for training; a saved policy is for sampling
    output = Path(training.output_dir)
    trainer.save_model(str(output))
    save_config(output / "config.yaml", arguments, training)
    if trainer.is_world_process_zero():
        write_card(output, curriculum, trainer.state.log_history, parameters=model.num_parameters())


if __name__ == "__main__":
    run_recipe(main)
