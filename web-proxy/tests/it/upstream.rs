//! Services behind the edge, down to the byte: they answer what a test says, and tell what reached them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use common::near::{Near, SocketFile};
use common::testing::eventually;
use common::testing::raw::{Answer, Raw};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
    pub whole: bool,
}

impl Seen {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap()
    }

    pub fn headers(&self, name: &str) -> Vec<String> {
        let answer = Answer {
            status: 0,
            head: self.head.clone(),
            body: Vec::new(),
        };
        answer.headers(name).into_iter().map(str::to_owned).collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The names of all fields, in order.
    pub fn names(&self) -> Vec<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }
}

#[derive(Default)]
struct State {
    seen: RefCell<Vec<Seen>>,
    open: Cell<usize>,
    accepted: Cell<usize>,
    taken: Cell<usize>,
    given: Cell<usize>,
    /// Those of `accepted` that came by a Unix socket.
    near: Cell<usize>,
    /// Answers that said its name.
    checks: Cell<usize>,
    /// Its name, which the answer to a check says.
    socket: RefCell<Option<String>>,
    /// Who listens, and every connection.
    tasks: RefCell<Vec<JoinHandle<()>>>,
}

/// A listening fake; its connections are served on the test's own thread.
#[derive(Clone)]
pub struct Upstream {
    pub base: String,
    state: Rc<State>,
}

/// One connection of the edge to it.
pub struct Call {
    pub raw: Raw,
    state: Rc<State>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.state.open.set(self.state.open.get() - 1);
    }
}

impl State {
    fn begin(self: &Rc<Self>, io: TcpStream) -> Call {
        self.open.set(self.open.get() + 1);
        self.accepted.set(self.accepted.get() + 1);
        Call {
            raw: Raw::over(io),
            state: self.clone(),
        }
    }
}

impl Call {
    /// The next request, without its body; `None` when the edge has closed.
    pub async fn head(&mut self) -> Option<Seen> {
        let mut head = self.raw.until(b"\r\n\r\n").await?;
        let socket = self.state.socket.borrow().clone();
        if let Some(name) = socket {
            while head.starts_with("GET /readyz ") {
                self.state.checks.set(self.state.checks.get() + 1);
                let answer = format!("HTTP/1.1 200 OK\r\nSluice-Socket: {name}\r\nContent-Length: 0\r\n\r\n");
                self.say(&answer).await;
                head = self.raw.until(b"\r\n\r\n").await?;
            }
        }
        let seen = Seen {
            head,
            body: Vec::new(),
            whole: false,
        };
        // Health checks come when they come: a test counts what its clients ask.
        if seen.target() != "/readyz" {
            self.state.seen.borrow_mut().push(seen.clone());
        }
        Some(seen)
    }

    /// The body that follows `seen`.
    pub async fn body(&mut self, seen: &mut Seen) {
        let answer = Answer {
            status: 0,
            head: seen.head.clone(),
            body: Vec::new(),
        };
        let framed = answer.header("content-length").is_some() || answer.header("transfer-encoding").is_some();
        (seen.body, seen.whole) = if framed {
            self.raw.body(&answer).await
        } else {
            (Vec::new(), true)
        };
        if seen.target() != "/readyz" {
            *self.state.seen.borrow_mut().last_mut().unwrap() = seen.clone();
        }
    }

    pub async fn say(&mut self, text: &str) {
        self.give(text.as_bytes()).await;
    }

    /// Sends bytes and counts them.
    pub async fn give(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt;
        if self.raw.io.write_all(bytes).await.is_ok() {
            self.state.given.set(self.state.given.get() + bytes.len());
        }
    }

    /// Takes some bytes and counts them; none at the end.
    pub async fn take_some(&mut self) -> usize {
        let count = self.raw.some().await.len();
        self.state.taken.set(self.state.taken.get() + count);
        count
    }
}

impl Upstream {
    /// Serves each connection with `serve`.
    pub async fn new<F, Fut>(serve: F) -> Upstream
    where
        F: Fn(Call) -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        Upstream::at("127.0.0.1:0", serve).await
    }

    /// The same at an address.
    pub async fn at<F, Fut>(address: &str, serve: F) -> Upstream
    where
        F: Fn(Call) -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Rc::new(State::default());
        let shared = state.clone();
        let listening = tokio::task::spawn_local(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let running = tokio::task::spawn_local(serve(shared.begin(io)));
                shared.tasks.borrow_mut().push(running);
            }
        });
        state.tasks.borrow_mut().push(listening);
        Upstream { base, state }
    }

    /// Serves a Unix socket in `folder`, too, and answers checks with its name.
    pub fn listen_near<F, Fut>(&self, folder: &str, serve: F) -> SocketFile
    where
        F: Fn(Call) -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let near = Near::bind(folder, 1).unwrap();
        self.say_socket(&near.name());
        let listener = UnixListener::from_std(near.listener).unwrap();
        let shared = self.state.clone();
        let listening = tokio::task::spawn_local(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let io = common::near::accepted(io).unwrap();
                shared.near.set(shared.near.get() + 1);
                let running = tokio::task::spawn_local(serve(shared.begin(io)));
                shared.tasks.borrow_mut().push(running);
            }
        });
        self.state.tasks.borrow_mut().push(listening);
        near.file
    }

    /// Answers checks with the name of a socket.
    pub fn say_socket(&self, name: &str) {
        *self.state.socket.borrow_mut() = Some(name.to_owned());
    }

    /// Reads each request to its end and gives the same answer.
    pub async fn answering(answer: &str) -> Upstream {
        let answer = answer.to_owned();
        Upstream::new(move |mut call| {
            let answer = answer.clone();
            async move {
                while let Some(mut seen) = call.head().await {
                    call.body(&mut seen).await;
                    call.say(&answer).await;
                    if answer.to_ascii_lowercase().contains("connection: close") {
                        break;
                    }
                }
            }
        })
        .await
    }

    /// A small answer that says which fake it came from.
    pub async fn named(name: &str) -> Upstream {
        Upstream::answering(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}",
            name.len()
        ))
        .await
    }

    /// Ends as a process does that is killed: nobody listens any more, and every connection is cut.
    pub fn die(&self) {
        self.state.tasks.borrow().iter().for_each(JoinHandle::abort);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.borrow().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request reached the service")
    }

    pub fn count(&self) -> usize {
        self.state.seen.borrow().len()
    }

    /// Connections that are not closed yet.
    pub fn open(&self) -> usize {
        self.state.open.get()
    }

    pub fn accepted(&self) -> usize {
        self.state.accepted.get()
    }

    /// Checks that were answered with the name of a socket.
    pub fn checks(&self) -> usize {
        self.state.checks.get()
    }

    pub fn socket(&self) -> String {
        self.state.socket.borrow().clone().expect("a socket")
    }

    /// Those by the Unix socket.
    pub fn accepted_near(&self) -> usize {
        self.state.near.get()
    }

    /// Bytes given and taken by `give` and `take_some`.
    pub fn given(&self) -> usize {
        self.state.given.get()
    }

    pub fn taken(&self) -> usize {
        self.state.taken.get()
    }

    /// Waits until `count` connections are open.
    pub async fn until_open(&self, count: usize) {
        let what = format!("{count} connections to the service are open");
        eventually(&what, Duration::from_secs(10), || async {
            (self.open() == count).then_some(())
        })
        .await;
    }

    /// Waits until `count` requests have arrived.
    pub async fn until_seen(&self, count: usize) {
        let what = format!("{count} requests have reached the service");
        eventually(&what, Duration::from_secs(10), || async {
            (self.count() >= count).then_some(())
        })
        .await;
    }
}

/// An address that nothing listens on.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
