"""New tokens per second and memory of a rollout: arcgym's shared prompts against transformers, in one run.

    python benchmarks/rollout.py            # a table with ratios
    python benchmarks/rollout.py --json     # one row per line: case, subject, value, unit

A rollout is 32 completions on one CPU thread, G of each prompt, sampled with the settings that TRL makes. The policy
is an untrained Llama, 4 layers of width 256, 3.2 million parameters (`arcgym-tiny` has 4 of width 160). Every subject
gets the G copies of a prompt that TRL passes, in a process of its own, started afresh:

- `generate`: `model.generate`, as TRL's trainers call it;
- `continuous_batching`: `model.generate_batch`, as they call it with `use_transformers_continuous_batching`;
- `arcgym`: `why_not`, then `sample_tokens`.

Cases: in `P512-C48-G8` prompts have 512 tokens, completions 48, groups 8 (an end token that no row ever samples); in
`…-varied` prompts have 256 to 512 tokens, and each token ends its completion with probability 1/24. `per_s` counts new
tokens per second of wall-clock time, which depends on what else runs; `cpu_ms` is CPU time per new token, which does
so less; `MiB` is the most memory that the rollout took beyond what the process held before (Linux only). Each figure
is the median of the rounds.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}.items():
    os.environ.setdefault(_name, _value)

ROWS = 32
SUBJECTS = ("generate", "continuous_batching", "arcgym")


class Case(NamedTuple):
    """Lengths in tokens, and how many completions of each prompt."""

    prompt: int
    completion: int
    group: int
    is_varied: bool = False

    @property
    def name(self) -> str:
        """What the rows call it."""
        return f"P{self.prompt}-C{self.completion}-G{self.group}{'-varied' if self.is_varied else ''}"


CASES = (Case(512, 48, 8), Case(1024, 48, 16), Case(512, 48, 1), Case(512, 96, 8, is_varied=True))


class Measured(NamedTuple):
    """What one rollout took."""

    per_s: float
    cpu_ms: float
    peak_mib: float


def memory_mib(field: str) -> float:
    """A field of this process's status in MiB, or NaN where there is none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    return float("nan")


def measure_here(subject: str, case: Case, seed: int) -> Measured:
    """Make the rollout in this process."""
    import torch
    from transformers import ContinuousBatchingConfig, GenerationConfig

    from arcgym.models import TINY_NAME, build_tiny, load_tokenizer
    from arcgym.models.decoding import sample_tokens, why_not

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = load_tokenizer(TINY_NAME)
    model = build_tiny(tokenizer, hidden_size=256, num_layers=4, max_length=2048)
    vocabulary, number = len(tokenizer), ROWS // case.group
    lengths = [case.prompt - (case.prompt // 2 * i // number if case.is_varied else 0) for i in range(number)]
    distinct = [torch.randint(vocabulary // 2, vocabulary, (length,)).tolist() for length in lengths]
    prompts = [prompt for prompt in distinct for _ in range(case.group)]
    ends = list(range(10, 10 + vocabulary // 24)) if case.is_varied else [vocabulary]

    def settings(max_new_tokens: int) -> GenerationConfig:
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=ends,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            min_p=None,
            repetition_penalty=1.0,
            cache_implementation=None,
            disable_compile=True,
        )

    def generate(prompts: list[list[int]], config: GenerationConfig) -> list[list[int]]:
        width = max(map(len, prompts))
        ids = torch.tensor([[config.pad_token_id] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        rows = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)[:, width:].tolist()
        cuts = [next((i + 1 for i, token in enumerate(row) if token in ends), len(row)) for row in rows]
        return [row[:cut] for row, cut in zip(rows, cuts, strict=True)]

    def continuous_batching(prompts: list[list[int]], config: GenerationConfig) -> list[list[int]]:
        # TRL leaves it half of all memory, which it fills; here it gets what all rows need
        page = 256
        pages = ROWS * -(-(case.prompt + case.completion) // page)
        batching = ContinuousBatchingConfig(page_size=page, num_blocks=pages + 1)
        outputs = model.generate_batch(
            prompts, generation_config=config, continuous_batching_config=batching, progress_bar=False
        )
        return [output.generated_tokens for output in outputs.values()]

    def arcgym(prompts: list[list[int]], config: GenerationConfig) -> list[list[int]]:
        if reason := why_not(model, config):
            raise RuntimeError(reason)
        return sample_tokens(model, prompts, config)

    roll_out = {"generate": generate, "continuous_batching": continuous_batching, "arcgym": arcgym}[subject]
    with torch.no_grad():
        roll_out([prompt[:8] for prompt in prompts], settings(2))
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # forget the highest memory use so far
        held, cpu, started = memory_mib("VmRSS"), time.process_time(), time.perf_counter()
        completions = roll_out(prompts, settings(case.completion))
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    new_tokens = sum(map(len, completions))
    if len(completions) != ROWS or (not case.is_varied and new_tokens != ROWS * case.completion):
        raise RuntimeError(f"{subject} gave {len(completions)} completions of {new_tokens} tokens in all")
    return Measured(new_tokens / wall, 1000 * cpu / new_tokens, memory_mib("VmHWM") - held)


def measure_apart(subject: str, case: Case, seed: int) -> Measured:
    """Start a process for a rollout; what it measured."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve())]
    command += ["--caller", subject, str(CASES.index(case)), str(seed)]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(*json.loads(ran.stdout.splitlines()[-1]))


def measure_all(rounds: int, subjects: list[str], cases: list[Case]) -> list[dict[str, object]]:
    """Measure every subject in every round, in turn, so that all meet the same disturbances."""
    figures: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for number in range(rounds):
        for case in cases:
            for subject in subjects:
                print(f"round {number + 1} of {rounds}: {subject}, {case.name}", file=sys.stderr)
                measured = measure_apart(subject, case, seed=number)
                figures[case.name, subject, "per_s"].append(measured.per_s)
                figures[case.name, subject, "cpu_ms"].append(measured.cpu_ms)
                if measured.peak_mib == measured.peak_mib:
                    figures[case.name, subject, "MiB"].append(measured.peak_mib)
    return [
        {"case": case, "subject": subject, "value": round(statistics.median(values), 3), "unit": unit}
        for (case, subject, unit), values in figures.items()
    ]


def print_table(rows: list[dict[str, object]]) -> None:
    """Print the figures with arcgym's ratio to each; above 1 it is the better one, whatever the unit."""
    values = {(row["case"], row["subject"], row["unit"]): float(str(row["value"])) for row in rows}
    print(f"{'case':20} {'subject':20} {'value':>10} {'unit':8} arcgym's advantage")
    for (case, subject, unit), value in sorted(values.items(), key=lambda item: (item[0][0], item[0][2])):
        ours = values.get((case, "arcgym", unit), float("nan"))
        print(
            f"{case:20} {subject:20} {value:>10.2f} {unit:8} {ours / value if unit == 'per_s' else value / ours:.2f}"
        )


def main() -> None:
    """Measure all subjects and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    names = [case.name for case in CASES]
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=SUBJECTS, help="who is measured")
    parser.add_argument("--cases", nargs="+", choices=names, default=names, help="what is measured")
    parser.add_argument("--caller", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.caller:
        subject, case, seed = arguments.caller
        print(json.dumps(measure_here(subject, CASES[int(case)], int(seed))))
        return
    rows = measure_all(arguments.rounds, arguments.subjects, [case for case in CASES if case.name in arguments.cases])
    if arguments.json:
        for row in rows:
            print(json.dumps(row))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
