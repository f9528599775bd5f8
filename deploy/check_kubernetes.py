"""Checks the manifests of deploy/kubernetes against the schemas of Kubernetes; an unknown member is an error.

    deploy/check_kubernetes.py [files]

Run by scripts/check-deploy, with kubernetes-validate installed, which contains the schemas.
"""

import sys
from pathlib import Path

import kubernetes_validate
import yaml

# The oldest and the newest release that the manifests are for.
VERSIONS = ("1.28", "1.37")


def resources(files):
    for file in files:
        for resource in yaml.safe_load_all(file.read_text()):
            if resource is not None:
                yield file, resource


def faults(files):
    for file, resource in resources(files):
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(resource, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{file}: {resource.get('kind')} against {version}: {error.message}"


def check_itself():
    """A misspelt member must be found: otherwise nothing is being checked."""
    misspelt = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": []}}
    try:
        kubernetes_validate.validate(misspelt, VERSIONS[0], strict=True)
    except kubernetes_validate.ValidationError:
        return
    sys.exit("deploy/check_kubernetes.py: a misspelt member is not found")


if __name__ == "__main__":
    check_itself()
    found = list(faults([Path(name) for name in sys.argv[1:]]))
    if found:
        sys.exit("\n".join(found))
