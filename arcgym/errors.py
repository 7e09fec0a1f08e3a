"""The exception tree: everything arcgym raises on purpose.

    ArcGymError
    ├── ConfigError      a setting is missing, unknown, of the wrong type or in conflict with another
    ├── TaskError        a task, a grid or a file of tasks is not what ARC tasks look like
    ├── ProgramError     a program was handed to where only those belong that compile
    ├── SandboxError     the sandbox cannot start or cannot keep its promises on this machine
    ├── GenerationError  the policy cannot be loaded or cannot generate
    ├── CheckpointError  a checkpoint is torn, foreign or incomplete
    └── DatabaseError    the solution database cannot be opened, read or written

A program written by a policy that fails is never an exception: it is an `ExecutionResult`. Messages say what was
found, what is allowed and what to do; recipes print them without a traceback.
"""


class ArcGymError(Exception):
    """Base class of all errors that a user of arcgym can fix."""


class ConfigError(ArcGymError):
    """A setting is missing, unknown, of the wrong type, or contradicts another."""


class TaskError(ArcGymError):
    """A task, a grid or a task file is malformed, or does not fit where it is wanted."""


class ProgramError(ArcGymError):
    """A program does not compile, and so has no normal form and no identity."""


class SandboxError(ArcGymError):
    """The sandbox cannot start, or cannot give the guarantees that were asked for."""


class GenerationError(ArcGymError):
    """A policy cannot be loaded, or cannot generate programs."""


class CheckpointError(ArcGymError):
    """A checkpoint is torn, incomplete or belongs to another run."""


class DatabaseError(ArcGymError):
    """The solution database cannot be opened, read or written."""
