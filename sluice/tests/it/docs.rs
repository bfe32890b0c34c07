//! The documentation says what is: every error code and every route stands in docs/http-api.md, both READMEs give the same
//! commands, and no relative link leads nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use common::error::Code;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn http_api() -> String {
    read(&root().join("docs/http-api.md"))
}

/// READMEs and everything below docs.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![root().join("docs")];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "md") {
                pages.push(path);
            }
        }
    }
    for entry in std::fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("README") && name.ends_with(".md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

/// Fenced blocks with their language, and the text outside of them.
fn blocks(page: &str) -> (Vec<(String, String)>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a fenced block does not end");
    (blocks, prose)
}

/// The lines of shell blocks that a shell would run: comments may be in another language.
fn commands(page: &str) -> BTreeSet<String> {
    let (blocks, _) = blocks(page);
    let shell = blocks.into_iter().filter(|(language, _)| language == "sh");
    let runs = |line: &&str| !line.is_empty() && !line.trim_start().starts_with('#');
    shell
        .flat_map(|(_, text)| {
            let lines: Vec<String> = text.lines().filter(runs).map(str::to_owned).collect();
            lines
        })
        .collect()
}

/// What stands between `](` and `)` outside of code.
fn links(prose: &str) -> Vec<String> {
    let without_code: String = prose.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let targets = without_code.split("](").skip(1);
    targets
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// The anchors that a page's headings get.
fn anchors(page: &str) -> BTreeSet<String> {
    let (_, prose) = blocks(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|title| title.chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

fn check_link(from: &Path, target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        from.to_owned()
    } else {
        from.parent().unwrap().join(file)
    };
    if !path.exists() {
        return Err(format!("{}: `{target}` is not there", from.display()));
    }
    if !anchor.is_empty() && !anchors(&read(&path)).contains(anchor) {
        return Err(format!("{}: `{target}` has no such heading", from.display()));
    }
    Ok(())
}

#[test]
fn every_error_code_is_documented() {
    let page = http_api();
    let missing: Vec<String> = Code::ALL
        .iter()
        .map(|code| code.entry())
        .map(|entry| format!("| `{}` | {} | {} | ", entry.code, entry.status, entry.number))
        .filter(|row| !page.lines().any(|line| line.starts_with(row)))
        .collect();
    assert!(missing.is_empty(), "docs/http-api.md lacks {missing:#?}");
}

#[test]
fn no_documented_error_code_is_invented() {
    let known: BTreeSet<String> = Code::ALL
        .iter()
        .map(|code| code.entry())
        .map(|entry| format!("| `{}` | {} | {} |", entry.code, entry.status, entry.number))
        .collect();
    let page = http_api();
    let table = page
        .split_once("| code | status | errCode | when |")
        .expect("the table of codes");
    let rows = table.1.lines().skip(2).take_while(|line| line.starts_with('|'));
    for row in rows {
        assert!(
            known.iter().any(|start| row.starts_with(start)),
            "no code is like this: {row}"
        );
    }
}

#[test]
fn every_route_is_documented() {
    let page = http_api();
    let documents = [
        serde_json::to_value(api_service::openapi()).unwrap(),
        serde_json::to_value(stream_service::openapi()).unwrap(),
        serde_json::to_value(scheduler_service::openapi()).unwrap(),
    ];
    let mut seen = 0;
    let mut missing = Vec::new();
    for document in documents {
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
                seen += 1;
                let call = format!("`{} {path}`", method.to_uppercase());
                if !page.contains(&call) {
                    missing.push(call);
                }
            }
        }
    }
    assert!(seen > 30, "only {seen} routes were found");
    assert!(missing.is_empty(), "docs/http-api.md lacks {missing:#?}");
}

#[test]
fn readmes_give_the_same_commands() {
    let commands: BTreeMap<&str, BTreeSet<String>> = ["README.md", "README.zh-CN.md"]
        .into_iter()
        .map(|name| (name, commands(&read(&root().join(name)))))
        .collect();
    let (english, chinese) = (&commands["README.md"], &commands["README.zh-CN.md"]);
    assert!(english.contains("make run"), "{english:#?}");
    let differ: Vec<_> = english.symmetric_difference(chinese).collect();
    assert!(differ.is_empty(), "in one of the READMEs only: {differ:#?}");
}

#[test]
fn relative_links_lead_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let (_, prose) = blocks(&read(&page));
        for target in links(&prose) {
            seen += 1;
            broken.extend(check_link(&page, &target).err());
        }
    }
    assert!(seen > 20, "only {seen} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}
