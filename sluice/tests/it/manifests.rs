//! The map of the crates (docs/architecture.md) as a fact: who may depend on whom, and on what.

use std::path::Path;

use toml::{Table, Value};

const SERVICES: [&str; 4] = ["api-service", "stream-service", "scheduler-service", "web-proxy"];

fn manifest(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join(name)
        .join("Cargo.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn dependencies(name: &str) -> Vec<(String, Value)> {
    let manifest = manifest(name);
    let mut all = Vec::new();
    for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let entries = manifest
            .get(table)
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default();
        all.extend(entries);
    }
    all
}

fn product_dependencies(name: &str) -> Vec<String> {
    manifest(name)["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn no_service_depends_on_another() {
    for service in SERVICES {
        for other in SERVICES.iter().chain(&["sluice", "bench"]) {
            assert!(
                dependencies(service).iter().all(|(name, _)| name != other),
                "{service} depends on {other}"
            );
        }
    }
    for other in SERVICES.iter().chain(&["sluice", "bench"]) {
        assert!(
            dependencies("common").iter().all(|(name, _)| name != other),
            "common depends on {other}"
        );
    }
}

/// It is no store for anybody's data.
#[test]
fn the_s3_server_is_for_tests_only() {
    for name in SERVICES.iter().chain(&["common", "sluice"]) {
        assert!(!product_dependencies(name).contains(&"s3-server".to_owned()), "{name}");
    }
}

#[test]
fn only_sluice_knows_all_of_them() {
    let known = product_dependencies("sluice");
    for service in SERVICES {
        assert!(known.contains(&service.to_owned()), "sluice lacks {service}");
    }
    assert!(
        product_dependencies("bench")
            .iter()
            .all(|name| !SERVICES.contains(&name.as_str()) && name != "sluice")
    );
}

#[test]
fn the_edge_knows_no_database_and_jobs_know_no_files() {
    let edge = dependencies("web-proxy");
    for name in ["diesel", "diesel_migrations", "libsqlite3-sys", "pq-sys"] {
        assert!(
            edge.iter().all(|(dependency, _)| dependency != name),
            "web-proxy depends on {name}"
        );
    }
    let features = |name: &str| manifest(name)["dependencies"]["common"].get("features").cloned();
    assert_eq!(
        features("web-proxy"),
        None,
        "the edge takes common without its database part"
    );
    assert!(
        product_dependencies("api-service")
            .iter()
            .all(|name| name != "actix-multipart" && name != "rustix")
    );
    assert!(
        product_dependencies("stream-service")
            .iter()
            .all(|name| name != "argon2")
    );
}

#[test]
fn every_version_stands_in_the_workspace_table() {
    for name in SERVICES.iter().chain(&["common", "sluice", "bench"]) {
        for (dependency, value) in dependencies(name) {
            let own_path = dependency == "common" && value.get("path").is_some();
            assert!(
                value.get("workspace").is_some() || own_path,
                "{name}: {dependency} has a version of its own"
            );
        }
    }
}

#[test]
fn every_crate_takes_the_lints() {
    for name in SERVICES.iter().chain(&["common", "sluice", "bench"]) {
        assert_eq!(manifest(name)["lints"]["workspace"], Value::Boolean(true), "{name}");
    }
}
