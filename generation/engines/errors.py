"""What an engine refuses, and why."""


class EngineError(Exception):
    """Base of everything an engine refuses."""


class ModelUnavailable(EngineError):
    """The model folder is missing, incomplete or unreadable."""


class EndpointBusy(EngineError):
    """The server behind an engine takes no more requests now; nothing is wrong with the job."""


class EndpointAway(EndpointBusy):
    """The server behind an engine can't be reached; nothing is wrong with the job."""


class UnsupportedModel(EngineError):
    """The folder holds a model whose denoising this engine cannot repeat exactly."""


class UnsupportedWork(EngineError):
    """The model cannot make a clip of this shape or with these settings."""


class StepBudgetSpent(EngineError):
    """All the steps that the work asked for have run; one more would not be what was quoted."""


class CheckpointMismatch(EngineError):
    """The checkpoint belongs to another model, scheduler, precision or shape."""


class ContextTooLong(EngineError):
    """The prompt leaves no room for an answer. `limit` and `asked` are tokens."""

    def __init__(self, limit: int, asked: int) -> None:
        super().__init__(
            f"The prompt has {asked} tokens; the model reads at most {limit} and needs one for its answer."
        )
        self.limit = limit
        self.asked = asked
