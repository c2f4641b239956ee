"""Whether Kubernetes would take what is shipped for it, and whether mistakes would be found."""

import copy
import subprocess
import sys
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator

KUBERNETES = ["1.28", "1.37"]
"""The oldest that has the ordinal's label, and the newest that there are schemas of."""
FOLDER = Path(__file__).parent
CHART = FOLDER.parent / "helm" / "campaign-exporter"
OPERATORS = {"ServiceMonitor": operator.ServiceMonitor, "PrometheusRule": operator.PrometheusRule}
KINDS = {"Service", "ConfigMap", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget", *OPERATORS}
OPTIONAL = {"NetworkPolicy", "PodDisruptionBudget", *OPERATORS}


def validate(manifest):
    """Raises where a manifest is not what its schema says."""
    model = OPERATORS.get(manifest["kind"])
    if model is None:
        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)
        return
    # the model drops keys that it does not know
    kept = model.model_validate(manifest).model_dump(by_alias=True, exclude_none=True, mode="json")
    if kept != manifest:
        raise ValueError(f"{manifest['kind']}: some of its keys are unknown")


def check(name, manifests, kinds):
    """Validates all manifests, of which there is one a kind, and returns the StatefulSet."""
    found = sorted(manifest["kind"] for manifest in manifests)
    assert found == sorted(kinds), f"{name}: {found}"
    for manifest in manifests:
        validate(manifest)
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    stateful_set, service = by_kind["StatefulSet"], by_kind["Service"]
    labels = stateful_set["spec"]["template"]["metadata"]["labels"]
    for selector in [service["spec"]["selector"], stateful_set["spec"]["selector"]["matchLabels"]]:
        assert selector.items() <= labels.items(), f"{name}: {selector} selects no pod"
    assert stateful_set["spec"]["serviceName"] == service["metadata"]["name"], name
    if "ServiceMonitor" in by_kind:
        selector = by_kind["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
        assert selector.items() <= service["metadata"]["labels"].items(), f"{name}: no Service"
    print(f"{name}: {len(manifests)} manifests are valid")
    return stateful_set


def kustomized(name):
    """The manifests of a kustomization."""
    command = [sys.argv[1], "kustomize", FOLDER / name]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(output))


def rendered(values):
    """The manifests of the chart."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="sms", namespace="monitoring")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def shard(stateful_set):
    """The argument that tells the shard, and how many there are."""
    container = stateful_set["spec"]["template"]["spec"]["containers"][0]
    arguments = [it for it in container["args"] if it.startswith("--shard")]
    return arguments, stateful_set["spec"]["replicas"]


def refused(what, attempt):
    """Fails if an attempt does not."""
    try:
        attempt()
    except Exception:  # each library has its own
        return
    raise AssertionError(f"not found: {what}")


ALONE = ([], 1)
ONE_OF_THREE = (["--shard=auto/3"], 3)
base = kustomized("base")
assert shard(check("base", base, KINDS)) == ALONE
assert shard(check("sharded", kustomized("sharded"), KINDS)) == ONE_OF_THREE

report = helm.lint(CHART, strict=True)
problems = [it for it in report["messages"] if it["severity"] > 1]
assert not problems and not report["errors"], report
chart = rendered({})
assert shard(check("chart", chart, KINDS)) == ALONE
assert shard(check("chart in shards", rendered({"shards": 3}), KINDS)) == ONE_OF_THREE
off = {kind[0].lower() + kind[1:]: {"enabled": False} for kind in OPTIONAL}
check("chart without what is optional", rendered(off), KINDS - OPTIONAL)

# The chart is the base with other names.
specs = {manifest["kind"]: manifest["spec"] for manifest in chart if "spec" in manifest}
for manifest in base:
    if manifest["kind"] == "PrometheusRule":
        assert specs["PrometheusRule"] == manifest["spec"], "the chart has other rules"
    if manifest["kind"] == "StatefulSet":
        theirs, ours = specs["StatefulSet"]["template"]["spec"], manifest["spec"]["template"]["spec"]
        assert theirs["securityContext"] == ours["securityContext"]
        theirs, ours = theirs["containers"][0], ours["containers"][0]
        for key in ours:
            same = key == "image" or theirs[key] == ours[key]
            assert same, f"the chart has other {key}"


def mistaken(kind, change):
    """A manifest of the base with a mistake in it."""
    manifest = copy.deepcopy(next(it for it in base if it["kind"] == kind))
    change(manifest["spec"])
    return lambda: validate(manifest)


mistakes = [
    ("StatefulSet", lambda spec: spec.update(replicas="one")),
    ("StatefulSet", lambda spec: spec["template"]["spec"].update(securityContex={})),
    ("Service", lambda spec: spec.update(publishNotReady=True)),
    ("NetworkPolicy", lambda spec: spec.update(policyTypes="Ingress")),
    ("PodDisruptionBudget", lambda spec: spec.update(maxUnavailabel=1)),
    ("ServiceMonitor", lambda spec: spec["endpoints"][0].update(intervall="1m")),
    ("ServiceMonitor", lambda spec: spec["endpoints"][0].update(port=1)),
    ("PrometheusRule", lambda spec: spec["groups"][0]["rules"][0].pop("expr")),
]
for kind, change in mistakes:
    refused(f"a mistake in the {kind}", mistaken(kind, change))
for values in [{"shards": 0}, {"shard": 2}, {"config": {"accounts": [{}]}}, {"extraArgs": ["demo"]}]:
    refused(f"values {values}", lambda values=values: rendered(values))
print("mistakes are found")
