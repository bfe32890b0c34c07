//! Joining OpenAPI documents as JSON: paths side by side, components under their names. Where two services give one name
//! to different components, the later one's is renamed and its references follow.

use serde_json::{Map, Value, json};

/// Joins `documents`; earlier ones win where a path or a security scheme is described twice.
pub fn merge(public_url: &str, documents: Vec<Value>, missing: &[&str]) -> Value {
    let server = if public_url.is_empty() { "/" } else { public_url };
    let mut whole = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "description": "A self-hosted video platform. Every failure is an RFC 9457 problem document.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": server }],
        "paths": {},
        "components": {},
        "tags": [],
    });
    for document in documents {
        add(&mut whole, document);
    }
    if !missing.is_empty() {
        whole["x-sluice-missing"] = json!(missing);
    }
    whole
}

fn add(whole: &mut Value, mut document: Value) {
    if !document.is_object() {
        return;
    }
    for (kind, name, new_name) in clashes(whole, &document) {
        let (from, to) = (reference(&kind, &name), reference(&kind, &new_name));
        follow(&mut document, &from, &to);
        if let Some(members) = document["components"][&kind].as_object_mut()
            && let Some(component) = members.remove(&name)
        {
            members.insert(new_name, component);
        }
    }
    for (kind, members) in members(&mut document["components"]) {
        let known = object(&mut whole["components"])
            .entry(kind)
            .or_insert_with(|| json!({}));
        for (name, component) in members_of(members) {
            object(known).entry(name).or_insert(component);
        }
    }
    for (path, item) in members(&mut document["paths"]) {
        let known = object(&mut whole["paths"]).entry(path).or_insert_with(|| json!({}));
        for (method, operation) in members_of(item) {
            object(known).entry(method).or_insert(operation);
        }
    }
    if let (Some(tags), Some(known)) = (document["tags"].as_array(), whole["tags"].as_array_mut()) {
        for tag in tags {
            if !known.iter().any(|other| other["name"] == tag["name"]) {
                known.push(tag.clone());
            }
        }
    }
}

/// Components of `document` whose name means something else in `whole` already: kind, name, free name.
fn clashes(whole: &Value, document: &Value) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (kind, members) in document["components"].as_object().into_iter().flatten() {
        // Security schemes are named by their use, not by reference.
        if kind == "securitySchemes" {
            continue;
        }
        for (name, component) in members.as_object().into_iter().flatten() {
            let known = &whole["components"][kind];
            if known.get(name).is_none_or(|other| other == component) {
                continue;
            }
            let taken = |candidate: &String| known.get(candidate).is_some() || members.get(candidate).is_some();
            let free = (2..)
                .map(|number| format!("{name}{number}"))
                .find(|candidate| !taken(candidate));
            found.push((kind.clone(), name.clone(), free.expect("numbers do not end")));
        }
    }
    found
}

fn reference(kind: &str, name: &str) -> String {
    format!("#/components/{kind}/{name}")
}

/// Replaces every reference `from` below `value`.
fn follow(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| follow(item, from, to)),
        Value::Object(members) => members.values_mut().for_each(|member| follow(member, from, to)),
        _ => {}
    }
}

fn members(value: &mut Value) -> Map<String, Value> {
    members_of(value.take())
}

fn members_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object above")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, page: &str) -> Value {
        json!({
            "openapi": "3.1.0",
            "paths": { path: { "get": { "responses": { "200": { "schema": { "$ref": "#/components/schemas/Page" } } } } } },
            "components": {
                "schemas": { "Page": { "title": page }, "Problem": { "type": "object" } },
                "securitySchemes": { "session": { "type": "http" } },
            },
            "tags": [{ "name": "shared" }, { "name": path }],
        })
    }

    #[test]
    fn paths_and_components_lie_side_by_side() {
        let whole = merge("https://v.example", vec![document("/a", "x"), document("/b", "x")], &[]);
        assert_eq!(whole["servers"][0]["url"], "https://v.example");
        assert!(whole["paths"]["/a"]["get"].is_object() && whole["paths"]["/b"]["get"].is_object());
        assert_eq!(whole["components"]["schemas"].as_object().unwrap().len(), 2);
        assert_eq!(whole["tags"].as_array().unwrap().len(), 3);
        assert!(whole.get("x-sluice-missing").is_none());
    }

    #[test]
    fn one_name_for_two_things_becomes_two_names() {
        let whole = merge(
            "",
            vec![document("/a", "x"), document("/b", "y"), document("/c", "z")],
            &["stream"],
        );
        assert_eq!(whole["components"]["schemas"]["Page"]["title"], "x");
        for (path, name, title) in [("/a", "Page", "x"), ("/b", "Page2", "y"), ("/c", "Page3", "z")] {
            let reference = &whole["paths"][path]["get"]["responses"]["200"]["schema"]["$ref"];
            assert_eq!(reference, &format!("#/components/schemas/{name}"));
            assert_eq!(whole["components"]["schemas"][name]["title"], title);
        }
        assert_eq!(whole["x-sluice-missing"], json!(["stream"]));
        assert_eq!(whole["servers"][0]["url"], "/");
    }

    #[test]
    fn methods_of_one_path_join_and_nonsense_adds_nothing() {
        let get = json!({ "paths": { "/a": { "get": {} } } });
        let post = json!({ "paths": { "/a": { "post": {}, "get": { "later": true } } } });
        let whole = merge(
            "",
            vec![
                get,
                post,
                json!([1]),
                json!({ "paths": 7, "components": "x", "tags": {} }),
            ],
            &[],
        );
        assert_eq!(whole["paths"], json!({ "/a": { "get": {}, "post": {} } }));
    }
}
