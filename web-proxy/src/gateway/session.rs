//! The protocol of one connection, apart from its socket: frames in, steps out. It is told the time and waits for nothing.
//!
//! Login is a number (`epoch`) that grows with every login and logout: what was begun in one epoch changes nothing in
//! another, so that calls, logins and logouts may overtake each other in any order.

mod bucket;
mod call;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use common::error::Code;
use common::messages::TokenOwner;
use serde_json::json;

use super::envelope::{self, DataForm, Refusal, Request, err_code};
use super::frame::CloseCode;
use super::functions::{Found, Function, Functions, Kind, Local};
use bucket::Bucket;
pub use call::Call;

/// Calls of one connection that run at the same time; the next waits in the socket.
pub const MAX_IN_FLIGHT: u8 = 8;

/// Calls a second of one connection, and how many it may make at once after a rest.
pub const CALLS_PER_SECOND: u32 = 20;
pub const CALL_BURST: u32 = 40;

/// Pings of one connection, and how many at once: each is answered, which costs a write.
const PINGS_PER_SECOND: u32 = 10;
const PING_BURST: u32 = 100;

/// Bytes a second of one connection, and how many at once. All that may be called fits in; a stream of empty fragments, which
/// are no message and no call, does not for long.
const BYTES_PER_SECOND: u32 = 2 << 20;
const BYTE_BURST: u32 = 8 << 20;

/// Refused calls after which a client that goes on all the same is closed with 4429.
const MAX_IGNORED: u8 = 40;

/// What is to be done about a frame.
#[derive(Debug)]
pub enum Step {
    /// Send this text.
    Reply(String),
    /// Run it and tell [`Session::finished`], whatever came of it.
    Run(Call),
    /// Say this code and end.
    Close(CloseCode, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    Out,
    Pending,
    In,
}

impl Login {
    /// The numbers of OpenIM: logged out, logging in, logged in.
    const fn number(self) -> u8 {
        match self {
            Login::Out => 1,
            Login::Pending => 2,
            Login::In => 3,
        }
    }
}

/// The state of one connection.
pub struct Session {
    owner: Arc<TokenOwner>,
    login: Login,
    epoch: u32,
    in_flight: u8,
    ignored: u8,
    bucket: Bucket,
    pings: Bucket,
    bytes: Bucket,
    form: DataForm,
    batch: bool,
}

impl Session {
    /// `form` is that of events until the client has shown its own.
    pub fn new(owner: Arc<TokenOwner>, form: DataForm, now: Instant) -> Self {
        Session {
            owner,
            login: Login::Out,
            epoch: 0,
            in_flight: 0,
            ignored: 0,
            bucket: Bucket::full(now, CALLS_PER_SECOND, CALL_BURST),
            pings: Bucket::full(now, PINGS_PER_SECOND, PING_BURST),
            bytes: Bucket::full(now, BYTES_PER_SECOND, BYTE_BURST),
            form,
            batch: false,
        }
    }

    pub fn form(&self) -> DataForm {
        self.form
    }

    /// Whether entries are pushed as arrays.
    pub fn batch(&self) -> bool {
        self.batch
    }

    pub fn set_batch(&mut self, batch: bool) {
        self.batch = batch;
    }

    /// No further frame is to be handed in before a call has finished.
    pub fn is_full(&self) -> bool {
        self.in_flight >= MAX_IN_FLIGHT
    }

    /// Calls run.
    pub fn is_busy(&self) -> bool {
        self.in_flight > 0
    }

    pub fn is_logged_in(&self, epoch: u32) -> bool {
        self.login == Login::In && self.epoch == epoch
    }

    /// A text message.
    pub fn on_text(&mut self, text: &str, now: Instant, functions: &Functions) -> Step {
        if let Err(wait) = self.bucket.take(1, now) {
            self.ignored += 1;
            if self.ignored > MAX_IGNORED {
                return Step::Close(CloseCode::TooManyCalls, "too many calls");
            }
            let millis = wait.as_millis().max(1);
            let refusal = Refusal::of(
                Code::TooManyRequests,
                format!("At most {CALLS_PER_SECOND} calls a second; try again in {millis} ms."),
            );
            return Step::Reply(self.refuse_unread(text, refusal));
        }
        // Not forgotten at once: who sends ten times too much is let through now and then, too.
        self.ignored = self.ignored.saturating_sub(1);
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err(bad) => return Step::Reply(bad.reply(self.form)),
        };
        if let Some(form) = request.form {
            self.form = form;
        }
        match self.check(&request, functions) {
            Ok(function) => self.begin(function, request),
            Err(refusal) => Step::Reply(self.refuse(&request, &refusal)),
        }
    }

    /// A ping; `Err` when there were too many.
    pub fn on_ping(&mut self, now: Instant) -> Result<(), Step> {
        let flood = |_| Step::Close(CloseCode::TooManyCalls, "too many pings");
        self.pings.take(1, now).map_err(flood)
    }

    /// So many bytes came; `Err` when they were too many.
    pub fn on_bytes(&mut self, count: usize, now: Instant) -> Result<(), Step> {
        let flood = |_| Step::Close(CloseCode::TooManyCalls, "too many bytes");
        self.bytes
            .take(u32::try_from(count).unwrap_or(u32::MAX), now)
            .map_err(flood)
    }

    /// A binary message: no function takes one.
    pub fn on_binary(&self) -> Step {
        Step::Close(CloseCode::Envelope, "messages are text")
    }

    /// Which function is called, if it may be now.
    fn check(&self, request: &Request, functions: &Functions) -> Result<Arc<Function>, Refusal> {
        let function = match functions.lookup(&request.function) {
            Found::Function(function) => function,
            Found::Unsupported => {
                return Err(Refusal::new(
                    err_code::UNSUPPORTED,
                    "This platform has no such function.",
                ));
            }
            Found::Unknown => {
                return Err(Refusal::bad_parameter(
                    "There is no such function; ListFunctions tells them.",
                ));
            }
        };
        if let Some(user) = &request.user
            && !user.is_empty()
            && user != self.owner.user.as_str()
            && *user != self.owner.username
        {
            return Err(Refusal::bad_parameter("userID: not the user of this connection."));
        }
        let is_login = matches!(function.kind, Kind::Local(Local::Login));
        match self.login {
            Login::Out if function.needs_login => Err(Refusal::new(
                err_code::NOT_LOGGED_IN,
                "Not logged in: call Login first.",
            )),
            Login::Pending if function.needs_login || is_login => Err(Refusal::new(
                err_code::LOGIN_PENDING,
                "A login is under way; try again when it is over.",
            )),
            Login::Out | Login::Pending | Login::In => Ok(function),
        }
    }

    fn begin(&mut self, function: Arc<Function>, request: Request) -> Step {
        match &function.kind {
            Kind::Local(Local::GetLoginStatus) => {
                let status = self.login.number();
                // In the string form as OpenIM answers it: the bare number.
                let data = match request.form.unwrap_or(self.form) {
                    DataForm::Text => status.to_string(),
                    DataForm::Object => json!({ "status": status }).to_string(),
                };
                return Step::Reply(self.answer(&request, &data));
            }
            // Rooms may be named in a repeated login too: it is run again, and is logged in all the while.
            Kind::Local(Local::Login) if self.login == Login::Out => {
                self.login = Login::Pending;
                self.epoch += 1;
            }
            _ => {}
        }
        self.run(function, request)
    }

    fn run(&mut self, function: Arc<Function>, request: Request) -> Step {
        self.in_flight += 1;
        let form = request.form.unwrap_or(self.form);
        Step::Run(Call {
            function,
            request,
            form,
            epoch: self.epoch,
        })
    }

    /// A call that was to be run is over.
    pub fn finished(&mut self) {
        self.in_flight -= 1;
    }

    /// Ends a login that is pending since `epoch`; `false` when a logout came first: then nothing of it may stay.
    pub fn log_in(&mut self, epoch: u32, batch: Option<bool>) -> bool {
        if self.epoch != epoch || self.login == Login::Out {
            return false;
        }
        self.login = Login::In;
        self.batch = batch.unwrap_or(self.batch);
        true
    }

    /// The login of `epoch` came to nothing: the next one starts afresh.
    pub fn login_failed(&mut self, epoch: u32) {
        if self.epoch == epoch && self.login == Login::Pending {
            self.login = Login::Out;
        }
    }

    /// Ends the login, pending or not.
    pub fn log_out(&mut self) {
        self.login = Login::Out;
        self.epoch += 1;
    }

    fn answer(&self, request: &Request, data: &str) -> String {
        let form = request.form.unwrap_or(self.form);
        envelope::reply(
            &request.function,
            err_code::OK,
            "",
            data,
            request.operation.as_str(),
            form,
        )
    }

    fn refuse(&self, request: &Request, refusal: &Refusal) -> String {
        let form = request.form.unwrap_or(self.form);
        let Refusal { code, message } = refusal;
        envelope::reply(&request.function, *code, message, "", request.operation.as_str(), form)
    }

    /// Refuses a frame that is over the limit: it is read as far as its answer needs.
    fn refuse_unread(&self, text: &str, refusal: Refusal) -> String {
        match Request::parse(text) {
            Ok(request) => self.refuse(&request, &refusal),
            Err(bad) => envelope::BadFrame { refusal, ..bad }.reply(self.form),
        }
    }
}
