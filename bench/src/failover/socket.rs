//! A page's socket: it is kept, calls a function in an interval, and is opened again at once when it ends. Until it is, every
//! call that is due fails.

use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::probe::{KINDS, Log, PATIENCE};
use super::world::World;

struct Page {
    address: SocketAddr,
    path: String,
    video: String,
    calls: usize,
}

pub fn begin(world: &World, log: Log, every: Duration) -> JoinHandle<()> {
    let page = Page {
        address: world.base.trim_start_matches("http://").parse().expect("an address"),
        path: format!(
            "/ws?sendID=ann&platformID=5&operationID=bench&token={}",
            world.person.token
        ),
        video: world.video.clone(),
        calls: 0,
    };
    thread::spawn(move || page.run(&log, every))
}

impl Page {
    fn run(mut self, log: &Log, every: Duration) {
        let mut socket = None;
        while !log.is_over() {
            let began = Instant::now();
            let result = self.once(&mut socket);
            if result.is_err() {
                socket = None;
            }
            log.done(KINDS[3], began, result);
            thread::sleep(every.saturating_sub(began.elapsed()));
        }
    }

    fn once(&mut self, kept: &mut Option<WebSocket<TcpStream>>) -> Result<(), String> {
        if kept.is_none() {
            let mut socket = self.open()?;
            self.call(&mut socket, "Login", &json!({}))?;
            *kept = Some(socket);
        }
        let socket = kept.as_mut().expect("opened above");
        let answer = self.call(socket, "GetVideo", &json!({ "videoID": self.video }))?;
        (answer["errCode"] == 0).then_some(()).ok_or_else(|| answer.to_string())
    }

    fn open(&self) -> Result<WebSocket<TcpStream>, String> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).map_err(|error| error.to_string())?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let address = format!("ws://{}{}", self.address, self.path);
        let opened = tungstenite::client(address, stream).map_err(|error| error.to_string())?;
        Ok(opened.0)
    }

    fn call(&mut self, socket: &mut WebSocket<TcpStream>, name: &str, data: &Value) -> Result<Value, String> {
        self.calls += 1;
        let operation = format!("bench-{}", self.calls);
        let call = json!({ "reqFuncName": name, "operationID": operation, "data": data });
        socket
            .send(Message::text(call.to_string()))
            .map_err(|error| error.to_string())?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let message = socket.read().map_err(|error| error.to_string())?;
            let Message::Text(text) = message else { continue };
            let frame: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            if frame["operationID"] == operation.as_str() {
                return Ok(frame);
            }
        }
        Err(format!("no answer to {name} within {PATIENCE:?}"))
    }
}
