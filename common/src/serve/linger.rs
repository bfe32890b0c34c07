//! The end of a connection that the client may still be sending on.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of a refused client that are read and thrown away so that the refusal is not lost in a reset.
const MAX_LINGERING: usize = 64 * 1024;

/// Says that nothing more comes, and reads and throws away what the client sends until it closes, for `patience` at most:
/// closing earlier would reset the connection, and the end of the last answer would be lost with it.
pub async fn linger(socket: &mut TcpStream, patience: Duration) -> io::Result<()> {
    let reading = async {
        socket.shutdown().await?;
        let mut rest = [0; 4096];
        let mut count = 0;
        while count < MAX_LINGERING {
            match socket.read(&mut rest).await? {
                0 => break,
                more => count += more,
            }
        }
        Ok(())
    };
    tokio::time::timeout(patience, reading).await.unwrap_or(Ok(()))
}
