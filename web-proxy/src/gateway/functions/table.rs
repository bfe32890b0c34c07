//! The table: one line for each function.

use std::time::Duration;

use common::views::{Comment, Danmaku, Deletion, NewVideo, Playback, User, Video, VideoAnswer};
use utoipa::ToSchema;

use super::calls::{ApiCall, Plan, comments, danmaku, users, videos};
use super::list::Schemas;
use super::reply::{
    CommentPage, DanmakuPage, FunctionList, JoinedRoom, LeftRoom, LoginReply, LoginStatus, LoginUser, MemberCount,
    Nothing, Pong, Users, VideoPage,
};
use super::request::{
    CommentDraft, CommentQuery, DanmakuDraft, DanmakuQuery, LoginData, LogoutData, NoData, OneComment, OneVideo,
    RoomPosition, SelfInfo, Usernames, VideoChange, VideoDeletion, VideoDraft, VideoQuery,
};
use super::{Function, Group, Kind, Local};

struct Table {
    deadline: Duration,
    schemas: Schemas,
    functions: Vec<Function>,
}

impl Table {
    fn line<In: ToSchema, Out: ToSchema>(&mut self, group: Group, name: &'static str, kind: Kind, about: &'static str) {
        self.functions.push(Function {
            name,
            group,
            // What a connection does before it has an event stream, and to learn whether it has one.
            needs_login: group != Group::Session,
            deadline: self.deadline,
            about,
            request: self.schemas.of::<In>(),
            reply: self.schemas.of::<Out>(),
            kind,
        });
    }

    fn local<In: ToSchema, Out: ToSchema>(
        &mut self,
        group: Group,
        name: &'static str,
        kind: Local,
        about: &'static str,
    ) {
        self.line::<In, Out>(group, name, Kind::Local(kind), about);
    }

    fn call<In: ToSchema, Out: ToSchema>(&mut self, group: Group, name: &'static str, plan: Plan, about: &'static str) {
        self.line::<In, Out>(group, name, Kind::Api(ApiCall::One(plan)), about);
    }
}

#[rustfmt::skip]
pub fn build(deadline: Duration) -> (Vec<Function>, Schemas) {
    let mut t = Table { deadline, schemas: Schemas::default(), functions: Vec::new() };

    let group = Group::Session;
    t.local::<LoginData, LoginReply>(group, "Login", Local::Login, "Opens the event stream; with `rooms` it joins them, too");
    t.local::<LogoutData, Nothing>(group, "Logout", Local::Logout, "Ends the event stream and the room memberships; with `session` the session, too");
    t.local::<NoData, LoginStatus>(group, "GetLoginStatus", Local::GetLoginStatus, "Whether the connection is logged in");
    t.local::<NoData, LoginUser>(group, "GetLoginUser", Local::GetLoginUser, "Whose connection it is");
    t.local::<NoData, FunctionList>(group, "ListFunctions", Local::ListFunctions, "The functions with JSON schemas");
    t.local::<NoData, Pong>(group, "Ping", Local::Ping, "Nothing but an answer");

    let group = Group::User;
    t.call::<NoData, User>(group, "GetSelfUserInfo", users::me, "The caller");
    t.call::<SelfInfo, User>(group, "SetSelfInfo", users::change_me, "Changes what is shown of the caller");
    t.line::<Usernames, Users>(group, "GetUsersInfo", Kind::Api(ApiCall::Users), "Public profiles of up to 50 people");

    let group = Group::Video;
    t.call::<VideoQuery, VideoPage>(group, "ListVideos", videos::list, "Public videos that are ready");
    t.call::<OneVideo, Video>(group, "GetVideo", videos::show, "One video");
    t.call::<VideoDraft, NewVideo>(group, "CreateVideo", videos::create, "Creates a video, with a ticket to upload its file");
    t.call::<VideoChange, Video>(group, "UpdateVideo", videos::change, "Changes a video of the caller");
    t.call::<VideoDeletion, VideoAnswer>(group, "DeleteVideo", videos::delete, "Moves a video of the caller to the trash, or purges it");
    t.call::<OneVideo, VideoAnswer>(group, "RestoreVideo", videos::restore, "Brings a video of the caller back from the trash");
    t.call::<OneVideo, Playback>(group, "GetPlayback", videos::playback, "Addresses that play a video");
    t.call::<OneVideo, Deletion>(group, "GetDeletion", videos::deletion, "How far the deletion of a video of the caller is");

    let group = Group::Comment;
    t.call::<CommentDraft, Comment>(group, "PostComment", comments::create, "Comments on a video");
    t.call::<CommentQuery, CommentPage>(group, "ListComments", comments::list, "The comments of a video, the newest first");
    t.call::<OneComment, Nothing>(group, "DeleteComment", comments::remove, "Takes a comment back; its author and the owner of the video may");

    let group = Group::Room;
    t.local::<RoomPosition, JoinedRoom>(group, "JoinRoom", Local::JoinRoom, "Joins the room of a video, with what was missed since `afterSeq`");
    t.local::<OneVideo, LeftRoom>(group, "LeaveRoom", Local::LeaveRoom, "Leaves a room");
    t.call::<DanmakuDraft, Danmaku>(group, "SendDanmaku", danmaku::create, "Sends a danmaku");
    t.call::<DanmakuQuery, DanmakuPage>(group, "ListDanmaku", danmaku::list, "Danmaku of a stretch of the video, or after one of them");
    t.local::<OneVideo, MemberCount>(group, "GetRoomMemberCount", Local::GetRoomMemberCount, "How many connections are in a room");
    (t.functions, t.schemas)
}
