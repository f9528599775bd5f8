"""Sign-up, login, list, terminate and a refusal, through the client of openapi-python-client; and what a later service may say."""

import json
import os
from pathlib import Path

from auth_service_client import AuthenticatedClient, Client
from auth_service_client.api.account import get_me, login, signup
from auth_service_client.api.sessions import get_session, list_sessions, terminate_session
from auth_service_client.models import DeviceMessage, LoginRequest, SignupRequest

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

# What a later service may say.
later = AuthenticatedClient(os.environ["FUTURE_URL"], token="any")
assert get_session.sync(client=later).code == "from_the_future"
assert get_me.sync(client=later).user.role == "GUARDIAN"
assert list_sessions.sync(client=later).sessions[0].device_info.device_type == "hologram"
message = DeviceMessage.from_dict(json.loads(Path(os.environ["FUTURE_MESSAGE"]).read_text()))
assert (message.type_, message.reason) == ("session.frozen", "cold"), message
print("ok")
