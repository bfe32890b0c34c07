//! The load client itself: what it can take from a sender that does nothing but send. A gateway that is faster than this
//! could not be measured with it. The sender's own CPU is the floor of any server that writes to one socket at a time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::plan::Plan;
use super::{frame, latency, meter, post};
use crate::table;

const CONNECTIONS: usize = 5_000;
const FRAMES: usize = 2_000_000;

pub fn measure() {
    let mut rows = Vec::new();
    for together in [1, 4, 16] {
        let sender = Blast::start();
        let mut fleet = Fleet::new();
        let plan = fleet.plan(Plan::new(sender.address, "/", ""));
        fleet.gather(std::iter::repeat_n(plan, CONNECTIONS));
        fleet.take();
        let writes = FRAMES / CONNECTIONS / together;
        let (began, cpu) = (Instant::now(), meter::own_thread());
        sender.go.send((writes, together)).expect("the sender waits");
        let frames = (writes * together * CONNECTIONS) as u64;
        let came = fleet.until(Duration::from_secs(5), |seen| seen.entries == frames);
        let (elapsed, cpu) = (began.elapsed().as_secs_f64(), meter::own_thread() - cpu);
        fleet.seen.whole();
        assert!(came, "{} of {frames} came", fleet.seen.entries);
        fleet.cut();
        let sending = sender.thread.join().expect("the sender does not panic");
        let each = frames as f64;
        rows.push(vec![
            format!("{together}"),
            format!("{frames}"),
            format!("{:.0}", each / elapsed),
            format!("{:.2} µs", cpu / each * 1e6),
            format!("{:.0}", each / cpu),
            format!("{:.2} µs", sending / each * 1e6),
            "0".into(),
        ]);
    }
    let header = [
        "frames per write",
        "frames",
        "frames/s",
        "client CPU per frame",
        "frames per CPU second",
        "lost",
    ];
    table::print(
        &format!("The load client: {CONNECTIONS} connections, a sender that only sends"),
        &header,
        &rows,
    );
}

/// A server of one thread: upgrades `CONNECTIONS`, then sends each of them the same frames.
struct Blast {
    address: SocketAddr,
    go: Sender<(usize, usize)>,
    /// Gives the CPU seconds of its sending.
    thread: JoinHandle<f64>,
}

impl Blast {
    fn start() -> Blast {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (go, wait) = channel();
        let thread = std::thread::spawn(move || blast(&listener, &wait));
        Blast { address, go, thread }
    }
}

fn blast(listener: &TcpListener, wait: &Receiver<(usize, usize)>) -> f64 {
    let mut sockets: Vec<TcpStream> = (0..CONNECTIONS).map(|_| upgraded(listener)).collect();
    let (writes, together) = wait.recv().expect("the client says when");
    let cpu = meter::own_thread();
    let mut seq = 0;
    for _ in 0..writes {
        let mut bytes = Vec::new();
        for _ in 0..together {
            seq += 1;
            bytes.extend(frame::unmasked(
                post::frame("proof", seq, &latency::text(200)).as_bytes(),
            ));
        }
        for socket in &mut sockets {
            socket.write_all(&bytes).expect("the client reads");
        }
    }
    let cpu = meter::own_thread() - cpu;
    // Until the client ends it.
    let mut end = [0; 1];
    drop(sockets[0].read(&mut end));
    cpu
}

fn upgraded(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().expect("a client");
    socket.set_nodelay(true).expect("nodelay");
    let mut head = [0; 1024];
    let count = socket.read(&mut head).expect("a request");
    assert!(head[..count].ends_with(b"\r\n\r\n"), "a request comes in one piece");
    socket
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        .expect("the client reads");
    socket
}
