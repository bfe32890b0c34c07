//! The JSON of the table: what `ListFunctions` answers, and the source of the TypeScript types and of the documentation.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::Function;
use super::reply::{FunctionEntry, FunctionList};

/// Where utoipa's references point, and ours.
const THEIRS: &str = "#/components/schemas/";
const OURS: &str = "#/schemas/";

/// Schemas by name.
#[derive(Default)]
pub struct Schemas(Map<String, Value>);

impl Schemas {
    /// A reference to the schema of `T`, which is added with all it refers to.
    pub fn of<T: ToSchema>(&mut self) -> Value {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        for (name, schema) in found {
            self.add(name, &schema);
        }
        json!({ "$ref": format!("{OURS}{}", T::name()) })
    }

    fn add(&mut self, name: String, schema: &RefOr<Schema>) {
        let mut schema = serde_json::to_value(schema).expect("a schema is plain data");
        point_here(&mut schema);
        let earlier = self.0.insert(name.clone(), schema.clone());
        assert!(
            earlier.is_none_or(|earlier| earlier == schema),
            "two types are named {name}"
        );
    }
}

/// Rewrites the references inside of a schema.
fn point_here(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => *target = target.replace(THEIRS, OURS),
                    member => point_here(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(point_here),
        _ => {}
    }
}

pub fn text(functions: &[Function], schemas: &Schemas) -> String {
    let entry = |function: &Function| FunctionEntry {
        name: function.name,
        group: function.group.name(),
        description: function.about,
        login: function.needs_login,
        deadline_ms: u64::try_from(function.deadline.as_millis()).unwrap_or(u64::MAX),
        request: function.request.clone(),
        reply: function.reply.clone(),
    };
    let list = FunctionList {
        functions: functions.iter().map(entry).collect(),
        schemas: schemas.0.clone(),
    };
    serde_json::to_string(&list).expect("the table is plain data")
}
