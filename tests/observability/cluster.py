"""A stack for the operator, on an API server without nodes: nothing of it ever runs, and all of it is reconciled and scaled."""

import json
import pathlib
import ssl
import urllib.request

ROOT = pathlib.Path(__file__).parent.parent.parent


class Cluster:
    def __init__(self, kubeconfig):
        self.kubeconfig = pathlib.Path(kubeconfig)
        pki = self.kubeconfig.parent
        self.tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self.tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        port = (pki.parent / "port").read_text().strip()
        self.url = f"https://127.0.0.1:{port}"

    def get(self, path):
        with urllib.request.urlopen(self.url + path, context=self.tls, timeout=20) as answer:
            return json.load(answer)

    def create(self, path, body, content_type="application/json"):
        request = urllib.request.Request(self.url + path, body, {"content-type": content_type}, method="POST")
        with urllib.request.urlopen(request, context=self.tls, timeout=20) as answer:
            return json.load(answer)

    def create_stack(self, nats):
        definition = (ROOT / "crds/imagesearchstacks.yaml").read_bytes()
        self.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition, "application/yaml")
        secret = {"metadata": {"name": "s3"}, "stringData": {"access-key-id": "test", "secret-access-key": "test"}}
        self.create("/api/v1/namespaces/default/secrets", json.dumps(secret).encode())
        external = {
            "queue": {"url": nats},
            "index": {"url": "http://127.0.0.1:19530"},
            "objectStore": {
                "bucket": "photos",
                "endpoint": "http://127.0.0.1:9000",
                "credentialsSecretRef": {"name": "s3"},
            },
        }
        stack = {
            "apiVersion": "imagesearch.dev/v1alpha1",
            "kind": "ImageSearchStack",
            "metadata": {"name": "photos"},
            "spec": {name: {"type": "External", "external": settings} for name, settings in external.items()},
        }
        path = "/apis/imagesearch.dev/v1alpha1/namespaces/default/imagesearchstacks"
        # The kind is served a moment after its definition is taken.
        return path, json.dumps(stack).encode()
