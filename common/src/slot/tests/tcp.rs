//! The slot on real sockets with the smallest buffers that the kernel gives.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::testing::random::noise;

const SIZE: usize = 3 << 20;

/// Serves one connection: everything is the file, after a prefix that is the path.
async fn serve(listener: TcpListener, violations: Counter) {
    let (io, _) = listener.accept().await.unwrap();
    socket2::SockRef::from(&io).set_send_buffer_size(1).unwrap();
    let stream = SlotStream::new(io, std::time::Duration::from_secs(60), violations);
    let service = HttpService::build()
        .on_connect_ext(|io: &SlotStream<tokio::net::TcpStream>, data| {
            data.insert(io.handle());
        })
        .h1(fn_service(|request: Request| async move {
            let slot = request.conn_data::<SlotHandle>().unwrap();
            let prefix = Bytes::from(request.path().to_owned());
            let length = (prefix.len() + SIZE) as u64;
            let body = SlotBody::new(slot, prefix, job(&noise(SIZE, 0), SIZE as u64));
            Ok::<_, Infallible>(Response::build(StatusCode::OK).no_chunking(length).body(body))
        }));
    service
        .new_service(())
        .await
        .unwrap()
        .call((stream, None))
        .await
        .unwrap();
}

async fn connect(address: SocketAddr) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(address).await.unwrap()
}

#[actix_web::test]
async fn answers_through_the_smallest_buffers_are_whole_and_in_their_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, violations) = (listener.local_addr().unwrap(), Counter::default());
    let serving = actix_web::rt::spawn(serve(listener, violations.clone()));
    let mut client = connect(address).await;
    let paths = ["/first", "/second", "/third"];
    for (number, path) in paths.iter().enumerate() {
        let close = if number == 2 { CLOSE } else { "" };
        let request = format!("GET {path} HTTP/1.1\r\n{HOST}{close}\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
    }
    let mut all = Vec::new();
    // Pieces of another size each time.
    let mut piece = vec![0; 7919];
    let mut size = 1;
    loop {
        size = size * 31 % piece.len() + 1;
        match client.read(&mut piece[..size]).await.unwrap() {
            0 => break,
            count => all.extend_from_slice(&piece[..count]),
        }
    }
    let (mut rest, content) = (&all[..], noise(SIZE, 0));
    for path in paths {
        let head = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        rest = &rest[head..];
        rest = rest.strip_prefix(path.as_bytes()).expect("the prefix");
        rest = rest
            .strip_prefix(&content[..])
            .unwrap_or_else(|| panic!("{path}: other bytes"));
    }
    assert!(rest.is_empty());
    serving.await.unwrap();
    assert_eq!(violations.get(), 0);
}
