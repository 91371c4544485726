"""charts/observability on a real API server, as Helm installs, upgrades and removes it: nothing of it runs there. Every object is
taken, the pods meet `restricted` pod security, and volumes and the password stay. Wants helm in the PATH and KUBECONFIG."""

import base64
import json
import os
import subprocess

from cluster import ROOT, Cluster

NAMESPACE, RELEASE = "monitoring", "observability"
CHART = ROOT / "charts/observability"
# Its own namespace refuses other pods, but a pod is made by a controller, and none runs here: what it would refuse is a warning.
LABELS = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


def main():
    cluster = Cluster(os.environ["KUBECONFIG"])
    namespace = {"metadata": {"name": NAMESPACE, "labels": LABELS}}
    cluster.create("/api/v1/namespaces", json.dumps(namespace).encode())

    helm("install", RELEASE, CHART)
    password = password_of(cluster)
    helm("upgrade", RELEASE, CHART, "--set", "loki.retention=720h")
    assert password_of(cluster) == password, "an upgrade made another password"
    helm("uninstall", RELEASE)
    assert password_of(cluster) == password, "the password went with the release"
    claims = cluster.get(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims")["items"]
    names = sorted(claim["metadata"]["name"] for claim in claims)
    assert names == [f"{RELEASE}-{part}" for part in ("grafana", "loki", "prometheus", "tempo")], names
    helm("install", RELEASE, CHART)
    assert password_of(cluster) == password, "a new release made another password"
    helm("uninstall", RELEASE)
    print("charts/observability: taken by the API server, without a warning")


def helm(*arguments):
    told = subprocess.run(["helm", "--namespace", NAMESPACE, *arguments], capture_output=True, text=True, check=False)
    # Warnings of the API server come there, as of a pod that pod security would refuse.
    if told.returncode or told.stderr:
        raise SystemExit(f"helm {arguments[0]}: not as it should be\n{told.stderr}")


def password_of(cluster):
    secret = cluster.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{RELEASE}-grafana")
    password = base64.b64decode(secret["data"]["password"]).decode()
    assert len(password) == 32, "it is no password"
    return password


if __name__ == "__main__":
    main()
