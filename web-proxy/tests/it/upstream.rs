//! Services behind the edge, down to the byte: they answer what a test says, and tell what reached them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use common::testing::eventually;
use common::testing::raw::{Answer, Raw};
use tokio::net::TcpListener;
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

impl Call {
    /// The next request, without its body; `None` when the edge has closed.
    pub async fn head(&mut self) -> Option<Seen> {
        let head = self.raw.until(b"\r\n\r\n").await?;
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Rc::new(State::default());
        let shared = state.clone();
        let listening = tokio::task::spawn_local(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                shared.open.set(shared.open.get() + 1);
                shared.accepted.set(shared.accepted.get() + 1);
                let call = Call {
                    raw: Raw::over(io),
                    state: shared.clone(),
                };
                shared.tasks.borrow_mut().push(tokio::task::spawn_local(serve(call)));
            }
        });
        state.tasks.borrow_mut().push(listening);
        Upstream { base, state }
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
