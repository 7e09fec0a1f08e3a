"""Fine-tune a code language model on ARC-AGI tasks by PPO; the reward is what its programs do in the sandbox.

    accelerate launch --quiet recipes/ppo.py --config recipes/configs/ppo_quickstart.yaml
    accelerate launch --quiet recipes/ppo.py --config recipes/configs/ppo_quickstart.yaml --model_name_or_path my/model

Every setting of the YAML file can be given on the command line; `--help` lists all of them. `--dry_run true` checks
everything, shows the batch arithmetic, one prompt, one program with its verdict, and takes one training step.
"""

import logging
import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# bitsandbytes, which trl imports, warns of optional kernels whether it is used or not
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from trl import ModelConfig, get_peft_config, get_quantization_config

from arcgym.evaluation import PerformanceEvaluator
from arcgym.inference import Solver
from arcgym.models import load_tokenizer, resolve_policy
from arcgym.rewards import RewardCalculator, RewardConfig
from arcgym.runs.arguments import EvaluationArguments, SandboxArguments, TaskArguments
from arcgym.runs.console import print_evaluation, print_sample, print_start, print_summary, use_console_progress
from arcgym.runs.directory import MetricsLog, RunDirectory, as_dry_run, programs_sampled, summarise
from arcgym.runs.parsing import parse_config, run_recipe
from arcgym.runs.threads import use_all_cores
from arcgym.sandbox import describe_layers
from arcgym.training import PPOConfig, PPOTrainer


def main() -> None:
    """Load, evaluate, train, evaluate again, save."""
    task_args, eval_args, sandbox_args, reward_config, model_args, training = parse_config(
        [TaskArguments, EvaluationArguments, SandboxArguments, RewardConfig, ModelConfig, PPOConfig],
        description=__doc__,
    )
    use_all_cores(training)
    directory = RunDirectory(training.output_dir)
    if task_args.dry_run:
        directory = as_dry_run(training)

    tokenizer = load_tokenizer(model_args.model_name_or_path)
    formatter = task_args.formatter(tokenizer)
    tasks = task_args.load(formatter)
    train_dataset = formatter.dataset(tasks.train).dataset

    with sandbox_args.open() as sandbox:
        training.model_init_kwargs = {
            **(training.model_init_kwargs or {}),
            "revision": model_args.model_revision,
            "dtype": model_args.dtype or "float32",
            "attn_implementation": model_args.attn_implementation,
        }
        trainer = PPOTrainer(
            model=resolve_policy(model_args.model_name_or_path),
            reward_funcs=RewardCalculator(sandbox, reward_config),
            args=training,
            train_dataset=train_dataset,
            processing_class=tokenizer,
            callbacks=[MetricsLog(directory)],
            quantization_config=get_quantization_config(model_args),
            peft_config=get_peft_config(model_args),
        )
        use_console_progress(trainer)
        solver = Solver(
            trainer.accelerator.unwrap_model(trainer.model),
            tokenizer,
            sandbox,
            formatter,
            num_samples=eval_args.eval_samples,
            temperature=eval_args.eval_temperature,
            max_new_tokens=training.max_completion_length,
            batch_size=eval_args.eval_batch_size,
            seed=eval_args.eval_seed,
        )
        is_main = trainer.is_world_process_zero()
        if is_main:
            directory.write_config(task_args, eval_args, sandbox_args, reward_config, model_args, training)
            directory.write_environment([layer.name for layer in describe_layers() if layer.active])
            print_start(tasks, training, trainer.model.num_parameters())
        if task_args.dry_run:
            print_sample(solver, tasks.train[0])
            trainer.train()
            return

        evaluator = PerformanceEvaluator(solver)
        before = evaluate(evaluator, tasks.evaluation, directory if is_main else None, "before")
        trainer.train(resume_from_checkpoint=training.resume_from_checkpoint)
        after = evaluate(evaluator, tasks.evaluation, directory if is_main else None, "after")

        trainer.save_model()
        if is_main:
            sampled = programs_sampled(training, trainer.state.global_step)
            summary = summarise(before, after, trainer.state.log_history, sampled, directory)
            directory.write_json("summary.json", summary)
            print_summary(summary)
        if training.push_to_hub:
            trainer.push_to_hub(dataset_name="arcgym")


def evaluate(evaluator, sets, directory, when):
    """Evaluate on every set; the main process keeps the reports in the run directory."""
    reports = {}
    for name, tasks in sets.items():
        print_evaluation(name, tasks, when)
        reports[name] = evaluator.evaluate(tasks, name)
    if directory is not None:
        for name, report in reports.items():
            report.save(directory.path / "eval" / f"{when}-{name.replace('/', '-')}.json")
    return reports


if __name__ == "__main__":
    run_recipe(main)
