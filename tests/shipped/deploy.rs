//! What the exporter is run with: that its files agree with the program, with one another and with
//! the rules.

use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use crate::promtool::promtool;
use crate::rules::{path, text, yaml};

/// What is written into the files here, in the order in which Prometheus has to read it.
const RULES: [&str; 4] = ["thresholds", "recording", "campaigns", "exporter"];

/// The port, from the constant that the program has it from.
fn port() -> String {
    let source = text("src/cli.rs");
    let constant = Regex::new(r#"const LISTEN_ADDRESS: &str = ":(\d+)";"#).unwrap();
    constant.captures(&source).unwrap()[1].to_owned()
}

/// Every file of a folder and those below, but not what others made.
fn files(folder: &Path, found: &mut Vec<String>) {
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

/// Numbers that look like the port and are not: in the range of Prometheus' exporters, but others.
#[test]
fn every_file_that_names_the_port_agrees() {
    let port = port();
    let lookalike = Regex::new(r"(?:localhost|exporter|one|other|EXPOSE |port-forward .*-0|[pP]ort: |ListenStream=|127\.0\.0\.1)[:/ ]?(100\d\d)\b").unwrap();
    let mut all = Vec::new();
    files(&path("."), &mut all);
    let mut named = Vec::new();
    for file in all {
        let Ok(text) = fs::read_to_string(path(&file)) else {
            continue; // a picture
        };
        for found in lookalike.captures_iter(&text) {
            assert_eq!(found[1], port, "{file}: {}", &found[0]);
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
        "docs/runbooks.md",
    ] {
        assert!(named.iter().any(|it| it == file), "{file} names no port");
    }
}

#[test]
fn every_file_that_names_the_version_agrees() {
    let version = env!("CARGO_PKG_VERSION");
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
fn kubernetes_has_the_rules_of_alerts() {
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
fn the_composed_prometheus_reads_its_configuration_and_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let put = |from: &str, to: &str| fs::copy(path(from), folder.path().join(to)).unwrap();
    fs::create_dir(folder.path().join("alerts")).unwrap();
    put("deploy/compose/prometheus.yml", "prometheus.yml");
    for name in RULES {
        put(&format!("alerts/{name}.yml"), &format!("alerts/{name}.yml"));
    }
    // alerts of the same name in two files are meant
    let arguments = ["check", "config", "--lint=none"];
    promtool(&arguments, &["prometheus.yml".to_owned()], folder.path());
}

#[test]
fn what_is_mounted_where_it_is_composed_is_there() {
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
            assert!(port.starts_with("127.0.0.1:"), "{name} is open to others");
        }
    }
    assert!(mounted >= 7);
}

/// What is packed for Debian.
#[test]
fn what_is_packed_is_there() {
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
