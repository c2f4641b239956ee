"""Validates the shipped Kubernetes manifests, and checks that mistakes in them are detected."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator

KUBERNETES = ["1.25", "1.37"]
"""The oldest and the newest version with schemas."""
FOLDER = Path(__file__).parent
CHART = FOLDER.parent / "helm" / "campaign-exporter"
OPERATORS = {"ServiceMonitor": operator.ServiceMonitor, "PrometheusRule": operator.PrometheusRule}
KINDS = {"Service", "ConfigMap", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget", *OPERATORS}
INSTANCE = {
    "sourceLabels": ["__meta_kubernetes_namespace", "__meta_kubernetes_pod_name"],
    "separator": "/",
    "targetLabel": "instance",
}
OPTIONAL = {"NetworkPolicy", "PodDisruptionBudget", *OPERATORS}


def validate(manifest):
    """Raises an exception if a manifest violates its schema."""
    model = OPERATORS.get(manifest["kind"])
    if model is None:
        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)
        return
    # the model drops unknown keys
    kept = model.model_validate(manifest).model_dump(by_alias=True, exclude_unset=True, mode="json")
    if kept != manifest:
        raise ValueError(f"{manifest['kind']}: unknown keys")


def check(name, manifests, kinds):
    """Validates the manifests, one of each kind, and returns the StatefulSet."""
    found = sorted(manifest["kind"] for manifest in manifests)
    assert found == sorted(kinds), f"{name}: {found}"
    for manifest in manifests:
        validate(manifest)
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    stateful_set, service = by_kind["StatefulSet"], by_kind["Service"]
    labels = stateful_set["spec"]["template"]["metadata"]["labels"]
    for selector in [service["spec"]["selector"], stateful_set["spec"]["selector"]["matchLabels"]]:
        assert selector.items() <= labels.items(), f"{name}: {selector} selects no pods"
    assert stateful_set["spec"]["serviceName"] == service["metadata"]["name"], name
    if "ServiceMonitor" in by_kind:
        monitor = by_kind["ServiceMonitor"]["spec"]
        selector = monitor["selector"]["matchLabels"]
        assert selector.items() <= service["metadata"]["labels"].items(), f"{name}: the ServiceMonitor selects no Service"
        found = [it["relabelings"] for it in monitor["endpoints"]]
        assert found == [[INSTANCE]], f"{name}: instance changes when a pod restarts: {found}"
    print(f"{name}: {len(manifests)} valid manifests")
    return stateful_set


def kustomized(name):
    """Returns the manifests of a kustomization."""
    command = [sys.argv[1], "kustomize", FOLDER / name]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(output))


def rendered(values):
    """Returns the manifests of the chart."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="sms", namespace="monitoring")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def container(stateful_set):
    """Returns the exporter's container."""
    return stateful_set["spec"]["template"]["spec"]["containers"][0]


def shard(stateful_set):
    """Returns the shard variable of the pods, and the number of replicas."""
    variables = {it["name"]: it["value"] for it in container(stateful_set)["env"]}
    assert variables["CAMPAIGN_EXPORTER_STORAGE_PATH"].startswith("/var/lib/campaign_exporter/")
    return variables.get("CAMPAIGN_EXPORTER_SHARD"), stateful_set["spec"]["replicas"]


def refused(what, attempt):
    """Fails if `attempt` succeeds."""
    try:
        attempt()
    except Exception:  # each library raises its own type
        return
    raise AssertionError(f"not detected: {what}")


ALONE = (None, 1)
ONE_OF_THREE = ("auto/3", 3)
base = kustomized("base")
assert shard(check("base", base, KINDS)) == ALONE
assert shard(check("sharded", kustomized("sharded"), KINDS)) == ONE_OF_THREE
shared = check("shared", kustomized("shared"), KINDS | {"PersistentVolumeClaim"})
assert shard(shared) == ONE_OF_THREE

report = helm.lint(CHART, strict=True)
problems = [it for it in report["messages"] if it["severity"] > 1]
assert not problems and not report["errors"], report
chart = rendered({})
assert shard(check("chart", chart, KINDS)) == ALONE
assert shard(check("chart in shards", rendered({"shards": 3}), KINDS)) == ONE_OF_THREE
values = {"shards": 3, "storage": {"existingClaim": "campaign-exporter"}}
for stateful_set in [shared, check("chart with one volume", rendered(values), KINDS)]:
    assert "volumeClaimTemplates" not in stateful_set["spec"], "each pod has a volume"
    volumes = stateful_set["spec"]["template"]["spec"]["volumes"]
    claims = [it["persistentVolumeClaim"]["claimName"] for it in volumes if it["name"] == "storage"]
    assert claims == ["campaign-exporter"], claims
# one that is not a shard would exclude others
values["shards"] = 1
assert shard(check("chart with one pod for a shared volume", rendered(values), KINDS)) == ("auto/1", 1)
kubernetes = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
assert kubernetes == f">={KUBERNETES[0]}.0-0", f"the chart requires Kubernetes {kubernetes}"

# The image sets the path of the configuration file.
image = (FOLDER.parent.parent / "Dockerfile").read_text()
config = Path(re.search("^ENV CAMPAIGN_EXPORTER_CONFIG_FILE=(.+)$", image, re.MULTILINE)[1])
for manifest in base + chart:
    if manifest["kind"] == "ConfigMap":
        assert list(manifest["data"]) == [config.name], f"the image reads {config}"
    if manifest["kind"] == "StatefulSet":
        mounts = {it["name"]: it["mountPath"] for it in container(manifest)["volumeMounts"]}
        assert mounts["config"] == str(config.parent), f"the image reads {config}"

# Protected with --web.config.file.
tcp = {"tcpSocket": {"port": "http-metrics"}}
endpoint = {
    "scheme": "https",
    "tlsConfig": {"ca": {"secret": {"name": "campaign-exporter-ca", "key": "ca.crt"}}},
    "basicAuth": {
        "username": {"name": "campaign-exporter-user", "key": "username"},
        "password": {"name": "campaign-exporter-user", "key": "password"},
    },
}
values = {
    "extraArgs": ["--web.config.file=/run/secrets/campaign_exporter/web.yml"],
    "livenessProbe": tcp,
    "readinessProbe": tcp,
    "serviceMonitor": {"endpoint": endpoint},
}
protected = rendered(values)
stateful_set = check("protected chart", protected, KINDS)
assert container(stateful_set)["args"] == values["extraArgs"]
for probe in ["livenessProbe", "readinessProbe"]:
    assert container(stateful_set)[probe] == tcp, f"{probe} differs"
monitor = next(it for it in protected if it["kind"] == "ServiceMonitor")
scraped = {"port": "http-metrics", "interval": "1m", "relabelings": [INSTANCE], **endpoint}
assert monitor["spec"]["endpoints"] == [scraped], "the scraped endpoint differs"

off = {kind[0].lower() + kind[1:]: {"enabled": False} for kind in OPTIONAL}
check("chart without optional objects", rendered(off), KINDS - OPTIONAL)

# The chart matches the base except for names.
specs = {manifest["kind"]: manifest["spec"] for manifest in chart if "spec" in manifest}
for manifest in base:
    if manifest["kind"] == "PrometheusRule":
        assert specs["PrometheusRule"] == manifest["spec"], "the rules of the chart differ"
    if manifest["kind"] == "StatefulSet":
        theirs, ours = specs["StatefulSet"]["template"]["spec"], manifest["spec"]["template"]["spec"]
        for key in ["securityContext", "terminationGracePeriodSeconds"]:
            assert theirs[key] == ours[key], f"{key} of the chart differs"
        secrets = [it["volumes"][1]["secret"] for it in [theirs, ours]]
        assert secrets[0] == secrets[1], "the Secret of the chart differs"
        theirs, ours = theirs["containers"][0], ours["containers"][0]
        for key in ours:
            same = key == "image" or theirs[key] == ours[key]
            assert same, f"{key} of the chart differs"


def mistaken(kind, change):
    """Returns a function that validates a manifest of the base with a mistake in it."""
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
wrong = [
    {"shards": 0},
    {"shard": 2},
    {"config": {"accounts": [{}]}},
    {"extraArgs": ["demo"]},
    {"livenessProbe": "tcpSocket"},
    {"serviceMonitor": {"endpoint": {"port": "http"}}},
]
for values in wrong:
    refused(f"values {values}", lambda values=values: rendered(values))
print("mistakes are detected")
