"""Expected failures. Everything else is a bug and keeps its traceback.

Each error says three things: what happened, what is safe, what to do next. Texts are English
message ids with named placeholders; the web layer translates them.
"""

from __future__ import annotations

from studio.domain.i18n import gettext_noop as _


class StudioError(Exception):
    """An expected failure with an HTTP status, a stable code and a translatable message."""

    status = 400
    code = "error"
    message = _("Something went wrong.")
    hint = ""

    def __init__(self, message: str = "", *, hint: str = "", **params: object) -> None:
        self.message = message or self.message
        self.hint = hint or self.hint
        self.params = params
        super().__init__(str(self))

    def __str__(self) -> str:
        return self.message % self.params if self.params else self.message


class Invalid(StudioError):
    """Input that cannot be used. `field` names the input it came from."""

    status = 422
    code = "invalid"
    message = _("This can't be used as it is.")

    def __init__(self, message: str = "", *, field: str = "", hint: str = "", **params: object) -> None:
        self.field = field
        super().__init__(message, hint=hint, **params)


class Forbidden(StudioError):
    """Seen, but not allowed. The message is the reason."""

    status = 403
    code = "forbidden"
    message = _("Your role doesn't allow this.")


class Conflict(StudioError):
    """Another person or process was first; the page shows an older state."""

    status = 409
    code = "conflict"
    message = _("Someone else was faster. The page shows the state as it is now.")


class QuotaExceeded(StudioError):
    """The team's pictures for this month do not cover the request. Nothing was queued."""

    status = 409
    code = "quota_exceeded"
    message = _("This needs %(needed)d pictures, and the team has %(left)d left this month. Nothing was queued.")
    hint = _("Ask for fewer pictures, or ask an admin of the team to raise the limit.")

    def __init__(self, *, needed: int, left: int) -> None:
        self.needed, self.left = needed, left
        super().__init__(needed=needed, left=left)


class BudgetExceeded(StudioError):
    """The campaign's budget of pictures does not cover the request. Nothing was queued."""

    status = 409
    code = "budget_exceeded"
    message = _("This needs %(needed)d pictures, and the campaign's budget has %(left)d left. Nothing was queued.")
    hint = _("Ask for fewer pictures, or raise the budget in the campaign's overview.")

    def __init__(self, *, needed: int, left: int) -> None:
        self.needed, self.left = needed, left
        super().__init__(needed=needed, left=left)


class QueueFull(StudioError):
    """More waits already than one team or one person may have waiting. Nothing was queued."""

    status = 409
    code = "queue_full"
    hint = _("Nothing was queued. Wait until some are done, or cancel what is not needed.")


class RenderError(StudioError):
    """A render that failed for a known reason. Nothing is charged."""

    status = 500
    code = "render_failed"
    message = _("The render failed.")


class RenderCancelled(StudioError):
    """Raised inside a render to stop it: cancelled by a person, or the lease was lost."""

    code = "cancelled"
    message = _("The render was cancelled.")


class ModelUnusable(StudioError):
    """The model folder cannot be used. The message names the file."""

    status = 503
    code = "model_unusable"
    message = _("The model folder can't be used.")
