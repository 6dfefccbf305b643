"""The manifests in deploy/kubernetes: the schema of each, and what has to agree with the app."""

import tempfile

import kubernetes_validate
import pytest
import uvicorn
import yaml
from container import Container, Image
from recipes import DEPLOY, SECRET, status_of

from chatlib.__main__ import STOP_SECONDS

OLDEST = "1.30"  # the README says so
DEAF_SECONDS = 11  # how long a stop takes at most if clients read nothing, as measured
PING_SECONDS = uvicorn.Config("").ws_ping_interval
DOCUMENTS = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text("utf-8"))
]


def named(document):
    return f"{document['kind']} {document['metadata']['name']}"


def find(kind, name="chat"):
    (found,) = [document for document in DOCUMENTS if named(document) == f"{kind} {name}"]
    return found


DEPLOYMENT = find("Deployment")["spec"]
POD = DEPLOYMENT["template"]["spec"]
(CHAT,) = POD["containers"]
LABELS = DEPLOYMENT["template"]["metadata"]["labels"]
PROBES = {name: CHAT[name]["httpGet"] for name in CHAT if name.endswith("Probe")}


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_manifest_has_the_schema_of_its_kind_and_no_unknown_field(document, version):
    kubernetes_validate.validate(document, version, strict=True)


def test_the_probes_ask_paths_that_the_container_answers_as_it_is_started_here():
    variables = {"CHATLIB_SECRET": SECRET, "CHATLIB_STORE": "memory:"}
    with (
        tempfile.TemporaryDirectory() as folder,
        Container(folder, CHAT["args"], **variables) as container,
    ):
        answers = {name: status_of(container.port, get["path"]) for name, get in PROBES.items()}
        metrics = DEPLOYMENT["template"]["metadata"]["annotations"]["prometheus.io/path"]
        assert answers == {"startupProbe": 200, "livenessProbe": 200, "readinessProbe": 200}
        assert status_of(container.port, metrics) == 200


def test_only_readiness_depends_on_the_store():
    assert {name: get["path"] for name, get in PROBES.items()} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }


def test_a_pod_has_more_time_to_end_than_it_takes():
    sleep = CHAT["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = int(CHAT["args"][CHAT["args"].index("--drain") + 1]) if "--drain" in CHAT["args"] else 0
    assert POD["terminationGracePeriodSeconds"] > sleep + drain + STOP_SECONDS + DEAF_SECONDS


def test_an_update_takes_no_pod_away_before_another_is_ready():
    assert DEPLOYMENT["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_all_ports_are_that_at_which_the_server_listens():
    (port,) = CHAT["ports"]
    variables = {variable["name"]: variable.get("value") for variable in CHAT["env"]}
    annotations = DEPLOYMENT["template"]["metadata"]["annotations"]
    assert str(port["containerPort"]) == variables["PORT"] == annotations["prometheus.io/port"]
    assert port["containerPort"] == Image().port
    assert {get["port"] for get in PROBES.values()} == {port["name"]}
    (service,) = find("Service")["spec"]["ports"]
    assert service["targetPort"] == port["name"]
    for ingress in (find("Ingress"), find("Ingress", "chat-metrics")):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                assert backend == {"name": "chat", "port": {"name": service["name"]}}
    (allowed,) = find("NetworkPolicy")["spec"]["ingress"]
    assert allowed["ports"] == [{"port": port["name"]}]


def test_all_selectors_find_the_pods():
    (spread,) = POD["topologySpreadConstraints"]
    selectors = [
        DEPLOYMENT["selector"]["matchLabels"],
        find("Service")["spec"]["selector"],
        find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        find("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        spread["labelSelector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= LABELS.items() for selector in selectors)


def test_the_proxy_waits_for_longer_than_a_connection_can_be_silent():
    annotations = find("Ingress")["metadata"]["annotations"]
    for way in ("read", "send"):
        seconds = annotations[f"nginx.ingress.kubernetes.io/proxy-{way}-timeout"]
        assert int(seconds) > 2 * PING_SECONDS


def test_the_figures_are_refused_from_outside():
    metrics = find("Ingress", "chat-metrics")
    assert metrics["metadata"]["annotations"] == {
        "nginx.ingress.kubernetes.io/whitelist-source-range": "127.0.0.1/32"
    }
    assert [
        (rule["host"], path["path"], path["pathType"])
        for rule in metrics["spec"]["rules"]
        for path in rule["http"]["paths"]
    ] == [(find("Ingress")["spec"]["rules"][0]["host"], "/metrics", "Prefix")]


def test_nothing_that_is_secret_is_in_a_manifest():
    assert "Secret" not in {document["kind"] for document in DOCUMENTS}
    secret = {variable["name"] for variable in CHAT["env"] if "valueFrom" in variable}
    assert secret == {"CHATLIB_SECRET", "CHATLIB_STORE"}


def test_a_container_can_do_no_more_than_it_has_to():
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] == Image().user
    assert CHAT["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
