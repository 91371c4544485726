"""A real Prometheus with what is shipped for it, on a clock that is SPEED times as fast, and what its queries are made of."""

import json
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request

# Five minutes become ten seconds; a scrape comes each second, since a busy machine can't do better.
SPEED = 30
SHORTEST_MS = 1000
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def faster(text):
    """A configuration or rules whose durations are SPEED times as short, and ages that are compared with a number of seconds."""

    def scale(match):
        milliseconds = int(match[2]) * SECONDS[match[3]] * 1000 // SPEED
        return f"{match[1]}{max(milliseconds, SHORTEST_MS)}ms"

    text = re.sub(r"(_age_seconds\) > )(\d+)", lambda match: f"{match[1]}{int(match[2]) // SPEED}", text)
    return re.sub(r"(\[|\bfor: |_interval: |_timeout: |\binterval: )(\d+)([smhd])\b", scale, text)


def install(source, folder, targets):
    """Copies the shipped configuration, with other targets; `targets` are (component, address)."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("tests", "targets"))
    for path in folder.rglob("*.yaml"):
        path.write_text(faster(path.read_text()))
    (folder / "targets").mkdir()
    labels = {"namespace": "test", "app_kubernetes_io_instance": "main"}
    (folder / "targets/test.yaml").write_text(
        json.dumps(
            [
                {"targets": [address], "labels": {**labels, "app_kubernetes_io_component": component}}
                for component, address in targets
            ]
        )
    )


class Prometheus:
    """Its HTTP API."""

    def __init__(self, url):
        self.url = url
        self.labels_by_name = {}

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path} {parameters}: {error.read().decode()}") from error

    def alerts(self, name):
        """The states of the alerts of that name."""
        return {alert["state"] for alert in self.get("alerts")["alerts"] if alert["labels"]["alertname"] == name}

    def has_data(self, expression, started):
        """Whether a query gives any number at all since then."""
        found = self.get("query_range", query=expression, start=started, end=time.time(), step=2)["result"]
        return any(value not in ("NaN", "+Inf", "-Inf") for series in found for _, value in series["values"])

    def newest_trace(self, expression, started):
        """The trace of the newest exemplar of a query since then; None without one."""
        found = self.get("query_exemplars", query=expression, start=started, end=time.time())
        exemplars = [exemplar for series in found for exemplar in series["exemplars"]]
        return max(exemplars, key=lambda exemplar: exemplar["timestamp"])["labels"]["trace_id"] if exemplars else None

    def labels(self, name):
        """The labels of a metric; none when there is no such metric."""
        if not self.labels_by_name.get(name):
            series = self.get("series", **{"match[]": f'{{__name__="{name}"}}'})
            self.labels_by_name[name] = {label for one in series for label in one} - {"__name__"}
        return self.labels_by_name[name]

    def unknown(self, expression):
        """Metrics and labels that a query names and nobody has exposed."""
        problems = []
        self._labels_of(self.get("parse_query", query=expression), problems)
        return problems

    def _labels_of(self, node, problems):
        kind = node.get("type")
        if kind in ("vectorSelector", "matrixSelector"):
            return self._labels_of_selector(node, problems)
        below = set()
        for child in children(node):
            below |= self._labels_of(child, problems)
        wanted = set(node.get("grouping") or []) | set((node.get("matching") or {}).get("labels") or [])
        problems += [f"no metric here has the label {label}" for label in sorted(wanted - below) if below]
        return below

    def _labels_of_selector(self, node, problems):
        name = node["name"]
        # What an alert leaves behind has labels of its own, and need not be there.
        labels = {"alertname", "alertstate"} if name == "ALERTS" else self.labels(name)
        if not labels:
            problems.append(f"nobody exposes {name}")
            return set()
        named = {matcher["name"] for matcher in node["matchers"]} - {"__name__"}
        problems += [f"{name} has no label {label}" for label in sorted(named - labels)]
        return labels


def children(node):
    for value in node.values():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, dict) and "type" in child:
                yield child


def filled_in(expression):
    """A dashboard's query as Grafana sends it when everything is chosen."""
    for name, value in {"$__rate_interval": "20s", "$namespace": ".*", "$stack": ".*"}.items():
        expression = expression.replace(name, value)
    return expression
