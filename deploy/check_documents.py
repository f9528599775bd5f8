"""Do the documents say what holds? Called by scripts/check-deploy, with a built auth-service.

check_documents.py PROGRAM

Types the first half of docs/getting-started.md and the steps of docs/importing.md, and reads every command
and every recipe for a proxy for what is easily left out. If something does not hold it exits with 1.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

COMPOSE = yaml.safe_load(Path("docker-compose.yml").read_text())
# Variables of the gateway that a migration changes from step to step.
MOVE = ("AUTH_MOVE", "AUTH_PERCENT", "LEGACY_UPSTREAMS")
# What the gateway has after each "up" of docs/importing.md.
STEPS = [("split", "5", "app:3000"), ("split", "10", "app:3000"), ("legacy-fallback", "10", "app:3000"), ("all-here", "10", "app:3000")]
# What differs from run to run.
CHANGING = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "UUID",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z": "TIME",
    r'(?<="latencyMs":)[\d.]+': "MILLISECONDS",
    r"(localhost|0\.0\.0\.0|127\.0\.0\.1):\d+": "ADDRESS",
}
PATIENCE = 20


def expect(truth, text):
    if not truth:
        sys.exit(f"deploy/check_documents.py: {text}")


def files(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.splitlines()]


def blocks(text):
    """The language and the text of each block of code."""
    return re.findall(r"^ *```(\w+)\n(.*?)^ *```", text, re.M | re.S)


def section(path, *titles):
    """The sections of these titles, one after another."""
    text = Path(path).read_text()
    found = [re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S) for title in titles]
    expect(all(found), f"{path}: the sections are not {titles}")
    return "".join(match.group(1) for match in found)


def commands(path):
    """What a reader could type: the lines of blocks, code within sentences, and lines of comments."""
    text = path.read_text()
    if path.suffix != ".md":
        return [line.strip() for line in re.sub(r"\\\n", "", text).splitlines()]
    inline = re.findall(r"`([^`]+)`", re.sub(r"^ *```\w*\n.*?^ *```", "", text, flags=re.M | re.S))
    lines = [line for _, code in blocks(text) for line in re.sub(r"\\\n", "", code).splitlines()]
    return [" ".join(code.split()) for code in [*inline, *lines]]


def check_up():
    """An "up" of one service also starts anew what it depends on; "--scale" lasts until the next "up"."""
    seen = 0
    for path in files("*.md", "*.yml", "*.caddy", "*Caddyfile*"):
        for command in commands(path):
            if not (found := re.search(r"docker compose .*?\bup\b(.*)", command)) or path.name == "CHANGELOG.md":
                continue
            words = found.group(1).split()
            seen += 1
            expect("--scale" not in found.group(1), f"{path}: the next \"up\" undoes {command}")
            alone = COMPOSE["services"].keys() & set(words)
            expect(not alone or "--no-deps" in words, f"{path}: without --no-deps: {command}")
    expect(seen >= 8, f"only {seen} commands of compose are found")


def check_recipes():
    """By default nginx speaks HTTP/1.0 to nodes, and HAProxy's check is OPTIONS /."""
    recipes = [(path, path.read_text()) for path in files("*.conf", "*.cfg")]
    recipes += [(path, code) for path in files("*.md") for _, code in blocks(path.read_text())]
    seen = 0
    for path, text in recipes:
        text = re.sub(r"^\s*#.*\n", "", text, flags=re.M)
        for block in re.findall(r"\{([^{}]*)\}", text):
            if re.search(r"\bproxy_pass\s", block):
                seen += 1
                expect("proxy_http_version 1.1;" in block, f"{path}: without proxy_http_version 1.1:{block}")
        expect(not re.search(r"option httpchk(?! GET /)", text), f"{path}: httpchk without a path")
    expect(seen >= 4, f"only {seen} proxied locations are found")
    operating = " ".join(Path("docs/operating.md").read_text().split())
    for hint in ("`proxy_http_version 1.1`", "`option httpchk GET /health/ready`"):
        expect(hint in operating, f"docs/operating.md does not say {hint}")


def check_podman():
    wants = any("host-gateway" in host for host in COMPOSE["services"]["caddy"]["extra_hosts"])
    told = re.search(r"podman before \S+ remove `extra_hosts`", Path("docs/operating.md").read_text())
    expect(not wants or told, "docs/operating.md does not say what podman refuses")


def check_move():
    """Types the steps of a migration, and reads what each leaves in .env: any later "up" uses that."""
    text = section("docs/importing.md", "4. Some people", "5. Everybody", "6. The end")
    typed = [code for language, code in blocks(text) if language == "sh" and "docker compose up" in code]
    expect(len(typed) == 3, f"docs/importing.md: {len(typed)} steps with an \"up\", not 3")
    change = re.search(r"`(sed -i 's/\^AUTH_PERCENT[^`]*)`", text)
    expect(change, "docs/importing.md does not say how to change AUTH_PERCENT")
    up = next(line for line in typed[0].splitlines() if line.startswith("docker compose up"))
    typed.insert(1, f"{change.group(1)}\n{up}\n")
    with tempfile.TemporaryDirectory() as folder:
        seen_by_compose = f"{{ cat .env; echo ---$*,{','.join(f'${name}' for name in MOVE)}; }} >>seen"
        for name, what in {"docker": seen_by_compose, "auth-service": ":"}.items():
            program = Path(folder, name)
            program.write_text(f"#!/bin/sh\n{what}\n")
            program.chmod(0o755)
        environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
        for code in typed:
            subprocess.run(["sh", "-euc", code], cwd=folder, env=environment, check=True)
        states = re.findall(r"(.*?)---(.*?),([^\n]*)\n", Path(folder, "seen").read_text(), re.S)
    expect(len(states) == len(STEPS), f"docs/importing.md: {len(states)} times \"up\", not {len(STEPS)}")
    for (state, command, shell), wanted in zip(states, STEPS):
        found = tuple(re.findall(rf"^{name}=(.*)", state, re.M)[-1:] for name in MOVE)
        expect(found == tuple([value] for value in wanted), f"docs/importing.md: .env has {found}, not {wanted}")
        expect(shell == ",,", f"docs/importing.md: variables of the shell, which the next \"up\" does not have: {shell}")
        expect(command == "compose up -d --no-deps caddy", f"docs/importing.md: {command}")
    handed_on = COMPOSE["services"]["caddy"]["environment"]
    lost = [name for name in MOVE if not str(handed_on.get(name)).startswith(f"${{{name}:-")]
    expect(not lost, f"docker-compose.yml does not hand on {lost} from .env")


def comparable(text):
    for changing, name in CHANGING.items():
        text = re.sub(changing, name, text)
    return [line.strip() for line in text.splitlines()]


class Typed:
    """A program whose output is kept in a file; the output is all that is waited for."""

    def __init__(self, folder, words, **environment):
        self.output = Path(folder, f"{Path(words[0]).name}.out")
        self.process = subprocess.Popen(
            words, cwd=folder, env={"PATH": os.environ["PATH"], "HOME": folder, **environment},
            stdin=subprocess.PIPE, stdout=self.output.open("wb"), stderr=subprocess.STDOUT, text=True,
        )

    def until(self, done):
        """What was printed, once `done` says so, or after a while."""
        limit = time.monotonic() + PATIENCE
        while not done(text := self.output.read_text()) and time.monotonic() < limit and self.process.poll() is None:
            time.sleep(0.02)
        return text

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


def check_getting_started(program):
    page = "docs/getting-started.md"
    text = section(page, "Start", "Sign up, log in, see the devices", "End a session, and see the other out")
    (first, start), (_, log), *rest = blocks(text)
    expect((first, start) == ("sh", "cargo run --release\n"), f"{page} does not begin with cargo run")
    with tempfile.TemporaryDirectory() as folder:
        service = Typed(folder, [program], PORT="0", HOST="127.0.0.1")
        try:
            printed = service.until(lambda text: "listening address" in text)
            for line in comparable(log):
                expect(any(known.endswith(line) for known in comparable(printed)), f"{page}: the log has no line: {line}\n{printed}")
            address = re.search(r"listening address=(\S+)", printed).group(1)
            type_blocks(page, folder, [(language, code.replace("localhost:4001", address)) for language, code in rest])
        finally:
            service.stop()


def type_blocks(page, folder, parts):
    """The lines shown are all the lines there are; two programs that print at once may do so in any order."""
    shell, shown = Typed(folder, ["bash", "--norc"]), []
    try:
        for language, code in parts:
            if language == "sh":
                shell.process.stdin.write(code)
                shell.process.stdin.flush()
                continue
            shown += comparable(code)
            printed = comparable(shell.until(lambda text: len(text.splitlines()) >= len(shown)))
            expect(sorted(printed) == sorted(shown), f"{page}: shown are\n{code}\nprinted, from the beginning, are\n" + "\n".join(printed))
    finally:
        shell.process.stdin.close()
        shell.process.wait(PATIENCE)


def check_configuration(program):
    page = "docs/getting-started.md"
    (_, typed), (_, shown), *_ = [part for part in blocks(section(page, "PostgreSQL and Redis")) if "_SECRET=" in part[1]]
    expect("config check" in typed, f"{page}: config check is not typed where the secrets are")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "target/release").mkdir(parents=True)
        Path(folder, "target/release/auth-service").symlink_to(program)
        environment = {"PATH": os.environ["PATH"]}
        told = subprocess.run(["bash", "-euc", typed], cwd=folder, env=environment, capture_output=True, text=True)
    expect(told.stdout == shown, f"{page}: config check prints\n{told.stdout}{told.stderr}and not\n{shown}")


def main(program):
    check_up()
    check_recipes()
    check_podman()
    check_move()
    check_configuration(program)
    check_getting_started(program)
    print("documents: commands and recipes as promised, getting-started and the steps of a migration as typed")


if __name__ == "__main__":
    main(os.path.realpath(sys.argv[1]))
