//! A function on its way from a frame to its answer.

use std::sync::Arc;

use crate::gateway::envelope::{self, DataForm, Refusal, Request, err_code};
use crate::gateway::functions::Function;

/// A function to be run.
#[derive(Debug, Clone)]
pub struct Call {
    pub function: Arc<Function>,
    pub request: Request,
    /// The form of its answer.
    pub form: DataForm,
    /// The login it belongs to.
    pub epoch: u32,
}

impl Call {
    /// The frame that answers it.
    pub fn reply(&self, outcome: &Result<String, Refusal>) -> String {
        let (code, message, data) = match outcome {
            Ok(data) => (err_code::OK, "", data.as_str()),
            Err(refusal) => (refusal.code, refusal.message.as_str(), ""),
        };
        let Request {
            function, operation, ..
        } = &self.request;
        envelope::reply(function, code, message, data, operation.as_str(), self.form)
    }
}
