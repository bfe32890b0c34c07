//! Sluice with somebody signed in: as one process, or as the four roles. Limits that a single load client would meet are
//! raised; permits, deadlines and checks stay.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::client::{Body, Expect, Load, Next, Request};
use super::content::Content;
use crate::http::Person;
use crate::running;
use crate::server::Server;

pub struct Platform {
    /// The one process, or api, stream, scheduler and proxy.
    pub servers: Vec<Server>,
    pub person: Person,
    pub data: PathBuf,
    /// What the roles know of each other.
    env: Vec<(String, String)>,
    _folder: tempfile::TempDir,
}

/// What a bench may do that a person may not.
fn settings(more: &[String]) -> Vec<String> {
    [
        "stream.rate=1000000",
        "stream.burst=1000000",
        "stream.max_streams=20000",
        "stream.max_streams_per_client=20000",
        "stream.max_uploads=64",
        "stream.max_uploads_per_user=64",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(more.iter().cloned())
    .collect()
}

impl Platform {
    /// Everything in one process.
    pub fn serve(runtime: &Runtime, binary: &Path, more: &[String]) -> Platform {
        Platform::serve_with(runtime, binary, more, &[])
    }

    /// The same with more in its environment.
    pub fn serve_with(runtime: &Runtime, binary: &Path, more: &[String], env: &[(String, String)]) -> Platform {
        let folder = running::folder("sluice");
        let data = folder.path().join("data");
        let server = Server::launch(binary, "serve", "127.0.0.1:0", &data, &settings(more), env);
        let person = runtime.block_on(Person::register(&server.base, "ann"));
        Platform {
            servers: vec![server],
            person,
            data,
            env: Vec::new(),
            _folder: folder,
        }
    }

    /// The four services as processes of their own. The proxy is the last of them.
    pub fn roles(runtime: &Runtime, binary: &Path, more: &[String]) -> Platform {
        let folder = running::folder("sluice");
        let data = folder.path().join("data");
        let names = ["api", "stream", "scheduler", "proxy"];
        let public: [SocketAddr; 4] = std::array::from_fn(|_| running::free());
        let internal: [SocketAddr; 4] = std::array::from_fn(|_| running::free());
        let env = environment(&names, &public, &internal);
        let servers: Vec<Server> = (0..names.len())
            .map(|at| {
                let mut settings = settings(more);
                settings.push(format!("internal.listen={}", internal[at]));
                Server::launch(binary, names[at], &public[at].to_string(), &data, &settings, &env)
            })
            .collect();
        let person = runtime.block_on(Person::register(&servers[3].base, "ann"));
        Platform {
            servers,
            person,
            data,
            env,
            _folder: folder,
        }
    }

    /// Another proxy of `binary` before the same services.
    pub fn proxy(&self, binary: &Path, more: &[String]) -> Server {
        let data = self.data.join("proxy");
        Server::launch(binary, "proxy", "127.0.0.1:0", &data, &settings(more), &self.env)
    }

    /// Uploads the content; gives the video and the path of its bytes.
    pub fn stored(&self, runtime: &Runtime, content: &Content) -> (String, String) {
        let (id, url, grant) = runtime.block_on(self.person.ticket("The content"));
        let mut load = Load::connect(self.front(), 1, None);
        let mut upload = Some(put(&url, &grant, content));
        load.run(|_| upload.take().map_or(Next::End, Next::Send));
        let path = runtime.block_on(self.person.playback(&id));
        (id, path)
    }

    /// Begins a resumable upload; gives its path.
    pub async fn begin_tus(&self, grant: &str, size: u64) -> String {
        let request = self.person.http.post(format!("{}/uploads", self.person.base));
        let request = request.bearer_auth(grant).header("tus-resumable", "1.0.0");
        let answer = request.header("upload-length", size).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "the upload begins");
        let place = answer.headers().get("location").and_then(|place| place.to_str().ok());
        let place = place.expect("a Location");
        place.strip_prefix(&self.person.base).unwrap_or(place).to_owned()
    }

    /// Where people come in.
    pub fn front(&self) -> SocketAddr {
        self.servers.last().expect("a platform has a process").address()
    }
}

/// A plain upload of the content.
pub fn put(url: &str, grant: &str, content: &Content) -> Request {
    let auth = format!("Authorization: Bearer {grant}\r\n");
    sending("PUT", url, &auth, content, Expect::status(201))
}

/// `method url` with the content as its body.
pub fn sending(method: &str, url: &str, fields: &str, content: &Content, expect: Expect) -> Request {
    let size = content.size;
    let head = format!("{method} {url} HTTP/1.1\r\nHost: bench\r\n{fields}Content-Length: {size}\r\n\r\n");
    Request {
        head: head.into_bytes().into(),
        body: Some(Body {
            file: content.file.clone(),
            from: 0,
            end: size,
        }),
        expect,
    }
}

fn environment(names: &[&str; 4], public: &[SocketAddr; 4], internal: &[SocketAddr; 4]) -> Vec<(String, String)> {
    let mut env = vec![
        ("SLUICE_SECRETS__INTERNAL_TOKEN".into(), "bench-".repeat(6)),
        ("SLUICE_SECRETS__GRANT_KEYS".into(), format!("k1:{}", "A".repeat(43))),
        ("SLUICE_SERVER__TRUSTED_PROXIES".into(), "127.0.0.1".into()),
    ];
    for (name, (public, internal)) in names.iter().zip(public.iter().zip(internal)).take(3) {
        let name = name.to_uppercase();
        env.push((format!("SLUICE_PROXY__{name}"), format!("http://{public}")));
        env.push((format!("SLUICE_INTERNAL__{name}"), format!("http://{internal}")));
    }
    env
}
