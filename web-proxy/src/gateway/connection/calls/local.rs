//! The functions that the gateway answers by itself: login, rooms and what is known of the connection. What has to be waited
//! for comes first; then everything happens in one step, or nothing does.

use std::rc::{Rc, Weak};
use std::time::Duration;

use common::ids::VideoId;
use common::time::Timestamp;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::gone;
use crate::gateway::connection::Connection;
use crate::gateway::connection::belonging::Ticket;
use crate::gateway::envelope::{DataForm, Refusal, err_code};
use crate::gateway::functions::request::{LoginData, LogoutData, NoData, OneVideo, RoomPosition};
use crate::gateway::functions::{self, Caller, Kind, Local};
use crate::gateway::rooms::{self, Budget, Joining, MAX_PER_CONNECTION};
use crate::gateway::session::Call;
use crate::gateway::shard::Shard;

pub(super) async fn perform(
    shard: &Rc<Shard>,
    connection: &Weak<Connection>,
    call: &Call,
    function: Local,
) -> Result<String, Refusal> {
    let caller = connection.upgrade().ok_or_else(gone)?.caller.clone();
    match function {
        Local::Login => login(shard, connection, &caller, call).await,
        Local::Logout => logout(shard, connection, &caller, call).await,
        Local::JoinRoom => join(shard, connection, &caller, call).await,
        Local::LeaveRoom => leave(connection, call),
        Local::GetRoomMemberCount => count(shard, &caller, call).await,
        Local::GetLoginUser => {
            let NoData {} = functions::read(&call.request.data)?;
            let owner = &caller.owner;
            // In the string form as OpenIM answers it: the name alone.
            Ok(match call.form {
                DataForm::Text => json!(owner.username).to_string(),
                DataForm::Object => json!({ "userID": owner.user, "username": owner.username }).to_string(),
            })
        }
        Local::ListFunctions => {
            let NoData {} = functions::read(&call.request.data)?;
            Ok(shard.shared.functions.list().to_string())
        }
        Local::Ping => {
            let NoData {} = functions::read(&call.request.data)?;
            Ok(json!({ "serverTime": Timestamp::now() }).to_string())
        }
        // Answered by the session at once.
        Local::GetLoginStatus => Err(Refusal::new(err_code::NOT_READY, "Try again.")),
    }
}

/// Rooms of one login that are made ready at the same time, and how long all of them may take: those that are not ready by
/// then are joined later, the others are not held up.
const ROOMS_AT_ONCE: usize = 4;
const ROOMS_DEADLINE: Duration = Duration::from_secs(4);

fn late() -> Refusal {
    Refusal::new(err_code::NOT_READY, "The room was not ready in time; join it again.")
}

async fn login(
    shard: &Rc<Shard>,
    connection: &Weak<Connection>,
    caller: &Caller,
    call: &Call,
) -> Result<String, Refusal> {
    let request: LoginData = functions::read(&call.request.data)?;
    let own = &caller.owner;
    if request
        .user
        .as_ref()
        .is_some_and(|user| user != own.user.as_str() && *user != own.username)
    {
        return Err(Refusal::bad_parameter("userID: not the user of this connection."));
    }
    if request
        .token
        .as_ref()
        .is_some_and(|token| !common::http::same_secret(token.expose(), caller.token.expose()))
    {
        return Err(Refusal::bad_parameter("token: not that of this connection."));
    }
    let asked = request.rooms.as_deref().unwrap_or_default();
    if asked.len() > MAX_PER_CONNECTION {
        return Err(Refusal::bad_parameter(format!("rooms: at most {MAX_PER_CONNECTION}.")));
    }
    shard
        .shared
        .tokens
        .check(caller.token.expose())
        .await
        .map_err(|error| Refusal::of(error.code(), error.detail()))?;
    shard.shared.efforts.spend(&own.user, asked.len() + 1)?;
    let (budget, until) = (Budget::default(), Instant::now() + ROOMS_DEADLINE);
    let tickets: Vec<Ticket> = asked.iter().map(|room| Ticket::new(connection, &room.video)).collect();
    let ready: Vec<_> = stream::iter(asked)
        .map(|room| async {
            let ready = rooms::prepare(shard, caller, &room.video, room.after_seq, &budget);
            timeout_at(until, ready).await.unwrap_or_else(|_| Err(late()))
        })
        .buffered(ROOMS_AT_ONCE)
        .collect()
        .await;

    let connection = connection.upgrade().ok_or_else(gone)?;
    if !connection.log_in(shard, call) {
        return Err(Refusal::new(
            err_code::NOT_LOGGED_IN,
            "Logged out while the login was under way.",
        ));
    }
    if request.rooms.is_none() {
        return Ok(r#""ok""#.to_owned());
    }
    let joined = asked.iter().zip(ready).zip(tickets).map(|((room, ready), ticket)| {
        let ready = ready.and_then(|ready| ticket.use_up().map(|()| ready));
        enter(shard, &connection, &room.video, ready)
    });
    Ok(format!(r#"{{"rooms":[{}]}}"#, joined.collect::<Vec<_>>().join(",")))
}

/// One room of a login: what became of it.
fn enter(shard: &Rc<Shard>, connection: &Rc<Connection>, id: &VideoId, ready: Result<Joining, Refusal>) -> String {
    match ready.and_then(|joining| joining.commit(shard, connection)) {
        // The answer of JoinRoom, with what a list of them needs.
        Ok(joined) => format!(r#"{{"errCode":0,"errMsg":"",{}"#, &joined[1..]),
        Err(Refusal { code, message }) => json!({ "videoID": id, "errCode": code, "errMsg": message }).to_string(),
    }
}

/// Whether `call` is a logout that has nobody to ask: it happens when it is read, so that a login behind it is another one.
pub(super) fn is_plain_logout(call: &Call) -> bool {
    let is_logout = matches!(call.function.kind, Kind::Local(Local::Logout));
    is_logout && functions::read::<LogoutData>(&call.request.data).is_ok_and(|request| !request.session)
}

async fn logout(
    shard: &Rc<Shard>,
    connection: &Weak<Connection>,
    caller: &Caller,
    call: &Call,
) -> Result<String, Refusal> {
    let request: LogoutData = functions::read(&call.request.data)?;
    if request.session {
        shard.shared.efforts.spend(&caller.owner.user, 1)?;
        shard.api.end_session(caller).await?;
        connection.upgrade().ok_or_else(gone)?.log_out(shard);
    }
    Ok(String::new())
}

async fn join(
    shard: &Rc<Shard>,
    connection: &Weak<Connection>,
    caller: &Caller,
    call: &Call,
) -> Result<String, Refusal> {
    let RoomPosition { video, after_seq } = functions::read(&call.request.data)?;
    let ticket = Ticket::new(connection, &video);
    shard.shared.efforts.spend(&caller.owner.user, 1)?;
    let ready = rooms::prepare(shard, caller, &video, after_seq, &Budget::default()).await?;
    ticket.use_up()?;
    let connection = connection.upgrade().ok_or_else(gone)?;
    if !connection.is_logged_in(call.epoch) {
        return Err(Refusal::new(
            err_code::NOT_LOGGED_IN,
            "Logged out while the room was being joined.",
        ));
    }
    if let Some(batch) = call.request.batch {
        connection.set_batch(batch);
    }
    ready.commit(shard, &connection)
}

fn leave(connection: &Weak<Connection>, call: &Call) -> Result<String, Refusal> {
    let OneVideo { video } = functions::read(&call.request.data)?;
    connection.upgrade().ok_or_else(gone)?.leave(&video);
    Ok(json!({ "videoID": video }).to_string())
}

/// Also for who is not in the room, if it may be.
async fn count(shard: &Rc<Shard>, caller: &Caller, call: &Call) -> Result<String, Refusal> {
    let OneVideo { video } = functions::read(&call.request.data)?;
    shard.shared.efforts.spend(&caller.owner.user, 1)?;
    let ready = rooms::prepare(shard, caller, &video, None, &Budget::default()).await?;
    Ok(json!({ "videoID": video, "count": ready.members() }).to_string())
}
