"""Runs programs that a policy wrote: fast enough to train against, and contained.

`CodeSandbox.run` takes a batch of programs with their inputs and returns one `ExecutionResult` each. Expected outputs
never enter this package: verdicts on correctness are the caller's.
"""

from arcgym.sandbox.layers import Layer, describe_layers
from arcgym.sandbox.pool import CodeSandbox
from arcgym.sandbox.results import ExecutionResult, Status

__all__ = ["CodeSandbox", "ExecutionResult", "Layer", "Status", "describe_layers"]
