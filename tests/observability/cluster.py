"""A stack for the operator, on an API server without nodes: nothing of it ever runs, and all of it is reconciled and scaled."""

import json
import pathlib
import ssl
import urllib.request

STACKS = "/apis/imagesearch.dev/v1alpha1/namespaces/default/imagesearchstacks"
ADMISSION = "/apis/admissionregistration.k8s.io/v1/validatingadmission"
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
        return self._send("POST", path, body, content_type)

    def delete_stack(self):
        self._send("DELETE", f"{STACKS}/photos")

    def deny_services(self):
        """From now on, whoever writes a Service is refused."""
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]}
        spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "false", "message": "no Service is taken"}]}
        self.create(f"{ADMISSION}policies", json.dumps({"metadata": {"name": "deny"}, "spec": spec}).encode())
        binding = {"policyName": "deny", "validationActions": ["Deny"]}
        self.create(f"{ADMISSION}policybindings", json.dumps({"metadata": {"name": "deny"}, "spec": binding}).encode())

    def allow_services(self):
        """Takes `deny_services` back."""
        for kind in ("policybindings", "policies"):
            self._send("DELETE", f"{ADMISSION}{kind}/deny")

    def _send(self, method, path, body=None, content_type="application/json"):
        request = urllib.request.Request(self.url + path, body, {"content-type": content_type}, method=method)
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
        # The kind is served a moment after its definition is taken.
        return STACKS, json.dumps(stack).encode()
