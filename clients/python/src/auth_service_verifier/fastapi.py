"""FastAPI: ``identity: Annotated[Identity, Depends(require_session(verifier))]``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from .errors import AuthError
from .verifier import Identity, Verifier, refuse_wrong_checks


def require_session(verifier: Verifier, **options: Any) -> Callable[[Request], Awaitable[Identity]]:
    """A dependency that gives the caller's identity; ``options`` as for :meth:`Verifier.verify`.

    Raises :class:`ValueError` or :class:`TypeError` for wrong ones.
    """
    refuse_wrong_checks(**options)

    async def dependency(request: Request) -> Identity:
        return await verifier.verify_header(request.headers.get("authorization"), **options)

    return dependency


def install(app: FastAPI) -> None:
    """Answers each :class:`AuthError` with its status, headers and problem."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, AuthError)
        return JSONResponse(
            error.problem, error.status, headers=error.headers, media_type="application/problem+json"
        )

    app.add_exception_handler(AuthError, answer)
