"""A service that accepts the auth service's access tokens, with FastAPI."""

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI

from auth_service_verifier import Identity, create_verifier
from auth_service_verifier.fastapi import install, require_session

AUTH_URL = os.environ.get("AUTH_URL", "http://localhost:4001")
SECRET = os.environ.get("JWT_ACCESS_SECRET")
# Session endings are followed over HTTP if there is an API key, otherwise over Redis.
API_KEY = os.environ.get("AUTH_API_KEY")
verifier = create_verifier(
    issuer=os.environ.get("JWT_ISSUER", "auth-service"),
    audience=os.environ.get("JWT_AUDIENCE") or None,
    secret=SECRET,
    jwks_url=None if SECRET else f"{AUTH_URL}/.well-known/jwks.json",
    redis_url=None if API_KEY else os.environ.get("REDIS_URL", "redis://localhost:6379"),
    api_key=API_KEY,
    revocations_url=os.environ.get("REVOCATIONS_URL") or None,
    service_url=AUTH_URL,
)


@asynccontextmanager
async def lifespan(_: FastAPI):
    async with verifier:
        yield


app = FastAPI(lifespan=lifespan)
install(app)
SignedIn = Annotated[Identity, Depends(require_session(verifier))]
# For what must not be done by a session that has just ended.
SignedInNow = Annotated[Identity, Depends(require_session(verifier, exact=True))]


def view(caller: Identity) -> dict[str, str | None]:
    return {"user": caller.user_id, "session": caller.session_id, "role": caller.role}


@app.get("/health")
async def health():
    return {"status": "ok", "eventsUpToDate": verifier.status.up_to_date}


@app.get("/orders")
async def orders(caller: SignedIn):
    return {"caller": view(caller), "orders": []}


@app.post("/payments", status_code=201)
async def payments(caller: SignedInNow):
    return {"caller": view(caller)}


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "5001"))))
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    asyncio.run(server.serve(sockets=[listener]))
