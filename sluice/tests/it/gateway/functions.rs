//! Every function of the table, called against the real services; each reply is what its schema says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rooms::couple;
use super::schema::Schemas;
use super::socket::Socket;
use crate::media;
use crate::person::Person;
use crate::site::{Home, Site};

/// Calls functions and checks what they answer.
struct Caller {
    socket: Socket,
    list: Value,
    called: BTreeSet<String>,
}

impl Caller {
    async fn new(person: &Person) -> Caller {
        let mut socket = Socket::open(person).await;
        let list = socket.ok("ListFunctions", json!({})).await;
        let mut caller = Caller {
            socket,
            list: list.clone(),
            called: BTreeSet::new(),
        };
        caller.check("ListFunctions", &list);
        caller
    }

    fn check(&mut self, name: &str, reply: &Value) {
        let functions = self.list["functions"].as_array().unwrap();
        let function = functions.iter().find(|function| function["name"] == name);
        let schema = &function.unwrap_or_else(|| panic!("{name} is not in the list"))["reply"];
        Schemas(&self.list)
            .check(schema, reply)
            .unwrap_or_else(|error| panic!("{name} answers {error}\n{reply}"));
        self.called.insert(name.to_owned());
    }

    async fn call(&mut self, name: &str, data: Value) -> Value {
        let request = self.schema(name, "request");
        Schemas(&self.list)
            .check(&request, &data)
            .unwrap_or_else(|error| panic!("{name} takes {error}"));
        let reply = self.socket.ok(name, data).await;
        self.check(name, &reply);
        reply
    }

    fn schema(&self, name: &str, which: &str) -> Value {
        let functions = self.list["functions"].as_array().unwrap();
        let function = functions.iter().find(|function| function["name"] == name);
        function.unwrap_or_else(|| panic!("{name} is not in the list"))[which].clone()
    }

    fn names(&self) -> BTreeSet<String> {
        let functions = self.list["functions"].as_array().unwrap();
        functions
            .iter()
            .map(|function| function["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn session_and_user(ann: &mut Caller) {
    assert_eq!(ann.call("GetLoginStatus", json!({})).await["status"], 1);
    ann.call("Ping", json!({})).await;
    assert_eq!(ann.call("GetLoginUser", json!({})).await["username"], "ann");
    assert_eq!(ann.call("Login", json!({})).await, "ok");
    assert_eq!(ann.call("GetLoginStatus", json!({})).await["status"], 3);
    assert_eq!(ann.call("GetSelfUserInfo", json!({})).await["username"], "ann");
    let changed = ann
        .call(
            "SetSelfInfo",
            json!({ "displayName": "Ann", "bio": "films", "language": "en" }),
        )
        .await;
    assert_eq!(changed["displayName"], "Ann");
    let found = ann
        .call(
            "GetUsersInfo",
            json!({ "usernames": ["bob", "nobody-of-this-name", "ann"] }),
        )
        .await;
    let names: Vec<&Value> = found["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["username"])
        .collect();
    assert_eq!(names, ["bob", "ann"]);
}

async fn videos(ann: &mut Caller, person: &Person, id: &str) {
    let video = json!({ "videoID": id });
    assert_eq!(
        ann.call("ListVideos", json!({ "q": "room", "limit": 5, "sort": "new" }))
            .await["items"][0]["id"],
        id
    );
    assert_eq!(ann.call("GetVideo", video.clone()).await["state"], "ready");
    ann.call("GetPlayback", video.clone()).await;
    let draft = json!({ "title": "By socket", "description": "d", "visibility": "unlisted" });
    let created = ann.call("CreateVideo", draft).await;
    let clip = media::clip("ordinary/video-h264-001.mp4");
    person.upload(&created["upload"], &clip).await.expect(201);
    let id = created["video"]["id"].as_str().unwrap();
    person.wait_for(id, "ready").await;
    let video = json!({ "videoID": id });
    let change = json!({ "videoID": id, "title": "Changed", "description": null, "visibility": "public" });
    assert_eq!(ann.call("UpdateVideo", change).await["title"], "Changed");
    assert_eq!(
        ann.call("DeleteVideo", video.clone()).await["video"]["state"],
        "trashed"
    );
    assert_eq!(ann.call("GetDeletion", video.clone()).await["state"], "scheduled");
    assert_eq!(ann.call("RestoreVideo", video.clone()).await["video"]["state"], "ready");
    ann.call("DeleteVideo", json!({ "videoID": id, "permanent": true }))
        .await;
    person.receipt(id).await;
    let deletion = ann.call("GetDeletion", video).await;
    assert_eq!(deletion["receipt"]["bytes"], clip.bytes.len());
}

async fn rooms(ann: &mut Caller, id: &str) {
    let video = json!({ "videoID": id });
    ann.call("JoinRoom", json!({ "videoID": id, "afterSeq": 0 })).await;
    let said = ann
        .call("SendDanmaku", json!({ "videoID": id, "text": "哈哈", "atMs": 500 }))
        .await;
    assert_eq!((&said["mode"], &said["color"]), (&json!("scroll"), &json!("#ffffff")));
    let comment = ann.call("PostComment", json!({ "videoID": id, "text": "one" })).await;
    let answer = json!({ "videoID": id, "text": "two", "parentID": comment["id"] });
    assert_eq!(ann.call("PostComment", answer).await["parentId"], comment["id"]);
    ann.call("DeleteComment", json!({ "commentID": comment["id"] })).await;
    let page = ann.call("ListComments", json!({ "videoID": id, "limit": 10 })).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let stretch = json!({ "videoID": id, "fromMs": 0, "toMs": 1000, "limit": 10 });
    assert_eq!(ann.call("ListDanmaku", stretch).await["items"][0], said);
    let none = ann
        .call("ListDanmaku", json!({ "videoID": id, "afterID": said["id"] }))
        .await;
    assert_eq!(none["items"], json!([]));
    assert_eq!(ann.call("GetRoomMemberCount", video.clone()).await["count"], 1);
    // Between processes without a bus a join is answered from what was pushed so far: the rest follows.
    ann.socket.entries(4).await;
    let log = ann.call("JoinRoom", json!({ "videoID": id, "afterSeq": 0 })).await;
    assert_eq!(log["events"].as_array().unwrap().len(), 4, "{log}");
    assert_eq!(log["events"][1]["data"], Value::Null, "it was taken back: {log}");
    let again = json!({ "rooms": [{ "videoID": id, "afterSeq": 3 }] });
    assert_eq!(ann.call("Login", again).await["rooms"][0]["events"][0]["seq"], 4);
    ann.call("LeaveRoom", video).await;
}

async fn every_function(site: &Site) {
    let (person, _bob, id) = couple(site).await;
    let mut ann = Caller::new(&person).await;
    session_and_user(&mut ann).await;
    videos(&mut ann, &person, &id).await;
    rooms(&mut ann, &id).await;
    ann.call("Logout", json!({})).await;
    assert_eq!(ann.call("GetLoginStatus", json!({})).await["status"], 1);
    assert_eq!(ann.socket.refused("ListVideos", json!({})).await, 1003);
    let forgotten: Vec<String> = ann.names().difference(&ann.called).cloned().collect();
    assert_eq!(forgotten, Vec::<String>::new(), "every function is called here");
}

#[tokio::test]
async fn every_function_answers_what_its_schema_says_embedded() {
    let home = Home::new();
    let site = home.serve(&[]);
    every_function(&site).await;
    site.stop();
}

#[tokio::test]
async fn every_function_answers_what_its_schema_says_in_four_processes() {
    let home = Home::new();
    let site = home.roles(&[]);
    every_function(&site).await;
    site.stop();
}

/// Whatever a function is asked about what is not the caller's, it says that there is no such thing.
#[tokio::test]
async fn promise_12_functions_are_asked_in_the_name_of_the_tokens_user() {
    let home = Home::new();
    let site = home.serve(&[]);
    let (ann, bob, id) = couple(&site).await;
    let (mut anns, mut bobs) = (Socket::logged_in(&ann).await, Socket::logged_in(&bob).await);
    let comment = anns.ok("PostComment", json!({ "videoID": id, "text": "mine" })).await;
    let not_found = u64::from(common::error::Code::NotFound.entry().number);
    let video = json!({ "videoID": id });
    for (name, data) in [
        ("DeleteVideo", video.clone()),
        ("RestoreVideo", video.clone()),
        ("GetDeletion", video.clone()),
        ("UpdateVideo", json!({ "videoID": id, "title": "Stolen" })),
        ("DeleteComment", json!({ "commentID": comment["id"] })),
    ] {
        assert_eq!(bobs.refused(name, data).await, not_found, "{name}");
    }
    // A frame that says it is somebody else's is refused; it changes nothing either way.
    let frame = json!({ "reqFuncName": "DeleteVideo", "operationID": "x", "data": video, "userID": "ann" });
    bobs.send_text(&frame.to_string()).await;
    let reply = bobs
        .matching("a refusal", |frame| frame["event"] == "DeleteVideo")
        .await;
    assert_eq!(reply["errCode"], 1001);
    assert_eq!(anns.ok("GetVideo", video).await["title"], "A room");
    site.stop();
}
