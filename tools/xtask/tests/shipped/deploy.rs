//! Consistency of the deployment files with the program, each other, and the rules.

use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use crate::promtool::promtool;
use crate::rules::{path, text, yaml};

/// Rule files, in the order in which they are written to the Kubernetes files.
const RULES: [&str; 4] = ["thresholds", "recording", "campaigns", "exporter"];

/// Returns the port, from the constant in the source.
fn port() -> String {
    let source = text("src/cli.rs");
    let constant = Regex::new(r#"const LISTEN_ADDRESS: &str = ":(\d+)";"#).unwrap();
    constant.captures(&source).unwrap()[1].to_owned()
}

/// Collects the files of a directory recursively, without generated and third-party files.
pub(crate) fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            if !["node_modules", "target", ".git", "corpus", "images"].contains(&name.as_str()) {
                files(&entry.path(), found);
            }
        } else {
            let below = entry.path();
            let below = below.strip_prefix(path(".")).unwrap();
            found.push(below.to_str().unwrap().to_owned());
        }
    }
}

/// Contexts that always contain the exporter's port, and similar numbers anywhere, which other exporters
/// use as default ports. 10000 is excluded, since it is a common round number.
const PLACES: &str = concat!(
    r"EXPOSE (\d+)|ListenStream=(\d+)|containerPort: (\d+)|--publish (\d+:\d+)",
    r"|exporter(?::|%3A)(\d+)|localhost:(\d+)/(?:metrics|-/|config|status|sd)\b",
    r"|(?:\b|%3A)(100(?:0[1-9]|[1-9]\d))\b",
);

/// Returns the exporter ports in a text.
fn ports(text: &str) -> Vec<&str> {
    let places = Regex::new(PLACES).unwrap();
    let found = places.captures_iter(text).map(|found| {
        let mut groups = found.iter().skip(1).flatten();
        groups.next().unwrap().as_str()
    });
    found.flat_map(|port| port.split(':')).collect()
}

#[test]
fn the_port_is_the_same_in_every_file() {
    let port = port();
    let mut all = Vec::new();
    files(&path("."), &mut all);
    // contains the test cases below
    all.retain(|file| file != "tools/xtask/tests/shipped/deploy.rs");
    let mut named = Vec::new();
    for file in all {
        let Ok(text) = fs::read_to_string(path(&file)) else {
            continue; // binary
        };
        for found in ports(&text) {
            assert_eq!(found, port, "{file}");
            named.push(file.clone());
        }
    }
    for file in [
        "Dockerfile",
        "README.md",
        "deploy/compose/compose.yml",
        "deploy/compose/prometheus.yml",
        "deploy/debian/check",
        "deploy/helm/campaign-exporter/templates/NOTES.txt",
        "deploy/helm/campaign-exporter/templates/service.yaml",
        "deploy/helm/campaign-exporter/templates/statefulset.yaml",
        "deploy/kubernetes/base/service.yaml",
        "deploy/kubernetes/base/statefulset.yaml",
        "deploy/systemd/campaign_exporter.socket",
        "docs/alerts.md",
        "docs/flags.md",
        "docs/install.md",
        "docs/manual/campaign_exporter.1",
        "docs/runbooks.md",
    ] {
        assert!(named.iter().any(|it| it == file), "{file} contains no port");
    }
}

#[test]
fn ports_are_detected_in_every_context() {
    for (text, wanted) in [
        ("EXPOSE 9464", ["9464"].as_slice()),
        ("ListenStream=80", &["80"]),
        ("  containerPort: 8080", &["8080"]),
        ("--publish 80:8080 campaign_exporter", &["80", "8080"]),
        ("- targets: [\"exporter:9464\"]", &["9464"]),
        ("var-instance=exporter%3A9464", &["9464"]),
        ("curl localhost:9464/metrics", &["9464"]),
        ("| `:10059` |", &["10059"]),
        ("/dev/tcp/127.0.0.1/10099", &["10099"]),
        ("ports: [\"127.0.0.1:10057:10059\"]", &["10057", "10059"]),
        ("localhost:3000/d/campaigns, 10000 campaigns, 100589, a10058", &[]),
    ] {
        assert_eq!(ports(text), wanted, "{text}");
    }
}

#[test]
fn the_version_is_the_same_in_every_file() {
    let version = campaign_exporter::telemetry::VERSION;
    for (file, line) in [
        ("Dockerfile", "ARG VERSION="),
        ("deploy/helm/campaign-exporter/Chart.yaml", "version: "),
        ("deploy/helm/campaign-exporter/Chart.yaml", "appVersion: "),
        ("deploy/kubernetes/base/kustomization.yaml", "    newTag: "),
    ] {
        let line = format!("{line}{version}");
        assert!(text(file).lines().any(|it| it == line), "{file}: {line}");
    }
}

#[test]
fn kubernetes_rules_are_up_to_date() {
    let mut groups = Vec::new();
    for name in RULES {
        let file: Value = yaml(&format!("alerts/{name}.yml"));
        groups.extend(file["groups"].as_array().unwrap().clone());
    }
    let groups = json!(groups);
    let object: Value = yaml("deploy/kubernetes/base/prometheusrule.yaml");
    let chart: Value = yaml("deploy/helm/campaign-exporter/rules.yml");
    assert!(object["spec"]["groups"] == groups, "run deploy/rules");
    assert!(chart["groups"] == groups, "run deploy/rules");
}

#[test]
fn compose_prometheus_configuration_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| fs::copy(path(from), folder.path().join(to)).unwrap();
    fs::create_dir(folder.path().join("alerts")).unwrap();
    put("deploy/compose/prometheus.yml", "prometheus.yml");
    for name in RULES {
        put(&format!("alerts/{name}.yml"), &format!("alerts/{name}.yml"));
    }
    // two files intentionally contain an alert of the same name
    let arguments = ["check", "config", "--lint=none"];
    promtool(&arguments, &["prometheus.yml".to_owned()], folder.path());
}

#[test]
fn compose_mounts_exist() {
    let file: Value = yaml("deploy/compose/compose.yml");
    let mut mounted = 0;
    for (name, service) in file["services"].as_object().unwrap() {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            if source.starts_with('.') {
                let source = path("deploy/compose").join(source);
                assert!(source.exists(), "{name}: {}", source.display());
                mounted += 1;
            }
        }
        for port in service["ports"].as_array().unwrap() {
            let port = port.as_str().unwrap();
            assert!(port.starts_with("127.0.0.1:"), "{name} is not restricted to loopback");
        }
    }
    assert!(mounted >= 7);
}

#[test]
fn packaged_files_exist() {
    let manifest = text("Cargo.toml");
    let asset = Regex::new(r#"(?m)^  \["([^"]+)", "[^"]+/", "\d+"\],$"#).unwrap();
    let mut packed = 0;
    for found in asset.captures_iter(&manifest) {
        let source = &found[1];
        let folder = source.split_once('*').map_or(source, |(folder, _)| folder);
        let built = folder.starts_with("target/");
        assert!(built || path(folder).exists(), "{source}");
        packed += 1;
    }
    assert!(packed >= 6);
}

/// Cargo rejects the lock file if the manifest of a member is missing.
#[test]
fn container_build_copies_every_manifest() {
    let mut manifests = Vec::new();
    files(&path("."), &mut manifests);
    manifests.retain(|file| file.ends_with("/Cargo.toml") && !file.starts_with("fuzz/"));
    assert!(!manifests.is_empty());
    let dockerfile = text("Dockerfile");
    for manifest in manifests {
        let folder = manifest.trim_end_matches("Cargo.toml");
        let copy = format!("COPY {manifest} {folder}");
        assert!(dockerfile.lines().any(|line| line == copy), "{copy}");
    }
}
