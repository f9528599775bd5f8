"""The parts of scripts/check-deploy that are easier to write in Python. It only reads; if it finds a
mistake it exits with 1.

compose             checks the compose file and the Dockerfile against what is documented
skeleton-command    prints the Dockerfile's command that creates the skeleton of manifests
copy-context FOLDER copies the files that .dockerignore admits to the build
check-skeleton FOLDER  is every crate root there that a manifest names?
prometheus-config TARGET  prints deploy/prometheus/prometheus.yml with that one target, scraped every second
queries URL METRICS evaluates every query of the dashboards and alerts on that Prometheus; each metric must be in METRICS
"""

import json
import re
import shutil
import sys
import time
import tomllib
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

# Variables of the compose file that are not settings of the service.
COMPOSE_ONLY = {"AUTH_IMAGE", "POSTGRES_PASSWORD", "GRAFANA_ADMIN_PASSWORD", "AUTH_MOVE", "AUTH_PERCENT", "AUTH_AFFINITY", "LEGACY_UPSTREAMS", "AUTH_SCALE"}
# Variables of the service that the compose file need not pass on.
NOT_HANDED_ON = {"NODE_ENV", "RUST_LOG"}
SECRETS = {"JWT_ACCESS_SECRET", "JWT_REFRESH_SECRET", "POSTGRES_PASSWORD"}
SERVICES = {"auth-service", "postgres-auth", "redis-caddy", "caddy", "prometheus", "grafana"}
# Queries of the dashboard that return nothing if nothing is wrong.
SILENT = r"ALERTS|auth_devices_dropped_total|status=~\"5"
WATCH = {"prometheus", "grafana"}


def stop(text):
    sys.exit(f"deploy/check.py: {text}")


def expect(truth, text):
    if not truth:
        stop(text)


def known_variables():
    """The names in .env.example and in docs/configuration.md, which a test of the service compares with its own."""
    example = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", Path(".env.example").read_text(), re.M)
    documented = re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", Path("docs/configuration.md").read_text(), re.M)
    return set(example) | set(documented)


def check_compose():
    text = Path("docker-compose.yml").read_text()
    compose = yaml.safe_load(text)
    services = compose["services"]
    expect(set(services) == SERVICES, f"docker-compose.yml: services are {sorted(services)}, not {sorted(SERVICES)}")
    for name, service in services.items():
        expect("container_name" not in service, f"{name}: a fixed container_name does not scale")
        expect("healthcheck" in service, f"{name}: no healthcheck")
        expect((service.get("profiles") == ["watch"]) == (name in WATCH), f"{name}: wrong profiles")
        for volume in service.get("volumes", []):
            check_volume(name, volume, compose["volumes"])
    check_auth_service(services["auth-service"])
    check_ports(services)
    expect("pg_isready" in str(services["postgres-auth"]["healthcheck"]["test"]), "postgres-auth: no pg_isready")
    check_addresses(compose)
    check_variables(text, services["auth-service"]["environment"])
    check_dockerfile()
    print("compose file and Dockerfile: as promised")


def check_volume(service, volume, named):
    source = volume.split(":")[0]
    if source.startswith("."):
        expect(Path(source).exists(), f"{service}: {source} is not there")
    else:
        expect(source in named, f"{service}: volume {source} is not declared")


def check_auth_service(service):
    expect(service["healthcheck"]["test"] == ["CMD", "auth-service", "health"], "auth-service: not its own healthcheck")
    expect(not service.get("ports"), "auth-service: a port on the host does not scale; the gateway has it")
    expect(str(service.get("scale")) == "${AUTH_SCALE:-1}", "auth-service: the number of nodes is not kept in .env")
    owned = [mount for mount in service.get("tmpfs", []) if "uid=" in mount]
    expect(not owned, f"auth-service: podman refuses an owner of a tmpfs: {owned}")
    expect("4001" in service["expose"], "auth-service: 4001 is not exposed")
    expect(service.get("read_only") is True, "auth-service: the file system should be read-only")


def check_ports(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    hosts = [port.rsplit(":", 1)[0].rsplit(":", 1)[-1] for port in published]
    expect(len(hosts) == len(set(hosts)), f"a port of the host is published twice: {published}")
    wanted = {"postgres-auth": "5433:5432", "caddy": "8080:8080", "prometheus": "9090:9090", "grafana": "3300:3000"}
    for name, port in wanted.items():
        expect(any(p.endswith(port) for p in services[name]["ports"]), f"{name}: {port} is not published")
    expect(any(p.endswith("4001:4001") for p in services["caddy"]["ports"]), "caddy: 4001 is not published")
    volumes = services["postgres-auth"]["volumes"]
    expect("postgres-auth-data:/var/lib/postgresql/data" in volumes, "postgres-auth: postgres-auth-data is not used")


def check_addresses(compose):
    gateway = compose["services"]["caddy"]["networks"]["auth"]["ipv4_address"]
    trusted = compose["services"]["auth-service"]["environment"]["TRUSTED_PROXIES"]
    expect(trusted == gateway, f"TRUSTED_PROXIES is {trusted}, but the gateway has {gateway}")


def check_variables(text, environment):
    known = known_variables()
    # A setting may have a variable per role, and one for a file; a test of the service compares the
    # list with its declarations.
    bare = {name if name in known else re.sub(r"_(FILE|STARTER|PRO|ENTERPRISE|ADMIN)$", "", name) for name in environment}
    unknown = bare - known
    expect(not unknown, f"auth-service: unknown variables {sorted(unknown)}")
    missing = known - set(environment) - NOT_HANDED_ON
    expect(not missing, f"auth-service: variables that are not handed on: {sorted(missing)}")
    used = re.findall(r"\$\{([A-Z_]+)(:\?|:-|)", text)
    strange = {name for name, _ in used} - known - COMPOSE_ONLY
    expect(not strange, f"docker-compose.yml: unknown variables {sorted(strange)}")
    required = {name for name, how in used if how == ":?"}
    expect(required == SECRETS, f"required are {sorted(required)}, not {sorted(SECRETS)}")
    lax = {name for name, how in used if how != ":?"} & SECRETS
    expect(not lax, f"secrets with a default: {sorted(lax)}")


def dockerfile_lines():
    """The instructions, with continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", Path("Dockerfile").read_text(), flags=re.M)
    return re.sub(r"\\\n\s*", "", text).splitlines()


def check_dockerfile():
    lines = dockerfile_lines()
    variables = {name for line in lines if line.startswith("ENV ") for name in re.findall(r"([A-Z_]+)=", line)}
    unknown = variables - known_variables()
    expect(not unknown, f"Dockerfile: unknown variables {sorted(unknown)}")
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")):]
    for start in ("USER 10001", "EXPOSE 4001", "HEALTHCHECK ", "VOLUME /data"):
        expect(any(line.startswith(start) for line in final), f"Dockerfile: the final image has no {start}")
    health = next(line for line in final if line.startswith("HEALTHCHECK "))
    expect('["auth-service", "health"]' in health, "Dockerfile: HEALTHCHECK does not ask the program itself")
    toolchain = re.search(r"rust:(\d+\.\d+)", lines[0]).group(1)
    needed = tomllib.loads(Path("Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    old = tuple(map(int, toolchain.split("."))) < tuple(map(int, needed.split(".")))
    expect(not old, f"Dockerfile: Rust {needed} is needed")


def skeleton_command():
    lines = dockerfile_lines()
    start = next(i for i, line in enumerate(lines) if line.endswith(" AS skeleton"))
    return next(line for line in lines[start:] if line.startswith("RUN ")).removeprefix("RUN ")


def context():
    """What .dockerignore admits: it excludes everything, and then re-includes files."""
    lines = [line.strip() for line in Path(".dockerignore").read_text().splitlines()]
    expect(lines and "*" in lines, ".dockerignore: does not begin by leaving everything out")
    return [Path(line[1:]) for line in lines if line.startswith("!") and Path(line[1:]).exists()]


def copy_context(folder):
    for path in context():
        if path.is_dir():
            shutil.copytree(path, Path(folder) / path, ignore=shutil.ignore_patterns("target"))
        else:
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, Path(folder) / path)


def check_skeleton(folder):
    root = Path(folder)
    expect((root / "Cargo.lock").exists(), "skeleton: no Cargo.lock")
    manifest = tomllib.loads((root / "Cargo.toml").read_text())
    for member in [".", *manifest["workspace"]["members"]]:
        check_crate(root / member)
    sources = [path for path in root.rglob("*.rs") if path.stat().st_size > len("fn main() { }\n")]
    expect(not sources, f"skeleton: source is left over, {sources[:3]}")
    embedded = re.findall(r'#\[folder = "([^"]+)"\]', "".join(p.read_text() for p in Path("src").rglob("*.rs")))
    for path in embedded:
        expect(any(Path(path).is_relative_to(allowed) for allowed in context()), f".dockerignore: {path} is built into the program")
    print("skeleton: every crate root is there, and no source")


def check_crate(folder):
    manifest = tomllib.loads((folder / "Cargo.toml").read_text())
    named = [target.get("path") for kind in ("bin", "bench", "example", "test") for target in manifest.get(kind, [])]
    usual = [f"benches/{bench['name']}.rs" for bench in manifest.get("bench", []) if "path" not in bench]
    usual += [f"examples/{example['name']}.rs" for example in manifest.get("example", []) if "path" not in example]
    named.append(manifest.get("lib", {}).get("path", "src/lib.rs"))
    for path in filter(None, named + usual):
        expect((folder / path).exists(), f"skeleton: {folder.name}/{path} is named by the manifest and missing")


def prometheus_config(target):
    config = yaml.safe_load(Path("deploy/prometheus/prometheus.yml").read_text())
    config["global"]["scrape_interval"] = "1s"
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs")
        job["static_configs"] = [{"targets": [target]}]
    print(yaml.safe_dump(config))


def dashboard_queries():
    for path in sorted(Path("deploy/grafana/dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.name}: {panel['title']}", target["expr"]
        for annotation in dashboard["annotations"]["list"]:
            yield f"{path.name}: {annotation['name']}", annotation["expr"]


def alert_queries():
    for group in yaml.safe_load(Path("deploy/prometheus/alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alerts.yml: {rule['alert']}", rule["expr"]


def check_runbooks():
    text = Path("docs/operating.md").read_text()
    for group in yaml.safe_load(Path("deploy/prometheus/alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            name = rule["alert"]
            expect(f"### {name}\n" in text, f"docs/operating.md has no section {name}")
            expect(rule["annotations"]["runbook"].endswith(f"#{name.lower()}"), f"{name}: the runbook is another's")


def check_queries(prometheus, metrics):
    check_runbooks()
    text = Path(metrics).read_text()
    # Metrics with labels have no line before anything has happened: their names are taken from the
    # source.
    source = Path("src/telemetry/metrics.rs").read_text()
    names = set(re.findall(r"^# TYPE (\S+)", text, re.M)) | set(re.findall(r'= "(auth_\w+)",', source))
    queries = [*dashboard_queries(), *alert_queries()]
    deadline = time.monotonic() + 25
    for where, query in queries:
        for name in re.findall(r"\bauth_[a-z_]+", query):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            expect(name in names or base in names, f"{where}: there is no metric {name}")
        silent = where.startswith("alerts.yml") or re.search(SILENT, query)
        told = ask(prometheus, where, query) if silent else ask_until_told(prometheus, where, query, deadline)
        expect(told or silent, f"{where}: the query has no answer\n{query}")
    print(f"queries: all {len(queries)} of dashboards and alerts are good")


def ask_until_told(prometheus, where, query, deadline):
    """The first non-empty result; what the query is about may only just have begun to happen."""
    while not (told := ask(prometheus, where, query)) and time.monotonic() < deadline:
        time.sleep(0.25)
    return told


def ask(prometheus, where, query):
    for variable, value in {"$__rate_interval": "5s", "$instance": ".*"}.items():
        query = query.replace(variable, value)
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        stop(f"{where}: {json.load(error).get('error')}\n{query}")


def main(command, *arguments):
    commands = {
        "compose": check_compose,
        "skeleton-command": lambda: print(skeleton_command()),
        "copy-context": copy_context,
        "check-skeleton": check_skeleton,
        "prometheus-config": prometheus_config,
        "queries": check_queries,
    }
    commands[command](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
