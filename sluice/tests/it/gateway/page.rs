//! Names and numbers of docs/gateway.md and docs/operations.md: everything that exists stands there, nothing is invented.

use std::collections::BTreeSet;
use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The part of a page below a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap()
}

/// The words of `text` that begin like this, of letters, digits and underscores.
fn words<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    let all = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    all.filter(|word| word.len() > start.len() && word.starts_with(start))
        .collect()
}

#[test]
fn every_event_is_documented_and_none_is_invented() {
    let page = read("docs/gateway.md");
    let is_name = |word: &&str| word.as_bytes()[2].is_ascii_uppercase();
    // `OnVideo…` stands for a group of them where the page speaks about all.
    let told: BTreeSet<&str> = words(section(&page, "Events"), "On")
        .into_iter()
        .filter(is_name)
        .collect();
    let sources = read("sdk/js/src/options.ts")
        + &read("sdk/js/src/wire.ts")
        + &read("sdk/js/src/rooms.ts")
        + &read("sdk/js/src/client.ts");
    let known: BTreeSet<&str> = words(&sources, "On").into_iter().filter(is_name).collect();
    assert_eq!(told, known, "the page and the client of sdk/js know the same events");
    assert!(known.len() > 15, "{known:?}");
}

#[test]
fn every_close_code_is_documented() {
    let page = read("docs/gateway.md");
    let source = read("web-proxy/src/gateway/frame/close.rs");
    let (_, codes) = source.split_once("pub enum CloseCode {").unwrap();
    let codes = codes.split_once('}').unwrap().0;
    let codes: Vec<&str> = codes
        .lines()
        .filter_map(|line| line.split_once(" = ")?.1.strip_suffix(','))
        .collect();
    assert!(codes.len() > 8, "{codes:?}");
    let (_, rows) = section(&page, "Bounds").split_once("| close code |").unwrap();
    let missing: Vec<_> = codes.iter().filter(|code| !words(rows, "").contains(**code)).collect();
    assert!(missing.is_empty(), "docs/gateway.md lacks {missing:?}");
}

#[test]
fn every_setting_and_metric_of_the_gateway_is_documented() {
    let page = read("docs/operations.md");
    let settings: toml::Table = read("deploy/sluice.example.toml").parse().unwrap();
    let settings = settings["gateway"].as_table().unwrap();
    let missing: Vec<_> = settings
        .keys()
        .filter(|key| !page.contains(&format!("`gateway.{key}`")))
        .collect();
    assert!(missing.is_empty(), "docs/operations.md lacks the settings {missing:?}");
    let source = read("web-proxy/src/gateway/metrics.rs");
    let metrics = words(&source, "gateway_");
    assert!(metrics.len() > 3, "{metrics:?}");
    let missing: Vec<_> = metrics
        .iter()
        .filter(|name| !page.contains(&format!("`sluice_{name}")))
        .collect();
    assert!(missing.is_empty(), "docs/operations.md lacks the metrics {missing:?}");
}
