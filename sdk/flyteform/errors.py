"""The one error tree: what went wrong, whether trying again can help, and what the reader should do."""

from __future__ import annotations


class FlyteformError(Exception):
    """Root of every error that flyteform raises on purpose.

    `code` is a stable, machine-readable word; `remedy` is one sentence that tells the reader what to do;
    `retryable` says whether the same call may succeed later without any change.
    """

    code = "Error"
    retryable = False

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class InvalidInputError(FlyteformError):
    """What the caller gave is wrong: a value, a file, a flag or a setting."""

    code = "InvalidInput"


class DefinitionError(InvalidInputError):
    """A task, workflow or launch plan is declared wrongly; the message names the file and the line."""

    code = "InvalidDefinition"


class TypeMismatchError(InvalidInputError):
    """A value or a promise has another type than the place it goes to."""

    code = "TypeMismatch"


class NotFoundError(FlyteformError):
    """A named thing does not exist where it was looked for."""

    code = "NotFound"


class AlreadyExistsError(FlyteformError):
    """A thing with that name exists already."""

    code = "AlreadyExists"


class ConflictError(FlyteformError):
    """The world is not in the state that the call needs: held by somebody else, moved on, or terminal."""

    code = "Conflict"


class UnavailableError(FlyteformError):
    """A service or a store cannot be reached now."""

    code = "Unavailable"
    retryable = True


class ExecutionFailedError(FlyteformError):
    """A task or an execution ended in another phase than SUCCEEDED."""

    code = "ExecutionFailed"


class RecoverableError(FlyteformError):
    """Raised by the user's own task code to ask for another attempt, as far as the task's `retries` allow."""

    code = "Recoverable"
    retryable = True


class TaskFailedError(ExecutionFailedError):
    """The code of a task raised an exception, which is `failure`."""

    code = "TaskFailed"

    def __init__(self, task: str, failure: BaseException) -> None:
        text = str(failure)
        kind = type(failure).__name__
        super().__init__(f"task {task} failed: {kind}: {text}" if text else f"task {task} failed: {kind}")
        self.task = task
        self.failure = failure
