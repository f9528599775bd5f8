"""A service to measure: started on a free port, its CPU time and memory read, stopped again."""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"
PROGRAM = Path(os.environ.get("TARGET") or BUILT / "auth-service").resolve()
BARE = BUILT / "examples/bare"
TICKS = os.sysconf("SC_CLK_TCK")
# Chrome's on Linux: 105 characters, like most of them.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
SECRET = "bench-access-secret-0123456789abcdefghijkl"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server process that is stopped at the end of the block."""

    def __init__(self, command, port, environment, ready):
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.log = tempfile.TemporaryFile()
        began = time.monotonic()
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        self._wait(ready)
        self.start_seconds = time.monotonic() - began

    def _wait(self, ready):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(self.url + ready, timeout=1).close()
                return
            except OSError:
                time.sleep(0.001)
        self.log.seek(0)
        raise SystemExit(f"it does not start:\n{self.log.read().decode()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def cpu_seconds(self):
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def hashing_seconds(self):
        """How much of that the password threads have used."""
        stats = Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        of_passwords = (text.rsplit(")", 1)[1].split() for text in map(Path.read_text, stats) if "(password-" in text)
        return sum(int(fields[11]) + int(fields[12]) for fields in of_passwords) / TICKS

    def resident_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


class Bare(Process):
    """The framework alone."""

    def __init__(self):
        port = free_port()
        super().__init__([BARE, f"127.0.0.1:{port}", str(os.cpu_count())], port, os.environ, "/session")


class Service(Process):
    """The service, with everything on: logs, metrics, request ids; only the rate limits, which would refuse, are off."""

    def __init__(self, folder=None, **settings):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="auth-service-bench."))
        self.keeps_folder = folder is not None
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "APP_ENV": "test",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "DATA_DIR": str(self.folder),
            "JWT_ACCESS_SECRET": SECRET,
            "JWT_REFRESH_SECRET": "bench-refresh-secret-0123456789abcdefghijk",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "info",
            "RATE_LIMIT_ENABLED": "false",
            **{name: str(value) for name, value in settings.items()},
        }
        super().__init__([PROGRAM], port, environment, "/health/ready")

    def __exit__(self, *problem):
        super().__exit__(*problem)
        if not self.keeps_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def post(self, path, body, token=None):
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def sign_up(self, name="bench"):
        account = {"name": name, "email": f"{name}@example.com", "password": "correct horse battery"}
        return self.post("/signup", {**account, "refreshTokenDelivery": "body"})

    def metric(self, name):
        """The sum over all series of that name."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def key_file(folder, algorithm):
    """A new private key."""
    path = Path(folder) / f"{algorithm}.pem"
    command = [PROGRAM, "keys", "generate", "--algorithm", algorithm, "--out", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


def encode(part):
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def token_maker(example):
    """A function that signs tokens for other users, like that one of the service."""
    header, claims, _ = example.encode().split(b".")
    claims = json.loads(base64.urlsafe_b64decode(claims + b"=="))

    def make(user, session, stk):
        body = json.dumps({**claims, "sub": str(user), "sid": str(session), "stk": str(stk)}, separators=(",", ":"))
        signed = header + b"." + encode(body.encode())
        return (signed + b"." + encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest())).decode()

    return make
