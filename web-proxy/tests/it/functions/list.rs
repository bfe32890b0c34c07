//! `ListFunctions`: golden, closed in itself, true about the data that is taken, and the source of the documentation.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use web_proxy::gateway::functions::Kind;

use super::{functions, rows};

/// The lines of docs/gateway.md between which the table stands.
const BEGIN: &str = "<!-- functions: written by a test of web-proxy (UPDATE_GOLDEN=1), not by hand -->\n";
const END: &str = "<!-- functions end -->\n";

fn list() -> Value {
    serde_json::from_str(functions().list()).unwrap()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// A file of the repository, compared with `made`; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, made: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file(name).parent().unwrap()).unwrap();
        std::fs::write(file(name), made).unwrap();
    }
    let kept = std::fs::read_to_string(file(name)).unwrap_or_default();
    assert!(
        kept == made,
        "{name} is not what the table says: run this test with UPDATE_GOLDEN=1"
    );
}

#[test]
fn the_list_is_the_golden_one() {
    let pretty = serde_json::to_string_pretty(&list()).unwrap();
    golden("sdk/js/schema/functions.json", &(pretty + "\n"));
}

#[test]
fn the_table_is_that_of_the_design() {
    let functions = functions();
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for function in functions.all() {
        match groups.last_mut() {
            Some((group, names)) if *group == function.group.name() => names.push(function.name),
            _ => groups.push((function.group.name(), vec![function.name])),
        }
    }
    let groups: Vec<String> = groups
        .iter()
        .map(|(group, names)| format!("{group}: {}", names.join(", ")))
        .collect();
    assert_eq!(
        groups,
        [
            "session: Login, Logout, GetLoginStatus, GetLoginUser, ListFunctions, Ping",
            "user: GetSelfUserInfo, SetSelfInfo, GetUsersInfo",
            "video: ListVideos, GetVideo, CreateVideo, UpdateVideo, DeleteVideo, RestoreVideo, GetPlayback, GetDeletion",
            "comment: PostComment, ListComments, DeleteComment",
            "room: JoinRoom, LeaveRoom, SendDanmaku, ListDanmaku, GetRoomMemberCount",
        ]
    );
}

/// Every reference below `value`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| match member {
            Value::String(target) if name == "$ref" => drop(found.insert(target.clone())),
            member => references(member, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_referred_to() {
    let list = list();
    let mut found = BTreeSet::new();
    references(&list, &mut found);
    let schemas = list["schemas"].as_object().unwrap();
    let there: BTreeSet<String> = schemas.keys().map(|name| format!("#/schemas/{name}")).collect();
    assert_eq!(found, there);
}

/// The members of the request are those that are read: each alone is refused for another reason than its name, and the
/// ones that are required are missed.
#[test]
fn requests_are_described_as_they_are_read() {
    let list = list();
    let mut described = 0;
    for function in functions().all() {
        let Kind::Api(_) = function.kind else { continue };
        let name = function.request["$ref"].as_str().unwrap().trim_start_matches('#');
        let schema = list.pointer(name).unwrap();
        assert_eq!(schema["additionalProperties"], json!(false), "{name}");
        for member in schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|members| members.keys())
        {
            // No member takes a list of lists.
            let refusal = rows::refusal(function.name, &json!({ member: [[[]]] }).to_string());
            assert!(
                refusal.starts_with(&format!("data.{member}")),
                "{name} {member}: {refusal}"
            );
            described += 1;
        }
        let required = schema["required"].as_array().into_iter().flatten();
        let required: Vec<&str> = required.map(|member| member.as_str().unwrap()).collect();
        if required.is_empty() {
            continue;
        }
        let refusal = rows::refusal(function.name, "{}");
        assert!(
            required
                .iter()
                .any(|member| refusal == format!("data.{member} is missing.")),
            "{name}: {refusal}"
        );
    }
    assert!(described >= 30, "{described}");
}

/// The table, and the larger types it names.
struct Documentation {
    list: Value,
    named: BTreeSet<String>,
}

/// A type with more members than these is shown by its name where it stands inside of another, or more than once.
const FEW: usize = 3;

impl Documentation {
    /// A schema in a few characters, such as `{videoID: string, afterSeq?: integer}`.
    fn shown(&mut self, schema: &Value) -> String {
        if let Some(target) = schema["$ref"].as_str() {
            return self.shown_reference(target);
        }
        if let Some(texts) = schema["enum"].as_array() {
            return texts.iter().map(Value::to_string).collect::<Vec<_>>().join(" \\| ");
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let choices: Vec<String> = choices.iter().map(|choice| self.shown(choice)).collect();
            return choices.join(" \\| ");
        }
        if let Some(kinds) = schema["type"].as_array() {
            let mut one = schema.clone();
            let kinds: Vec<String> = kinds
                .iter()
                .map(|kind| {
                    one["type"] = kind.clone();
                    self.shown(&one)
                })
                .collect();
            return kinds.join(" \\| ");
        }
        match (schema["type"].as_str(), schema["properties"].as_object()) {
            (Some("array"), _) => format!("[{}, …]", self.shown(&schema["items"])),
            (_, Some(members)) => {
                let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
                let (first, last): (Vec<_>, Vec<_>) =
                    members.iter().partition(|(name, _)| required.contains(&&json!(name)));
                let first: Vec<String> = first
                    .into_iter()
                    .map(|(name, member)| format!("{name}: {}", self.shown(member)))
                    .collect();
                let last = last
                    .into_iter()
                    .map(|(name, member)| format!("{name}?: {}", self.shown(member)));
                format!("{{{}}}", first.into_iter().chain(last).collect::<Vec<_>>().join(", "))
            }
            (Some("object"), None) => "{}".to_owned(),
            (kind, _) => kind.unwrap_or("any").to_owned(),
        }
    }

    fn shown_reference(&mut self, target: &str) -> String {
        let name = target.rsplit('/').next().unwrap();
        let schema = self.list["schemas"][name].clone();
        let members = schema["properties"].as_object().map_or(0, serde_json::Map::len);
        let uses = self.list.to_string().matches(&format!("{target}\"")).count();
        if members > FEW && (uses > 1 || !self.is_of_a_function(target)) {
            self.named.insert(name.to_owned());
            name.to_owned()
        } else {
            self.shown(&schema)
        }
    }

    fn is_of_a_function(&self, target: &str) -> bool {
        let mut functions = self.list["functions"].as_array().into_iter().flatten();
        functions.any(|function| function["request"]["$ref"] == target || function["reply"]["$ref"] == target)
    }

    fn text(mut self) -> String {
        let mut text = String::from("| function | takes | gives |\n| --- | --- | --- |\n");
        let functions = self.list["functions"].clone();
        for function in functions.as_array().unwrap() {
            let (takes, gives) = (self.shown(&function["request"]), self.shown(&function["reply"]));
            let member = |name: &str| function[name].as_str().unwrap().to_owned();
            let early = if function["login"] == json!(true) { "" } else { "°" };
            let (name, about) = (member("name"), member("description"));
            text.push_str(&format!("| **{name}**{early}: {about} | {takes} | {gives} |\n"));
        }
        text.push_str("\n° before Login, too. Members with ? may be left out.\n\n");
        text.push_str("| type | members |\n| --- | --- |\n");
        let mut written = BTreeSet::new();
        while let Some(name) = self.named.difference(&written).next().cloned() {
            let members = self.shown(&self.list["schemas"][&name].clone());
            text.push_str(&format!("| {name} | {members} |\n"));
            written.insert(name);
        }
        text
    }
}

#[test]
fn the_documentation_has_the_table() {
    let name = "docs/gateway.md";
    let kept =
        std::fs::read_to_string(file(name)).unwrap_or_else(|_| format!("# The real-time gateway\n\n{BEGIN}{END}"));
    let (before, rest) = kept
        .split_once(BEGIN)
        .unwrap_or_else(|| panic!("{name} needs a line {BEGIN}"));
    let (_, after) = rest
        .split_once(END)
        .unwrap_or_else(|| panic!("{name} needs a line {END}"));
    let made = Documentation {
        list: list(),
        named: BTreeSet::new(),
    };
    golden(name, &format!("{before}{BEGIN}\n{}\n{END}{after}", made.text()));
}
