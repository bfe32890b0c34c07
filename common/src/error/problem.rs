//! The problem document on the wire (RFC 9457) as this platform writes and reads it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::FieldError;

pub const PROBLEM_JSON: &str = "application/problem+json";

/// The body of every failed request, `application/problem+json` (RFC 9457 section 3).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `/problems/<code>`, or the address of a registered problem type.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// The name of the failure; the list is closed, see docs/http-api.md.
    pub code: String,
    #[serde(rename = "errCode")]
    pub err_code: u16,
    /// The id to name when asking for help; it stands in every log line of the request.
    #[serde(rename = "operationID")]
    pub operation_id: String,
    /// One entry for each field that was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Members of single codes, such as `maxBytes` of `body_too_large`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub extra: Map<String, Value>,
}
