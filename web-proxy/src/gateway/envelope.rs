//! The envelope of calls and answers, apart from any socket: `{"reqFuncName","operationID","data","userID"?,"batchMsg"?}` in,
//! `{"event","errCode","errMsg","data","operationID"}` out.
//!
//! Members that this platform does not know are skipped: clients of the OpenIM server send their own. Those it knows are
//! taken at their exact types, once. The text of `data` is kept as it is; the function that is called reads it.

mod answer;
mod salvage;

use common::operation::OperationId;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use answer::reply;
use salvage::Salvage;

/// Deepest nesting of a frame, and of the JSON inside a data string. No request of ours is deeper than 4.
pub const MAX_DEPTH: usize = 32;
/// Longest function name, in bytes. The longest that OpenIM has is 39.
const MAX_NAME: usize = 64;
/// An operation id that is not well formed is given back to who sent it up to this length, in bytes.
const MAX_ECHO: usize = 256;

/// `errCode` where the failure is the protocol's own. All other numbers are those of `common::error`.
pub mod err_code {
    pub const OK: u16 = 0;
    /// The frame is not JSON of this shape.
    pub const FRAME: u16 = 100;
    /// A parameter or the function's name is wrong, or the function panicked.
    pub const BAD_PARAMETER: u16 = 1001;
    pub const LOGIN_PENDING: u16 = 1002;
    pub const NOT_LOGGED_IN: u16 = 1003;
    pub const NOT_READY: u16 = 1004;
    /// A function of the OpenIM server that means nothing on a video platform.
    pub const UNSUPPORTED: u16 = 1005;
}

/// How `data` is written: OpenIM clients write JSON into a string, and expect it back so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataForm {
    Text,
    Object,
}

/// Why a call is not answered with data: the number and the words for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub message: String,
}

impl Refusal {
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        Refusal { code, message }
    }

    /// With the number of the catalogue.
    pub fn of(code: common::error::Code, message: impl Into<String>) -> Self {
        Refusal::new(code.entry().number, message)
    }

    pub fn bad_parameter(message: impl Into<String>) -> Self {
        Refusal::new(err_code::BAD_PARAMETER, message)
    }
}

/// A frame that is no call, with what its answer needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFrame {
    /// The function's name as far as it could be read, else empty.
    pub event: String,
    /// The operation id as far as it could be read, else empty. As the client wrote it: not for the log.
    pub operation: String,
    /// As in [`Request::form`].
    pub form: Option<DataForm>,
    pub refusal: Refusal,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Not looked up yet.
    pub function: String,
    /// The client's, or a fresh one.
    pub operation: OperationId,
    /// Whom the client takes itself for. Not checked yet.
    pub user: Option<String>,
    /// Whether pushed entries are to come as arrays.
    pub batch: Option<bool>,
    /// Empty when there is none. An object or an array in the object form; what the string holds, JSON or not, in the
    /// text form.
    pub data: String,
    /// `None` when the frame has no data: the answer takes the form of the connection.
    pub form: Option<DataForm>,
}

/// The members as they stand in a frame.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(rename = "reqFuncName")]
    function: String,
    #[serde(rename = "operationID", default, deserialize_with = "given")]
    operation: Option<String>,
    #[serde(rename = "userID", default, deserialize_with = "given")]
    user: Option<String>,
    #[serde(rename = "batchMsg", alias = "batch", default, deserialize_with = "given")]
    batch: Option<u64>,
    #[serde(borrow, default, deserialize_with = "given")]
    data: Option<&'a RawValue>,
}

/// A member that may be missing, but not null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Request {
    /// Reads a frame.
    pub fn parse(text: &str) -> Result<Request, BadFrame> {
        read(text).map_err(|refusal| {
            let Salvage {
                function,
                operation,
                form,
            } = Salvage::of(text);
            BadFrame {
                event: function.filter(|name| name.len() <= MAX_NAME).unwrap_or_default(),
                operation: operation.filter(|id| id.len() <= MAX_ECHO).unwrap_or_default(),
                form,
                refusal,
            }
        })
    }
}

impl BadFrame {
    /// The answer; `usual` is the form of the connection.
    #[must_use]
    pub fn reply(&self, usual: DataForm) -> String {
        let Refusal { code, message } = &self.refusal;
        let form = self.form.unwrap_or(usual);
        reply(&self.event, *code, message, "", &self.operation, form)
    }
}

fn read(text: &str) -> Result<Request, Refusal> {
    if is_too_deep(text) {
        return Err(malformed(format!(
            "The frame is nested deeper than {MAX_DEPTH} levels."
        )));
    }
    let members = members(text)?;
    if members.function.is_empty() || members.function.len() > MAX_NAME {
        return Err(malformed(format!(
            "reqFuncName: the name of a function, 1 to {MAX_NAME} bytes; ListFunctions tells them."
        )));
    }
    let batch = match members.batch {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(_) => return Err(malformed("batchMsg: 0 or 1.")),
    };
    let (data, form) = members.data.map_or(Ok((String::new(), None)), data)?;
    let operation = match members.operation {
        None => OperationId::mint(),
        Some(id) => OperationId::parse(&id).ok_or_else(|| {
            Refusal::bad_parameter("operationID: 1 to 64 characters of A-Z a-z 0-9 . _ -, or no such member.")
        })?,
    };
    Ok(Request {
        function: members.function,
        operation,
        user: members.user,
        batch,
        data,
        form,
    })
}

fn members(text: &str) -> Result<Members<'_>, Refusal> {
    let first = text.bytes().find(|byte| !byte.is_ascii_whitespace());
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Members>(&mut json) {
        // serde takes an array for a struct, member by member: nobody means that.
        Ok(_) if first != Some(b'{') => Err(not_an_object()),
        Ok(members) => json.end().map(|()| members).map_err(|error| not_json(&error)),
        Err(error) if !error.inner().is_data() => Err(not_json(error.inner())),
        Err(_) if first != Some(b'{') => Err(not_an_object()),
        Err(error) => Err(wrong_member(&error)),
    }
}

/// The text of `data` and its form.
fn data(raw: &RawValue) -> Result<(String, Option<DataForm>), Refusal> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(text)
                .map_err(|_| malformed("data: the string has an escape that stands for no character."))?;
            if is_too_deep(&text) {
                return Err(malformed(format!(
                    "data: the JSON in the string is nested deeper than {MAX_DEPTH} levels."
                )));
            }
            Ok((text, Some(DataForm::Text)))
        }
        Some(b'n') => Ok((String::new(), Some(DataForm::Object))),
        Some(b'{' | b'[') => Ok((text.to_owned(), Some(DataForm::Object))),
        _ => Err(malformed(
            "data: an object, an array, null, or a string that holds JSON.",
        )),
    }
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(err_code::FRAME, message)
}

fn not_an_object() -> Refusal {
    malformed(r#"The frame is JSON, but not an object like {"reqFuncName":"Ping","operationID":"1","data":""}."#)
}

fn not_json(error: &serde_json::Error) -> Refusal {
    malformed(format!("The frame is not JSON: {error}."))
}

/// Which member is wrong, and what would be right.
fn wrong_member(error: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let text = error.inner().to_string();
    if let Some(name) = quoted(&text, "missing field `") {
        return malformed(format!("{name} is missing; it names the function, such as \"Ping\"."));
    }
    if let Some(name) = quoted(&text, "duplicate field `") {
        return malformed(format!("{name} stands more than once."));
    }
    let name = error.path().to_string();
    let right = match name.as_str() {
        "batchMsg" | "batch" => "0 or 1",
        "data" => "an object, an array, null, or a string that holds JSON",
        _ => "a string",
    };
    malformed(format!("{name}: {right}."))
}

fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.split('`').next()
}

/// Counted over the bytes: the parser's own skipping has no bound. Text that is not JSON may be counted wrongly; it is
/// refused anyway.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' if depth == MAX_DEPTH => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
