//! What lies in deploy/ fits together and fits this build: names that refer to each other, ports, secrets, keys of the configuration,
//! names of metrics. (That a cluster takes it can't be shown here.)

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::person::client;
use crate::site::{Home, files};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

/// All documents of the YAML files below `folder`, each with its file's name.
fn documents(folder: &Path) -> Vec<(String, Value)> {
    let program = "import json,sys,yaml\nfor p in sys.argv[1:]:\n  for d in yaml.safe_load_all(open(p)):\n    print(json.dumps([p, d]))";
    let paths = files(folder).into_iter().map(|(path, _)| path);
    let paths = paths.filter(|path| {
        path.extension()
            .is_some_and(|ending| ending == "yaml" || ending == "yml")
    });
    let output = Command::new("python3")
        .arg("-c")
        .arg(program)
        .args(paths)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind(all: &[(String, Value)], kind: &str) -> BTreeMap<String, Value> {
    let found = all.iter().filter(|(_, document)| document["kind"] == kind);
    found
        .map(|(_, document)| {
            (
                document["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
                document.clone(),
            )
        })
        .collect()
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Everything in `small` stands in `large`.
fn contains(large: &Value, small: &Value) -> bool {
    small
        .as_object()
        .unwrap()
        .iter()
        .all(|(key, value)| large[key] == *value)
}

/// What pods must have to be let in by the network policy.
fn peers(base: &[(String, Value)]) -> Value {
    let policy = of_kind(base, "NetworkPolicy").remove("sluice-services").unwrap();
    policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"].clone()
}

const SERVICES: [&str; 4] = ["sluice-api", "sluice-stream", "sluice-scheduler", "sluice-proxy"];

#[test]
fn the_manifests_of_kubernetes_refer_to_what_is_there() {
    let base = documents(&deploy().join("k8s/base"));
    let resources = of_kind(&base, "Kustomization").remove("").unwrap();
    let named: BTreeSet<String> = texts(&resources["resources"]).into_iter().collect();
    let there: BTreeSet<String> = base
        .iter()
        .map(|(path, _)| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "kustomization.yaml")
        .collect();
    assert_eq!(named, there, "kustomization.yaml names every file and no other");
    let deployments = of_kind(&base, "Deployment");
    assert_eq!(
        deployments.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        SERVICES.into()
    );
    let (services, configs) = (of_kind(&base, "Service"), of_kind(&base, "ConfigMap"));
    let (budgets, scalers) = (
        of_kind(&base, "PodDisruptionBudget"),
        of_kind(&base, "HorizontalPodAutoscaler"),
    );
    let images: BTreeSet<String> = resources["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["name"].as_str().unwrap().to_owned())
        .collect();
    for (name, deployment) in &deployments {
        let (spec, pod) = (&deployment["spec"], &deployment["spec"]["template"]);
        let labels = &pod["metadata"]["labels"];
        assert!(
            contains(labels, &peers(&base)),
            "{name}: the network policy lets its pods in"
        );
        assert!(
            contains(labels, &spec["selector"]["matchLabels"]),
            "{name}: its selector finds its pods"
        );
        let service = &services[name]["spec"];
        assert!(
            contains(labels, &service["selector"]),
            "{name}: its service finds its pods"
        );
        assert_eq!(
            service["clusterIP"] == "None",
            name != "sluice-proxy",
            "{name}: the edge looks up every copy"
        );
        assert!(
            contains(labels, &budgets[name]["spec"]["selector"]["matchLabels"]),
            "{name}: its budget"
        );
        let container = &pod["spec"]["containers"][0];
        assert!(
            images.contains(container["image"].as_str().unwrap()),
            "{name}: its image has a tag"
        );
        let ports: BTreeMap<&str, u64> = container["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| (port["name"].as_str().unwrap(), port["containerPort"].as_u64().unwrap()))
            .collect();
        for port in service["ports"].as_array().unwrap() {
            assert_eq!(
                ports[port["targetPort"].as_str().unwrap()],
                port["port"].as_u64().unwrap(),
                "{name}"
            );
        }
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{name}");
            assert!(
                ports.contains_key(container[probe]["httpGet"]["port"].as_str().unwrap()),
                "{name}"
            );
        }
        // The drain, and what comes before it, end before the pod is killed.
        let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        let before = configs["sluice"]["data"]["SLUICE_SERVER__DRAIN_DELAY"]
            .as_str()
            .unwrap();
        let before: u64 = before.strip_suffix('s').unwrap().parse().unwrap();
        let drain = common::config::Config::default().server.drain_timeout.0.as_secs();
        assert!(grace >= before + drain + 5, "{name}: {grace} s");
        let volumes: BTreeSet<&str> = pod["spec"]["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|volume| volume["name"].as_str().unwrap())
            .collect();
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(volumes.contains(mount["name"].as_str().unwrap()), "{name}: {mount}");
        }
        for source in container["envFrom"].as_array().unwrap() {
            assert!(
                configs.contains_key(source["configMapRef"]["name"].as_str().unwrap()),
                "{name}"
            );
        }
        for (field, expected) in [("readOnlyRootFilesystem", true), ("allowPrivilegeEscalation", false)] {
            assert_eq!(container["securityContext"][field], expected, "{name}");
        }
        assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true, "{name}");
        // Variables such as SLUICE_PROXY_PORT would be refused at the start.
        assert_eq!(pod["spec"]["enableServiceLinks"], false, "{name}");
    }
    for (name, scaler) in &scalers {
        let target = scaler["spec"]["scaleTargetRef"]["name"].as_str().unwrap();
        assert!(
            deployments.contains_key(target) && target == name,
            "{name} scales {target}"
        );
    }
}

/// The settings of one service, as its pods have them.
fn environment(base: &[(String, Value)], overlay: &Value, name: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (key, value) in of_kind(base, "ConfigMap")["sluice"]["data"].as_object().unwrap() {
        all.insert(
            key.clone(),
            value.as_str().unwrap_or_else(|| panic!("{key} is a text")).to_owned(),
        );
    }
    for literal in texts(&overlay["configMapGenerator"][0]["literals"]) {
        let (key, value) = literal.split_once('=').unwrap();
        all.insert(key.to_owned(), value.to_owned());
    }
    let container = &of_kind(base, "Deployment")[name]["spec"]["template"]["spec"]["containers"][0];
    for variable in container["env"].as_array().into_iter().flatten() {
        let text = |field: &str| variable[field].as_str().unwrap().to_owned();
        all.insert(text("name"), text("value"));
    }
    all
}

#[test]
fn every_service_takes_the_settings_of_its_pods() {
    let base = documents(&deploy().join("k8s/base"));
    let overlays = documents(&deploy().join("k8s/overlays/example"));
    let overlay = of_kind(&overlays, "Kustomization").remove("").unwrap();
    let given: BTreeSet<String> = texts(&overlay["secretGenerator"][0]["files"])
        .iter()
        .map(|path| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str| match name {
        "internal_token" => "0123456789abcdef0123456789abcdef".to_owned(),
        "grant_keys" => format!("k1:{}", "A".repeat(43)),
        "bus_url" => "local:".to_owned(),
        database if database.starts_with("database_") => "postgres://sluice@postgres/sluice?schema=x".to_owned(),
        _ => "a-key".to_owned(),
    };
    let mut used = BTreeSet::new();
    for name in SERVICES {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.arg("check-config");
        for (key, value) in environment(&base, &overlay, name) {
            let value = match value.strip_prefix("/run/secrets/sluice/") {
                Some(file) => {
                    assert!(given.contains(file), "{name}: the secret {file} is made by the overlay");
                    used.insert(file.to_owned());
                    let path = folder.path().join(file);
                    std::fs::write(&path, secret(file)).unwrap();
                    path.display().to_string()
                }
                None => value,
            };
            command.env(key, value);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(used, given, "no secret is made for nobody");
    // A mistyped key is found by it.
    let mistyped = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(["check-config"])
        .env("SLUICE_SERVER__LISTN", "x")
        .output()
        .unwrap();
    assert_eq!(mistyped.status.code(), Some(2));
    let ingress = of_kind(&overlays, "Ingress").remove("sluice").unwrap();
    let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    let service = &of_kind(&base, "Service")[backend["name"].as_str().unwrap()];
    assert!(
        service["spec"]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|port| port["name"] == backend["port"]["name"])
    );
    let host = ingress["spec"]["rules"][0]["host"].as_str().unwrap();
    let public = &environment(&base, &overlay, "sluice-proxy")["SLUICE_SERVER__PUBLIC_URL"];
    assert_eq!(public, &format!("https://{host}"));
}

#[test]
fn the_unit_of_systemd_is_one() {
    let unit = deploy().join("systemd/sluice.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("{key} is set"))
            .split_once('=')
            .unwrap()
            .1
    };
    let drain = common::config::Config::default().server.drain_timeout.0.as_secs();
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() >= drain + 5);
    assert!(value("ExecReload").contains("-HUP"));
    assert_eq!(value("RestartPreventExitStatus"), "2");
    // The command that it starts is one.
    let words: Vec<&str> = value("ExecStart").split(' ').collect();
    let home = Home::new();
    let config = home.dir.path().join("sluice.toml");
    let example = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .arg("default-config")
        .output()
        .unwrap();
    std::fs::write(&config, example.stdout).unwrap();
    assert_eq!(words[1], "serve");
    let args: Vec<&str> = words[2..]
        .iter()
        .map(|word| match *word {
            "/etc/sluice/sluice.toml" => config.to_str().unwrap(),
            other => other,
        })
        .collect();
    let checked = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .arg("check-config")
        .args(args)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // It wants the executable to be there; this one is.
    let there = text.replace("/usr/local/bin/sluice", env!("CARGO_BIN_EXE_sluice"));
    let copy = home.dir.path().join("sluice.service");
    std::fs::write(&copy, there).unwrap();
    match Command::new("systemd-analyze").arg("verify").arg(&copy).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && !said.contains("sluice.service:"), "{said}");
        }
        Err(_) => eprintln!("skipped: systemd-analyze is absent, the unit is not verified by it"),
    }
}

#[tokio::test]
async fn the_alerts_are_about_metrics_that_exist() {
    let home = Home::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let internal = format!("internal.listen=127.0.0.1:{port}");
    let site = home.serve(&[&internal]);
    let metrics = client()
        .get(format!("http://127.0.0.1:{port}/metrics"))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let families: BTreeMap<&str, &str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split_once(' '))
        .collect();
    let rules = documents(&deploy().join("prometheus"));
    let text = serde_json::to_string(&rules).unwrap();
    let names: BTreeSet<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("sluice_"))
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let exists = families.iter().any(|(family, kind)| match *kind {
            "counter" => name == format!("{family}_total"),
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|ending| name == format!("{family}{ending}")),
            _ => name == *family,
        });
        assert!(exists, "{name} is none of {families:?}");
    }
    site.stop();
}
