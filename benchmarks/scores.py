"""Tasks solved by a policy against the number of programs sampled per task, beside two floors of the same grammar.

    python benchmarks/scores.py --policy arcgym-tiny --folder runs/scores            # a table
    python benchmarks/scores.py --policy arcgym-tiny --folder runs/scores --json     # case, subject, value, unit

The largest of `--programs` is sampled once per task; a smaller budget is the first so many of them. Each distinct
program runs once in the sandbox on all inputs, and two attempts per test input are voted as by `Solver`. `random` and
`enumeration` try as many programs of the synthetic families' grammar, uniformly or shallow ones first, and answer with
the first two different fits. A task whose prompt is too long for the policy is unsolved. Every task's record is
appended to a file in `--folder`, so that an interrupted measurement goes on where it was, and figures are those of the
records alone; `--results` adds them to a JSON file that other tools read. `--against NAME` compares with another
policy's records in the folder, task by task: tasks that only one of them solves, and McNemar's exact test.
"""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402  # after the number of threads is set

from arcgym.data import Task, TaskFormatter, TaskLoader  # noqa: E402
from arcgym.data.synthetic.enumeration import enumerate_fits, random_fits  # noqa: E402
from arcgym.errors import TaskError  # noqa: E402
from arcgym.evaluation.scoring import official_scores, pass_at_k, wilson_interval  # noqa: E402
from arcgym.evaluation.statistics import mcnemar_p, paired_difference  # noqa: E402
from arcgym.grids import Grid, grids_equal  # noqa: E402
from arcgym.inference.voting import NUM_ATTEMPTS, Candidate, choose_attempts  # noqa: E402
from arcgym.models import CodeLLM, SamplingConfig  # noqa: E402
from arcgym.models.sampling import sample_texts  # noqa: E402
from arcgym.programs import extract_program  # noqa: E402
from arcgym.rewards import run_programs  # noqa: E402
from arcgym.sandbox import CodeSandbox, Status  # noqa: E402

SETS = ("arc-agi-1/train", "arc-agi-1/evaluation", "arc-agi-2/evaluation", "synthetic/evaluation")
CHUNK = 8
NEW_TOKENS = 48
MAX_DEPTH = 2
Verdicts = list[list[bool]]  # per test input: whether each attempt is right


def measure(job: tuple[str, str, list[Task], list[int], int, int, float]) -> list[dict[str, Any]]:
    """Measure some tasks in this process.

    Args:
        job: Policy, name of the set, tasks, budgets, longest prompt in tokens, seed, temperature. The policies
            `random` and `enumeration` are the floors.

    Returns:
        One record per task.
    """
    policy, name, tasks, budgets, max_prompt, seed, temperature = job
    if policy in ("random", "enumeration"):
        return [floor_record(policy, name, task, budgets, seed) for task in tasks]
    llm = _loaded(policy)
    formatter = TaskFormatter(tokenizer=llm.tokenizer, budget=max_prompt)
    records, prompts = [], {}
    for task in tasks:
        try:
            prompts[task.task_id] = llm.tokenizer(formatter.format(task).prompt)["input_ids"]
        except TaskError:
            records.append(record(name, task, {n: [[False]] * len(task.test) for n in budgets}, reason="too long"))
    tried = [task for task in tasks if task.task_id in prompts]
    start = time.process_time()
    sampling = SamplingConfig(max(budgets), temperature, max_new_tokens=NEW_TOKENS, batch_size=256, seed=seed)
    texts = sample_texts(
        llm.model,
        llm.tokenizer,
        list(prompts.values()),
        [f"{task.task_id}-{task.content_hash}" for task in tried],
        sampling,
    )
    seconds = (time.process_time() - start) / max(1, len(tried))
    for task, completions in zip(tried, texts, strict=True):
        records.append(_judge(name, task, completions, budgets, len(prompts[task.task_id]), seconds))
    return records


_LLMS: dict[str, CodeLLM] = {}
_SANDBOX: list[CodeSandbox] = []


def _loaded(policy: str) -> CodeLLM:
    if policy not in _LLMS:
        _LLMS[policy] = CodeLLM.load(policy)
        _LLMS[policy].model.eval()
        _SANDBOX.append(CodeSandbox(workers=1).__enter__())
    return _LLMS[policy]


def _judge(
    name: str, task: Task, completions: list[str], budgets: list[int], prompt_tokens: int, seconds: float
) -> dict[str, Any]:
    programs = [extract_program(text) for text in completions]
    distinct = list(dict.fromkeys(program for program in programs if program is not None))
    inputs = [pair.input for pair in (*task.train, *task.test)]
    start = time.perf_counter()
    results = run_programs(_SANDBOX[0], distinct, [inputs] * len(distinct))
    sandbox_seconds = time.perf_counter() - start
    ran = dict(zip(distinct, results, strict=True))
    shown = len(task.train)
    fits, right = set(), set()
    for program, result in ran.items():
        if all(map(grids_equal, result.outputs[:shown], (pair.output for pair in task.train))):
            fits.add(program)
        if all(map(grids_equal, result.outputs[shown:], (pair.output for pair in task.test))):
            right.add(program)
    verdicts = {}
    for n in budgets:
        counts = Counter(program for program in programs[:n] if program is not None)
        candidates = [
            Candidate(
                program,
                count,
                ran[program].status,
                sum(map(grids_equal, ran[program].outputs[:shown], (pair.output for pair in task.train))),
                shown,
                ran[program].outputs[shown:],
            )
            for program, count in counts.items()
        ]
        verdicts[n] = attempts_right(choose_attempts(candidates, len(task.test)), task)
    return record(
        name,
        task,
        verdicts,
        prompt_tokens=prompt_tokens,
        samples=len(programs),
        valid=sum(program is not None and ran[program].status is Status.OK for program in programs),
        right=sum(program in right for program in programs),
        fits=sum(program in fits for program in programs),
        distinct={n: len({program for program in programs[:n] if program}) for n in budgets},
        seconds=round(seconds, 3),
        sandbox_seconds=round(sandbox_seconds, 3),
        program=next((program for program in distinct if program in fits and program in right), ""),
    )


def attempts_right(attempts: tuple[tuple[Grid, ...], ...], task: Task) -> Verdicts:
    """Compare attempts with the expected outputs."""
    return [
        [grids_equal(grid, pair.output) for grid in grids] or [False]
        for grids, pair in zip(attempts, task.test, strict=True)
    ]


def floor_record(policy: str, name: str, task: Task, budgets: list[int], seed: int) -> dict[str, Any]:
    """Measure one task with programs of the grammar."""
    start = time.process_time()
    if policy == "enumeration":
        fits = list(enumerate_fits(task, max_depth=MAX_DEPTH, max_executions=max(budgets)))
    else:
        rng = np.random.default_rng((seed, int(task.content_hash[:8], 16)))
        fits = list(random_fits(task, max(budgets), rng, max_depth=MAX_DEPTH))
    verdicts = {}
    for n in budgets:
        answers: dict[bytes, list[bool]] = {}
        for fit in (fit for fit in fits if fit.executions <= n):
            key = b"|".join(b"" if grid is None else bytes(grid.shape) + grid.tobytes() for grid in fit.outputs)
            answers.setdefault(
                key,
                [
                    grid is not None and grids_equal(grid, pair.output)
                    for grid, pair in zip(fit.outputs, task.test, strict=True)
                ],
            )
        chosen = list(answers.values())[:NUM_ATTEMPTS] or [[False] * len(task.test)]
        verdicts[n] = [list(column) for column in zip(*chosen, strict=True)]
    right = (fit for fit in fits if all(map(grids_equal, fit.outputs, (pair.output for pair in task.test))))
    program = next((fit.program for fit in right), "")
    return record(name, task, verdicts, samples=max(budgets), program=program, seconds=time.process_time() - start)


def record(name: str, task: Task, verdicts: dict[int, Verdicts], **facts: Any) -> dict[str, Any]:
    """One row of the file of records."""
    return {"set": name, "task_id": task.task_id, "hash": task.content_hash, "attempts": verdicts} | facts


def main() -> None:
    """Measure what is missing, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="arcgym-tiny", help="name, folder, `random` or `enumeration`")
    parser.add_argument("--name", help="what the policy is called in the results; by default as it is named")
    parser.add_argument("--sets", nargs="+", default=list(SETS), help="sets of tasks, NAME/SPLIT")
    parser.add_argument("--programs", nargs="+", type=int, default=[1, 8, 64, 256, 1024], help="budgets per task")
    parser.add_argument("--max-prompt", type=int, default=2048 - NEW_TOKENS, help="longest prompt, in tokens")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the sampling")
    parser.add_argument("--every", type=int, default=1, help="measure each n-th task only")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--folder", type=Path, required=True, help="where the records are")
    parser.add_argument("--results", type=Path, help="JSON file that the figures are added to")
    parser.add_argument("--against", metavar="NAME", help="policy to compare with, as it is called in the folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object per figure instead of the table")
    arguments = parser.parse_args()
    name = arguments.name or arguments.policy
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = _path(arguments.folder, name, arguments.seed)
    tasks = {full: TaskLoader().load(*full.rsplit("/", 1))[:: arguments.every] for full in arguments.sets}
    known = {(row["set"], row["task_id"]) for row in _read(path)}
    jobs = [
        (
            arguments.policy,
            full,
            chunk,
            sorted(arguments.programs),
            arguments.max_prompt,
            arguments.seed,
            arguments.temperature,
        )
        for full, loaded in tasks.items()
        for chunk in _chunks([task for task in loaded if (full, task.task_id) not in known])
    ]
    with ProcessPoolExecutor(arguments.workers) as pool, path.open("a") as file:
        for records in pool.map(measure, jobs):
            file.writelines(json.dumps(row) + "\n" for row in records)
            file.flush()
    wanted = {(full, task.task_id) for full, loaded in tasks.items() for task in loaded}
    records = [row for row in _read(path) if (row["set"], row["task_id"]) in wanted]
    rows = figures(records, sorted(arguments.programs), name)
    if arguments.against:
        others = _read(_path(arguments.folder, arguments.against, arguments.seed))
        rows += comparison(records, others, sorted(arguments.programs), f"{name} / {arguments.against}")
    if arguments.results:
        add_results(arguments.results, records, sorted(arguments.programs), name)
    for row in rows:
        if arguments.json:
            print(json.dumps(row))
        else:
            print(f"{row['case']:28} {row['subject']:24} {row['value']:>9} {row['unit']}")


def _path(folder: Path, name: str, seed: int) -> Path:
    return folder / f"{name.replace('/', '-')}-seed{seed}.jsonl"


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise SystemExit(f"{path}, line {number}: no JSON. Delete the line; it is measured anew.") from None
    return rows


def _chunks(tasks: list[Task]) -> Iterator[list[Task]]:
    for start in range(0, len(tasks), CHUNK):
        yield tasks[start : start + CHUNK]


def figures(records: list[dict[str, Any]], budgets: list[int], name: str) -> list[dict[str, Any]]:
    """Flatten what `aggregate` counts into one row per figure."""
    rows: list[dict[str, Any]] = []
    for full in dict.fromkeys(row["set"] for row in records):
        members = [row for row in records if row["set"] == full]
        cases = {f"{full} N={n}": aggregate(members, n) for n in budgets}
        cases[full] = {
            "too_long": sum(row.get("reason") == "too long" for row in members),
            "cpu_s_per_task": round(sum(row.get("seconds", 0) for row in members) / len(members), 3),
            "sandbox_s_per_task": round(sum(row.get("sandbox_seconds", 0) for row in members) / len(members), 3),
        }
        rows += [
            {"case": case, "subject": name, "value": value, "unit": unit}
            for case, values in cases.items()
            for unit, value in values.items()
        ]
    return rows


def aggregate(members: list[dict[str, Any]], n: int) -> dict[str, float]:
    """Count what `n` programs per task solve of one set.

    Returns:
        `solved` of `tasks`, with the bounds of a 95 % Wilson interval of the share; the scores of Kaggle and of the
        ARC Prize; `executions`, the distinct programs run per task; `pass_at_k`, unbiased, where a policy sampled.
    """
    correct = [[any(attempts) for attempts in row["attempts"][str(n)]] for row in members]
    scores, solved = official_scores(correct), sum(map(all, correct))
    interval = wilson_interval(solved, len(members))
    values: dict[str, float] = {
        "solved": solved,
        "tasks": len(members),
        "low": interval.low,
        "high": interval.high,
        "kaggle": scores.kaggle,
        "arc_prize": scores.arc_prize,
    }
    sampled = [row for row in members if "right" in row]
    if sampled:
        values["executions"] = float(np.mean([row["distinct"][str(n)] for row in sampled]))
        values["pass_at_k"] = sum(pass_at_k(row["samples"], row["right"], n) for row in sampled) / len(members)
    elif not any("reason" in row for row in members):
        values["executions"] = n
    return {unit: round(value, 4) for unit, value in values.items()}


def comparison(
    records: list[dict[str, Any]], others: list[dict[str, Any]], budgets: list[int], names: str
) -> list[dict[str, Any]]:
    """Compare two policies on the tasks that both were measured on; a gain is solved by the first one only."""
    known = {(row["set"], row["task_id"]): row for row in others}
    rows = []
    for full in dict.fromkeys(row["set"] for row in records):
        pairs = [
            (known[full, row["task_id"]], row)
            for row in records
            if row["set"] == full and (full, row["task_id"]) in known
        ]
        for n in budgets if pairs else []:
            before, after = (
                [all(map(any, row["attempts"][str(n)])) for row in members] for members in zip(*pairs, strict=True)
            )
            difference = paired_difference(before, after)
            values = {
                "paired_tasks": len(pairs),
                "gained": sum(map(int.__gt__, after, before)),
                "lost": sum(map(int.__gt__, before, after)),
                "difference": difference.value,
                "difference_low": difference.low,
                "difference_high": difference.high,
                "mcnemar_p": mcnemar_p(before, after),
            }
            rows += [
                {"case": f"{full} N={n}", "subject": names, "value": round(value, 4), "unit": unit}
                for unit, value in values.items()
            ]
    return rows


def add_results(path: Path, records: list[dict[str, Any]], budgets: list[int], name: str) -> None:
    """Add the counts to a file: `{policy: {budget: {set: {"solved": …, "tasks": …, …}}}}`."""
    results = json.loads(path.read_text()) if path.exists() else {}
    for n in budgets:
        for full in dict.fromkeys(row["set"] for row in records):
            members = [row for row in records if row["set"] == full]
            results.setdefault(name, {}).setdefault(str(n), {})[full] = aggregate(members, n)
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
