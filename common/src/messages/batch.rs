//! Many calls of one kind, carried by one request: each is answered by itself, in the order in which they were made.

use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::operation::OperationId;

/// Calls of one request at most.
pub const MAX_CALLS: usize = 128;

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call<T> {
    /// What it is a part of: a request carries calls of many operations.
    #[serde(rename = "operationID")]
    pub operation: OperationId,
    #[serde(flatten)]
    pub wanted: T,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Calls<T> {
    /// 1 to [`MAX_CALLS`].
    pub calls: Vec<Call<T>>,
}

/// What became of one of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome<T> {
    Done(T),
    Problem(Problem),
}

/// An outcome without anything to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// As many as there were calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcomes<T> {
    pub outcomes: Vec<Outcome<T>>,
}
