//! Checks JSON against the schemas that `ListFunctions` gives: the part of JSON Schema 2020-12 that they use. A keyword that
//! is not known here is a failure, and so is a member that the schema does not name: types made from it would lack it.

use serde_json::{Map, Value};

/// The schemas of a function list.
pub struct Schemas<'a>(pub &'a Value);

impl Schemas<'_> {
    /// Whether `value` is what `schema` says; else where it is not.
    pub fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        self.at("$", schema, value)
    }

    fn at(&self, place: &str, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = schema.as_object().ok_or(format!("{place}: {schema} is no schema"))?;
        for (keyword, rule) in schema {
            self.keyword(place, schema, keyword, rule, value).map_err(|error| {
                if error.starts_with('$') {
                    error
                } else {
                    format!("{place}: {error}: {value}")
                }
            })?;
        }
        Ok(())
    }

    fn keyword(
        &self,
        place: &str,
        schema: &Map<String, Value>,
        keyword: &str,
        rule: &Value,
        value: &Value,
    ) -> Result<(), String> {
        let count = value.as_array().map_or(0, Vec::len) as u64;
        let holds = match keyword {
            "description" | "title" | "examples" | "default" => true,
            // An annotation, except where we know what it means.
            "format" => is_of_format(rule.as_str().unwrap_or_default(), value),
            "$ref" => {
                let name = rule.as_str().unwrap_or_default();
                let path = name.strip_prefix('#').unwrap_or(name);
                let target = self.0.pointer(path).ok_or(format!("{name} is not there"))?;
                return self.at(place, target, value);
            }
            "oneOf" => {
                let fits = options(rule).filter(|option| self.at(place, option, value).is_ok());
                fits.count() == 1
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is_of_type(one, value)),
                one => is_of_type(one, value),
            },
            "enum" => options(rule).any(|option| option == value),
            "minimum" => value.as_f64() >= rule.as_f64() || !value.is_number(),
            "maximum" => value.as_f64() <= rule.as_f64() || !value.is_number(),
            "minItems" => count >= rule.as_u64().unwrap_or(0),
            "maxItems" => count <= rule.as_u64().unwrap_or(0),
            "required" => value.is_null() || options(rule).all(|name| value.get(name.as_str().unwrap()).is_some()),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.at(&format!("{place}[{index}]"), rule, item)?;
                }
                true
            }
            "properties" => return self.members(place, rule, value),
            // With properties they are all there may be in any case.
            "additionalProperties" if *rule == Value::Bool(false) => {
                schema.contains_key("properties") || value.as_object().is_none_or(Map::is_empty)
            }
            unknown => return Err(format!("the keyword {unknown} is not known")),
        };
        if holds {
            Ok(())
        } else {
            Err(format!("not {keyword} {rule}"))
        }
    }

    fn members(&self, place: &str, rules: &Value, value: &Value) -> Result<(), String> {
        for (name, member) in value.as_object().into_iter().flatten() {
            let rule = rules
                .get(name)
                .ok_or(format!("{place}: the member {name} is not described"))?;
            self.at(&format!("{place}.{name}"), rule, member)?;
        }
        Ok(())
    }
}

fn options(rule: &Value) -> impl Iterator<Item = &Value> {
    rule.as_array().into_iter().flatten()
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    }
}

fn is_of_format(name: &str, value: &Value) -> bool {
    match name {
        "int32" => value.as_i64().is_none_or(|number| i32::try_from(number).is_ok()),
        "date-time" => value
            .as_str()
            .is_none_or(|text| text.len() >= 20 && text.contains('T') && text.ends_with('Z')),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(value: Value, expected: bool) {
        let schemas = json!({ "schemas": {
            "Id": { "type": "string" },
            "Thing": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": { "$ref": "#/schemas/Id" },
                    "n": { "type": ["integer", "null"], "minimum": 1, "maximum": 3 },
                    "kind": { "oneOf": [{ "type": "null" }, { "enum": ["a", "b"] }] },
                    "list": { "type": "array", "items": { "$ref": "#/schemas/Id" }, "maxItems": 2 },
                },
            },
        } });
        let outcome = Schemas(&schemas).check(&json!({ "$ref": "#/schemas/Thing" }), &value);
        assert_eq!(outcome.is_ok(), expected, "{value}: {outcome:?}");
    }

    #[test]
    fn what_is_right_and_what_is_not() {
        check(json!({ "id": "1" }), true);
        check(json!({ "id": "1", "n": 3, "kind": "a", "list": ["x", "y"] }), true);
        check(json!({ "id": "1", "n": null, "kind": null, "list": [] }), true);
        check(json!({}), false);
        check(json!({ "id": 1 }), false);
        check(json!({ "id": "1", "n": 0 }), false);
        check(json!({ "id": "1", "n": 1.5 }), false);
        check(json!({ "id": "1", "kind": "c" }), false);
        check(json!({ "id": "1", "list": ["x", 1] }), false);
        check(json!({ "id": "1", "list": ["x", "y", "z"] }), false);
        check(json!({ "id": "1", "more": true }), false);
        check(json!("id"), false);
    }

    #[test]
    fn a_keyword_that_is_not_known_is_a_failure() {
        let outcome = Schemas(&Value::Null).check(&json!({ "pattern": "^a" }), &json!("a"));
        assert!(outcome.unwrap_err().contains("pattern"));
    }
}
