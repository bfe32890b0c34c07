//! A real stream-service on free ports, with an api-service that only remembers what it was told.

use crate::clip::clip;
use actix_web::{HttpResponse, web};
use common::{
    clients::StreamClient,
    config::{Config, Secret},
    db::{Backend, Db, DbOptions},
    error::{ApiError, Code},
    grant::{Grant, Permission},
    ids::{Id, VideoId},
    messages::{MediaReady, Role, SessionList, TokenOwner, TokenQuery},
    serve::Configure,
    service::Service,
    testing::{Running, TestDatabase, eventually, on_each_backend_with, spawn, test_config},
    time::Timestamp,
};
use diesel::prelude::*;
use reqwest::Response;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};
use stream_service::{MIGRATIONS, state::State};

/// Longest wait for anything that has to happen by itself.
pub const SOON: Duration = Duration::from_secs(10);

/// What the api-service of a test was told, and how it answers.
#[derive(Default)]
pub struct Told {
    pub ready: Vec<(VideoId, MediaReady)>,
    pub failed: Vec<(VideoId, Value)>,
    pub revoked: HashSet<Id>,
    /// Don't answer `sessions/check`, but with this.
    pub unable: Option<Code>,
    /// Refuse `media-ready` with this.
    pub refuse: Option<Code>,
}

pub struct App {
    pub running: Running,
    pub state: State,
    pub told: Arc<Mutex<Told>>,
    pub db: Db,
    pub http: reqwest::Client,
    pub dir: tempfile::TempDir,
    api: Running,
}

/// An upload grant to be changed and signed.
pub fn upload_grant(video: &VideoId) -> Grant {
    let permission = Permission::Upload {
        max_bytes: 64 << 20,
        session: Id::now(),
    };
    Grant::new(
        permission,
        video.clone(),
        Some(Id::now()),
        Timestamp::now(),
        Duration::from_secs(60),
    )
}

/// Runs `body` with a fresh service on each backend.
pub fn on_each_app<F, Fut>(body: F)
where
    F: Fn(Rc<App>) -> Fut + Sync,
    Fut: Future<Output = ()>,
{
    on_each_app_with(|_| {}, body);
}

/// The same with a changed configuration.
pub fn on_each_app_with<F, Fut>(tune: impl Fn(&mut Config) + Sync, body: F)
where
    F: Fn(Rc<App>) -> Fut + Sync,
    Fut: Future<Output = ()>,
{
    let (tune, body) = (&tune, &body);
    on_each_backend_with(&MIGRATIONS, &DbOptions::default(), |db, url| {
        run_on(db, url, tune, body)
    });
}

/// The same on SQLite alone, for what no database has a part in.
pub fn on_one_app_with<F, Fut>(tune: impl Fn(&mut Config), body: F)
where
    F: Fn(Rc<App>) -> Fut,
    Fut: Future<Output = ()>,
{
    on_app_of(Backend::Sqlite, tune, body);
}

/// The same on one kind of database.
pub fn on_app_of<F, Fut>(backend: Backend, tune: impl Fn(&mut Config), body: F)
where
    F: Fn(Rc<App>) -> Fut,
    Fut: Future<Output = ()>,
{
    let database = TestDatabase::new(backend);
    let db = database.open(&MIGRATIONS, &DbOptions::default());
    actix_web::rt::System::new().block_on(run_on(db, database.url.clone(), &tune, &body));
}

async fn run_on<F, Fut>(db: Db, url: String, tune: &impl Fn(&mut Config), body: &F)
where
    F: Fn(Rc<App>) -> Fut,
    Fut: Future<Output = ()>,
{
    let app = Rc::new(App::start(db, &url, tune).await);
    body(app.clone()).await;
    let app = Rc::try_unwrap(app).ok().expect("the test keeps nothing of the app");
    app.stop().await;
}

impl App {
    async fn start(db: Db, url: &str, tune: impl Fn(&mut Config)) -> App {
        let dir = tempfile::tempdir().unwrap();
        let told = Arc::new(Mutex::new(Told::default()));
        let api = spawn_api(&told).await;
        let mut config = test_config();
        config.server.data_dir = dir.path().display().to_string();
        config.database.stream = Secret::from(url);
        config.internal.api = vec![api.internal.clone()];
        config.internal.timeout.0 = Duration::from_secs(2);
        config.stream.orphan_grace.0 = Duration::ZERO;
        // Tests are one client that asks a lot.
        (config.stream.rate, config.stream.burst) = (100_000, 100_000);
        tune(&mut config);
        let (running, state) = start_service(config).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        App {
            running,
            state,
            told,
            db,
            http,
            dir,
            api,
        }
    }

    async fn stop(self) {
        let App {
            running,
            state,
            db,
            api,
            dir,
            http,
            ..
        } = self;
        let metrics = running.platform.metrics.clone();
        drop((state, http));
        running.stop().await;
        assert_eq!(
            metrics.http.slot_violations.get(),
            0,
            "two answers would have been mixed"
        );
        api.stop().await;
        drop((db, dir));
    }

    pub fn sign(&self, grant: &Grant) -> String {
        self.running.platform.grants.sign(grant)
    }

    /// A grant for uploading this video, signed.
    pub fn upload_token(&self, video: &VideoId) -> String {
        self.sign(&upload_grant(video))
    }

    pub fn put_url(&self, video: &VideoId) -> String {
        format!("{}/uploads/by-video/{video}", self.running.public)
    }

    pub async fn put(&self, video: &VideoId, bytes: impl Into<reqwest::Body>) -> Response {
        self.put_as(video, &self.upload_token(video), bytes).await
    }

    pub async fn put_as(&self, video: &VideoId, token: &str, bytes: impl Into<reqwest::Body>) -> Response {
        self.http
            .put(self.put_url(video))
            .bearer_auth(token)
            .body(bytes)
            .send()
            .await
            .unwrap()
    }

    /// Stores a clip for a new video.
    pub async fn stored(&self, size: usize) -> (VideoId, Vec<u8>) {
        let (video, bytes) = (VideoId::random(), clip(size, 7));
        let response = self.put(&video, bytes.clone()).await;
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
        (video, bytes)
    }

    pub fn play_grant(&self, video: &VideoId) -> Grant {
        Grant::new(
            Permission::Play,
            video.clone(),
            Some(Id::now()),
            Timestamp::now(),
            Duration::from_secs(60),
        )
    }

    pub fn file_path(&self, video: &VideoId) -> String {
        format!("/media/{}/{video}/file", self.sign(&self.play_grant(video)))
    }

    pub fn file_url(&self, video: &VideoId) -> String {
        format!("{}{}", self.running.public, self.file_path(video))
    }

    pub async fn get(&self, video: &VideoId) -> Response {
        self.http.get(self.file_url(video)).send().await.unwrap()
    }

    /// The client that the other services use.
    pub fn client(&self) -> StreamClient {
        let mut config = self.running.config.clone();
        config.internal.stream = vec![self.running.internal.clone()];
        common::clients::Clients::new(&config).unwrap().stream
    }

    pub fn media_dir(&self) -> PathBuf {
        self.dir.path().join("media")
    }

    /// Files below the media folder, links included.
    pub fn files(&self) -> Vec<PathBuf> {
        files(&self.media_dir())
    }

    /// The stored file of a video.
    pub fn file_of(&self, video: &VideoId) -> PathBuf {
        let mut files = self.files().into_iter();
        let of_video = |path: &PathBuf| path.to_string_lossy().contains(video.as_str());
        files.find(of_video).unwrap()
    }

    pub fn bytes_on_disk(&self) -> u64 {
        self.files()
            .iter()
            .map(|path| path.symlink_metadata().unwrap().len())
            .sum()
    }

    /// Rows of the ledger: object and state.
    pub async fn rows(&self) -> Vec<(String, String)> {
        diesel::table! { objects (object_id) { object_id -> Text, state -> Text, } }
        let rows = self
            .db
            .read(|conn| Ok::<_, common::db::DbError>(objects::table.order(objects::object_id).load(conn)?));
        rows.await.unwrap()
    }

    pub async fn sql(&self, statement: &str) {
        let statement = statement.to_owned();
        let done = self
            .db
            .write(move |conn| Ok::<_, common::db::DbError>(diesel::sql_query(statement).execute(conn)?));
        done.await.unwrap();
    }

    /// The one text `t` that a query gives.
    pub async fn sql_text(&self, query: &str) -> String {
        #[derive(QueryableByName)]
        struct One {
            #[diesel(sql_type = diesel::sql_types::Text)]
            t: String,
        }
        let query = query.to_owned();
        let one = self
            .db
            .read(move |conn| Ok::<_, common::db::DbError>(diesel::sql_query(query).get_result::<One>(conn)?));
        one.await.unwrap().t
    }

    /// Waits until neither a file nor a row is left.
    pub async fn nothing_is_left(&self) {
        eventually("neither a file nor a row is left", SOON, || async {
            (self.files().is_empty() && self.rows().await.is_empty() && self.state.limits.uploads.held() == 0)
                .then_some(())
        })
        .await;
    }

    /// Waits until every permit of a stream is back.
    pub async fn nothing_is_held(&self) {
        eventually("all permits are back", SOON, || async {
            (self.state.limits.streams.held() == 0).then_some(())
        })
        .await;
    }

    /// What was refused, as its code and document.
    pub async fn problem(response: Response) -> (u16, String, Value) {
        let status = response.status().as_u16();
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        (status, problem["code"].as_str().unwrap().to_owned(), problem)
    }
}

/// Everything below a folder that is not a folder itself.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else {
                files.insert(entry.path());
            }
        }
    }
    files.into_iter().collect()
}

pub async fn start_service(config: Config) -> (Running, State) {
    let kept = Rc::new(std::cell::RefCell::new(None));
    let state = kept.clone();
    let running = spawn(config, |config, platform| async move {
        let (service, opened) = stream_service::start_with_state(&config, &platform).await?;
        state.replace(Some(opened));
        Ok(service)
    })
    .await
    .unwrap();
    let state = kept.take().unwrap();
    (running, state)
}

pub async fn spawn_api(told: &Arc<Mutex<Told>>) -> Running {
    let told = web::Data::from(told.clone());
    let internal: Configure = Arc::new(move |config: &mut web::ServiceConfig| {
        config
            .app_data(told.clone())
            .route("/internal/videos/{id}/media-ready", web::post().to(media_ready))
            .route("/internal/videos/{id}/media-failed", web::post().to(media_failed))
            .route("/internal/sessions/check", web::post().to(check_sessions))
            .route("/internal/tokens/parse", web::post().to(parse_token));
    });
    let service = Service {
        name: "api-service",
        public: None,
        internal: Some(internal),
        upgrades: None,
        direct: None,
        ready: Vec::new(),
    };
    spawn(test_config(), |_, _| async { Ok(service) }).await.unwrap()
}

async fn media_ready(
    video: web::Path<VideoId>,
    media: web::Json<MediaReady>,
    told: web::Data<Mutex<Told>>,
) -> Result<HttpResponse, ApiError> {
    let mut told = told.lock().unwrap();
    if let Some(code) = told.refuse {
        return Err(ApiError::new(code, "refused by the test"));
    }
    told.ready.push((video.into_inner(), media.into_inner()));
    Ok(HttpResponse::NoContent().finish())
}

async fn media_failed(
    video: web::Path<VideoId>,
    failure: web::Json<Value>,
    told: web::Data<Mutex<Told>>,
) -> HttpResponse {
    told.lock()
        .unwrap()
        .failed
        .push((video.into_inner(), failure.into_inner()));
    HttpResponse::NoContent().finish()
}

/// The tokens of two people, who have no others.
pub const OPERATOR: &str = "token-of-the-operator";
pub const USER: &str = "token-of-a-user";

async fn parse_token(query: web::Json<TokenQuery>) -> Result<HttpResponse, ApiError> {
    let role = match query.token.as_str() {
        OPERATOR => Role::Operator,
        USER => Role::User,
        _ => return Err(ApiError::new(Code::Unauthenticated, "nobody's")),
    };
    Ok(HttpResponse::Ok().json(TokenOwner {
        user: Id::now(),
        session: Id::now(),
        username: "opal".to_owned(),
        role,
        expires_at: Timestamp::now() + Duration::from_secs(60),
    }))
}

async fn check_sessions(list: web::Json<SessionList>, told: web::Data<Mutex<Told>>) -> Result<HttpResponse, ApiError> {
    let told = told.lock().unwrap();
    if let Some(code) = told.unable {
        return Err(ApiError::new(code, "refused by the test"));
    }
    let sessions = list
        .into_inner()
        .sessions
        .into_iter()
        .filter(|session| !told.revoked.contains(session))
        .collect();
    Ok(HttpResponse::Ok().json(SessionList { sessions }))
}
