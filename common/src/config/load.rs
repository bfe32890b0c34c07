//! Merges the sources into one tree, refuses what the tree of defaults does not know, and reads the types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::{Table, Value};

use super::{Config, ConfigError};

const ENV_PREFIX: &str = "SLUICE_";

/// Names in the environment that are not `SLUICE_<SECTION>__<KEY>`: short forms people type, and what is not configuration.
const ENV_ALIASES: &[(&str, &str)] = &[
    ("SLUICE_ADMIN_PASSWORD_FILE", "SLUICE_SECRETS__ADMIN_PASSWORD_FILE"),
    ("SLUICE_ADMIN_USERNAME", "SLUICE_SECRETS__ADMIN_USERNAME"),
];

/// `SLUICE_CONFIG` names the file; `SLUICE_TEST_*` belongs to the test suites.
fn is_configuration(name: &str) -> bool {
    name.starts_with(ENV_PREFIX) && name != "SLUICE_CONFIG" && !name.starts_with("SLUICE_TEST_")
}

/// Where values come from, weakest first.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub file: Option<PathBuf>,
    /// The environment; names that don't begin with `SLUICE_` are not looked at.
    pub env: BTreeMap<String, String>,
    /// `(key, value)` such as `("server.listen", "127.0.0.1:0")`.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// `file` and the environment of this process.
    #[must_use]
    pub fn from_env(file: Option<PathBuf>) -> Self {
        // Not UTF-8 can't be one of our names or values.
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Sources {
            file,
            env: env.collect(),
            flags: Vec::new(),
        }
    }
}

/// A configuration and where it came from, so that it can be read again.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub sources: Sources,
}

impl Loaded {
    pub fn read(sources: Sources) -> Result<Self, ConfigError> {
        Ok(Loaded {
            config: load(&sources)?,
            sources,
        })
    }
}

/// The tree of defaults: every key that exists, with a value of its type.
pub(super) fn schema() -> Table {
    match Value::try_from(Config::default()) {
        Ok(Value::Table(table)) => table,
        other => unreachable!("the configuration is a table: {other:?}"),
    }
}

/// Reads all sources. Errors begin with the key, the variable or the file.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let schema = schema();
    let mut tree = match &sources.file {
        Some(path) => read_file(path)?,
        None => Table::new(),
    };
    refuse_unknown(&tree, &schema)?;
    let mut given: BTreeMap<String, &String> = BTreeMap::new();
    for (name, value) in sources.env.iter().filter(|(name, _)| is_configuration(name)) {
        let (key, text) = resolve_env(name, value, &schema)?;
        // Which of the two counts would be a guess; one may be a secret that was thought to be replaced.
        if let Some(other) = given.insert(key.clone(), name) {
            return Err(ConfigError::new(
                name,
                format!("the same key is given as {other}; leave one of them out"),
            ));
        }
        set(&mut tree, &schema, &key, &text).map_err(|problem| ConfigError::new(name, problem))?;
    }
    for (key, value) in &sources.flags {
        set(&mut tree, &schema, key, value).map_err(|problem| ConfigError::new(key, problem))?;
    }
    let config: Config = serde_path_to_error::deserialize(Value::Table(tree)).map_err(|error| {
        let key = error.path().to_string();
        ConfigError::new(key, first_line(&error.into_inner().to_string()))
    })?;
    config.validate()?;
    Ok(config)
}

fn read_file(path: &std::path::Path) -> Result<Table, ConfigError> {
    let name = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|error| ConfigError::new(&name, format!("can't be read: {error}")))?;
    text.parse::<Table>()
        .map_err(|error| ConfigError::new(&name, format!("is not TOML: {}", error.message())))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn refuse_unknown(tree: &Table, schema: &Table) -> Result<(), ConfigError> {
    for (section, value) in tree {
        let Some(Value::Table(known)) = schema.get(section) else {
            return Err(unknown(section, section, schema.keys()));
        };
        let Value::Table(table) = value else {
            return Err(ConfigError::new(section, format!("is a section: write [{section}]")));
        };
        if let Some(key) = table.keys().find(|key| !known.contains_key(*key)) {
            return Err(unknown(&format!("{section}.{key}"), key, known.keys()));
        }
    }
    Ok(())
}

fn unknown<'a>(path: &str, name: &str, known: impl Iterator<Item = &'a String>) -> ConfigError {
    let nearest = known.map(|key| (distance(name, key), key)).min();
    match nearest {
        Some((changes, key)) if changes <= 3 => ConfigError::new(path, format!("unknown key; did you mean `{key}`?")),
        _ => ConfigError::new(path, "unknown key; `sluice default-config` prints the ones there are"),
    }
}

/// Levenshtein distance in bytes; names are short.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Key and text of a variable; `…_FILE` reads the text from a file, without its last newline, unless the key itself ends so.
fn resolve_env(name: &str, value: &str, schema: &Table) -> Result<(String, String), ConfigError> {
    let full = ENV_ALIASES
        .iter()
        .find(|(short, _)| *short == name)
        .map_or(name, |(_, full)| full);
    let key = full[ENV_PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
    let is_key = |(section, name): (&str, &str)| schema.get(section).is_some_and(|table| table.get(name).is_some());
    let itself = key.split_once('.').is_some_and(is_key);
    match key.strip_suffix("_file").filter(|_| !itself) {
        Some(key) => {
            let text = std::fs::read_to_string(value)
                .map_err(|error| ConfigError::new(name, format!("`{value}` can't be read: {error}")))?;
            Ok((key.to_owned(), text.trim_end_matches(['\n', '\r']).to_owned()))
        }
        None => Ok((key, value.to_owned())),
    }
}

/// Puts `text` at `key`, in the type that the default there has.
fn set(tree: &mut Table, schema: &Table, key: &str, text: &str) -> Result<(), String> {
    let (section, name) = key
        .split_once('.')
        .ok_or("a key is `section.name` (in the environment SLUICE_SECTION__NAME)")?;
    let default = schema.get(section).and_then(|table| table.get(name));
    let default = default.ok_or("unknown key; `sluice default-config` prints the ones there are")?;
    let value = match default {
        Value::Integer(_) => Value::Integer(
            text.trim()
                .parse()
                .map_err(|_| format!("`{text}` is not a whole number"))?,
        ),
        Value::Boolean(_) => Value::Boolean(
            text.trim()
                .parse()
                .map_err(|_| format!("`{text}` is not true or false"))?,
        ),
        Value::Array(_) => {
            // In a file each may have a line of its own.
            let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    };
    let table = tree.entry(section).or_insert_with(|| Value::Table(Table::new()));
    table
        .as_table_mut()
        .ok_or("is a section")?
        .insert(name.to_owned(), value);
    Ok(())
}
