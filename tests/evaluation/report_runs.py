"""Run directories for tests of the report: real tasks, programs that a sandbox ran, a short history of training."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import yaml

from arcgym.data import TaskLoader
from arcgym.evaluation import PerformanceEvaluator
from arcgym.evaluation.baselines import from_programs
from arcgym.training.metrics import append_row

SET = "arc-agi-1/train"
FLIP, HALF, WRONG = "67a3c6ac", "a416b8f3", "3c9b0459"
FLIP_PROGRAM = "def transform(grid):\n    return grid[:, ::-1]  # a < b & c\n"
BEFORE = {
    WRONG: ["def transform(grid):\n    return grid[::-1, ::-1]\n"],
    FLIP: ["def transform(grid):\n    return grid\n"],
}
# Won: FLIP; lost: WRONG; neither: HALF, whose answer has the wrong size
AFTER = {
    FLIP: [FLIP_PROGRAM, "def transform(grid):\n    return grid\n"],
    WRONG: ["def transform(grid):\n    return grid[::-1]\n"],
    HALF: ["def transform(grid):\n    return grid\n"],
}  # fmt: skip


def real_tasks(*names):
    known = {task.task_id: task for task in TaskLoader().load("arc-agi-1", "train")}
    return [known[name] for name in names]


def evaluate(programs, sandbox, tasks, name=SET):
    return PerformanceEvaluator(from_programs(programs, sandbox)).evaluate(tasks, name)


def write_run(folder, before, after, seed=0):
    """A whole run: three logged rollouts, one of which the next file repeats, and a warning of collapse."""
    folder.mkdir(parents=True)
    settings = {"seed": seed, "generation_batch_size": 4, "num_generations": 2, "output_dir": str(folder)}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "env.json").write_text(json.dumps({"python": "3.11", "libraries": {"torch": "2.13"}}))
    summary = {"seconds": 65.0, "programs": 12, "programs_per_second": 12 / 65, "reward_first": 0.1}
    (folder / "summary.json").write_text(json.dumps(summary))
    for number, reward in enumerate((0.125, 0.25, 0.75), 1):
        row = {"step": number, "time": 0.0, "reward": reward, "reward_std": 0.5, "entropy": 1 / number}
        row |= {"completions/mean_length": 9.0, "completions/min_length": 3.0, "completions/max_length": 20.0}
        row |= {"rewards/correctness": reward, "rewards/shape": 0.0, "programs/valid_frac": 0.5}
        append_row(folder / "metrics.jsonl", row | {"curriculum/level": number - 1, "curriculum/success_rate": 0.3})
    (folder / "completions").mkdir()
    solved = {1: [False] * 4, 2: [True, False, False, False], 3: [True, False, False, False]}
    for step, outcomes in solved.items():
        rows = {
            "step": [step] * 4,
            "task_id": ["one", "one", "two", "two"],
            "is_solved": outcomes,
            "program_status": ["ok"] * 4,
            "completion": ["p", "q", "r", "s"],
        }
        pd.DataFrame(rows).to_parquet(folder / "completions" / f"completions_{step:05}.parquet")
    event = {"step": 2, "time": 0.0, "action": "warning", "signals": ["reward"], "values": {"reward": -0.4}}
    event |= {"limits": {"reward": 0.1}, "since": 1, "checkpoint": None}
    (folder / "collapse.jsonl").write_text(json.dumps(event) + "\n")
    before.save(folder / "eval" / "before-set.json")
    after.save(folder / "eval" / "after-set.json")
    return folder


def wide_report(report, tasks, program):
    """The report with a record per task, each answering every test with its input, and with a program of its own."""
    first = report.records[0]
    records = tuple(
        replace(
            first,
            task_id=task.task_id,
            is_solved=False,
            attempts=tuple((False, False) for _ in task.test),
            predictions=tuple(
                (tuple(map(tuple, pair.input.tolist())), tuple(map(tuple, pair.input.T.tolist())))
                for pair in task.test
            ),
            oracle=(False,) * len(task.test),
            best_program=program.replace("NUMBER", str(number)),
            solving_program="",
            num_train_fit=0,
            num_test_correct=number % 3,
            num_samples=4,
            band=number % 4,
        )
        for number, task in enumerate(tasks)
    )
    return replace(report, records=records)


class Page(HTMLParser):
    """What a browser would make of a page, as far as tests ask: elements, and the text of some."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.texts = []
        self._open = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.texts.append("")
        if tag not in ("meta", "link", "input", "rect", "path", "use"):
            self._open.append(len(self.texts) - 1)

    def handle_endtag(self, tag):
        if tag in [self.elements[i][0] for i in self._open]:
            while self.elements[self._open.pop()][0] != tag:
                pass

    def handle_data(self, data):
        for i in self._open:
            self.texts[i] += data

    def find(self, tag, **wanted):
        wanted = {name.rstrip("_"): value for name, value in wanted.items()}
        return [
            text
            for (found, attributes), text in zip(self.elements, self.texts, strict=True)
            if found == tag and wanted.items() <= attributes.items()
        ]
