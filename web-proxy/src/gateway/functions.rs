//! The functions of the gateway: a table built at start, with the types of what each takes and gives.
//!
//! Functions about the connection itself are run by it ([`Kind::Local`]); all others are calls to api-service's HTTP
//! contract with the user's own token. The gateway has no rule of its own about videos: it checks the shape of a request,
//! api-service decides about the content.

pub mod calls;
mod input;
mod list;
pub mod reply;
pub mod request;
mod table;
mod unsupported;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use common::config::Secret;
use common::messages::TokenOwner;
use serde_json::Value;

pub use calls::ApiCall;
pub use input::read;

/// Whom a call is made for.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token of the session that the connection belongs to.
    pub token: Secret,
    pub owner: Arc<TokenOwner>,
    /// The client's own, behind all proxies.
    pub address: IpAddr,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Function {
    pub name: &'static str,
    pub group: Group,
    /// Whether it is answered 1003 before Login.
    pub needs_login: bool,
    /// It has answered by then, one way or the other.
    pub deadline: Duration,
    /// What it does, in one line.
    pub about: &'static str,
    /// A reference into the schemas of the list.
    pub request: Value,
    pub reply: Value,
    pub kind: Kind,
}

/// What a function is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Session,
    User,
    Video,
    Comment,
    Room,
}

impl Group {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Group::Session => "session",
            Group::User => "user",
            Group::Video => "video",
            Group::Comment => "comment",
            Group::Room => "room",
        }
    }
}

/// Who runs it.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Local(Local),
    Api(ApiCall),
}

/// Functions about the connection itself and its rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    Login,
    Logout,
    GetLoginStatus,
    GetLoginUser,
    ListFunctions,
    Ping,
    JoinRoom,
    LeaveRoom,
    GetRoomMemberCount,
}

/// What is known of a name.
#[derive(Debug, Clone)]
pub enum Found {
    Function(Arc<Function>),
    /// A function of the OpenIM server that means nothing on a video platform: 1005.
    Unsupported,
    /// 1001.
    Unknown,
}

/// The table.
pub struct Functions {
    all: Vec<Arc<Function>>,
    by_name: HashMap<&'static str, usize>,
    list: Arc<str>,
}

impl Functions {
    /// Every function has `deadline` to answer.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let (all, schemas) = table::build(deadline);
        let list = list::text(&all, &schemas);
        let by_name = all.iter().enumerate().map(|(at, function)| (function.name, at));
        Functions {
            by_name: by_name.collect(),
            all: all.into_iter().map(Arc::new).collect(),
            list: list.into(),
        }
    }

    #[must_use]
    pub fn lookup(&self, name: &str) -> Found {
        match self.by_name.get(name) {
            Some(at) => Found::Function(self.all[*at].clone()),
            None if unsupported::is_of_openim(name) => Found::Unsupported,
            None => Found::Unknown,
        }
    }

    /// In the order of the documentation.
    pub fn all(&self) -> impl Iterator<Item = &Function> {
        self.all.iter().map(Arc::as_ref)
    }

    /// The answer of `ListFunctions`: `{"functions":[…],"schemas":{…}}`.
    #[must_use]
    pub fn list(&self) -> &Arc<str> {
        &self.list
    }
}
