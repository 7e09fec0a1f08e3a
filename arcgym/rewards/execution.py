"""Running programs of any origin: what need not be run is not, in training and in evaluation alike."""

from collections.abc import Sequence

from arcgym.grids import Grid
from arcgym.programs import check_syntax
from arcgym.sandbox import CodeSandbox, ExecutionResult, Status


def run_programs(
    sandbox: CodeSandbox, programs: Sequence[str], inputs: Sequence[Sequence[Grid]]
) -> list[ExecutionResult]:
    """Run programs as one sandbox batch, those that do not compile or define no `transform` excepted.

    These are `SYNTAX_ERROR` without costing a process, in training and in evaluation alike.

    Args:
        sandbox: Runs the others.
        programs: Sources.
        inputs: Per program the grids to run it on.

    Returns:
        One result per program, in order.
    """
    reports = [check_syntax(program) for program in programs]
    runnable = [index for index, report in enumerate(reports) if report.ok]
    ran = iter(sandbox.run([programs[index] for index in runnable], [inputs[index] for index in runnable]))
    return [
        next(ran)
        if report.ok
        else ExecutionResult(
            status=Status.SYNTAX_ERROR,
            outputs=(None,) * len(grids),
            error_type="SyntaxError",
            message=report.reason,
            line=report.line,
            line_text=_line(program, report.line),
        )
        for program, grids, report in zip(programs, inputs, reports, strict=True)
    ]


def _line(program: str, number: int | None) -> str:
    lines = program.splitlines()
    return lines[number - 1].strip() if number is not None and 0 < number <= len(lines) else ""
