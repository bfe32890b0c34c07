//! What only the kernel knows of a connection.

use tokio::net::TcpListener;

use super::super::super::Deadlines;
use super::*;
use crate::slot::{Outlet, unsent};

/// A source that has nothing.
struct Starving;

impl Job for Starving {
    fn poll_send(&mut self, _: &mut Outlet<'_>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// The kernel holds a head back for the bytes that follow, but not when none do.
#[tokio::test(flavor = "local")]
async fn a_head_does_not_wait_for_bytes_that_do_not_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let io = listener.accept().await.unwrap().0;
    socket2::SockRef::from(&io).set_tcp_congestion(b"reno").unwrap();
    let wait = Duration::from_secs(60);
    let deadlines = Deadlines {
        head: wait,
        stall: wait,
        idle: wait,
    };
    let mut wire = Wire::new(io, &[], deadlines, wait, &Drain::new());
    let mut sent = 0;
    wire.write_all(b"held ", b"back", true, &mut sent).await.unwrap();
    assert_eq!(std::mem::take(&mut sent), 4, "the head is not the body's");
    assert_eq!(unsent(&wire.io).unwrap(), 9, "what this test is about does not happen");
    let first = Bytes::from_static(b"first");
    {
        let body = Body::Moved {
            length: 10,
            first,
            job: Box::new(Starving),
        };
        let mut sending = pin!(wire.send(b"head".to_vec(), body, &mut sent));
        assert!(futures_util::poll!(sending.as_mut()).is_pending());
    }
    assert_eq!(unsent(&wire.io).unwrap(), 0);
    assert_eq!(sent, 5);
}
