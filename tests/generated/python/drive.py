"""Sign-up, login, list, terminate and a refusal, through the client of openapi-python-client."""

import os

from auth_service_client import AuthenticatedClient, Client
from auth_service_client.api.account import login, signup
from auth_service_client.api.sessions import get_session, list_sessions, terminate_session
from auth_service_client.models import LoginRequest, SignupRequest

URL = os.environ["AUTH_URL"]
anyone = Client(URL)
email, password = "python@example.com", "a long quiet evening"
laptop = signup.sync(client=anyone, body=SignupRequest(name="Python", email=email, password=password))
# Another device: cookies of the first would have it replaced.
phone = login.sync(client=Client(URL), body=LoginRequest(email=email, password=password, device_name="Phone"))


def signed_in(answer):
    return AuthenticatedClient(URL, token=answer.access_token)


found = list_sessions.sync(client=signed_in(phone))
assert len(found.sessions) == 2, found
ended = terminate_session.sync_detailed(str(laptop.session.id), client=signed_in(phone))
assert ended.status_code == 204, ended
refused = get_session.sync(client=signed_in(laptop))
assert refused.code == "session_terminated", refused
print("ok")
