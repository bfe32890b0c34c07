//! nginx with a file, private to a test.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

pub struct Nginx {
    pub base: String,
    child: Child,
    _dir: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Nginx {
    /// `/file.mp4` with these bytes; `None` when there is no nginx here.
    pub async fn serving(bytes: &[u8]) -> Option<Nginx> {
        let found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let program = found.into_iter().find(|path| Path::new(path).exists())?;
        // Another process may take the port before nginx does.
        for _ in 0..5 {
            if let Some(nginx) = start(program, bytes).await {
                return Some(nginx);
            }
        }
        panic!("{program} does not start");
    }
}

async fn start(program: &str, bytes: &[u8]) -> Option<Nginx> {
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(dir.path().join("file.mp4"), bytes).unwrap();
    std::fs::write(dir.path().join("nginx.conf"), config(dir.path(), port)).unwrap();
    let mut child = Command::new(program)
        .arg("-p")
        .arg(dir.path())
        .arg("-c")
        .arg(dir.path().join("nginx.conf"))
        .arg("-e")
        .arg(dir.path().join("error.log"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..1000 {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(Nginx {
                base: format!("http://127.0.0.1:{port}"),
                child,
                _dir: dir,
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nginx does not listen");
}

/// As much like ours as its settings allow: five ranges, dates compared, heads of 256 KiB.
fn config(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "daemon off; master_process off; pid {dir}/pid;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n\
           default_type video/mp4; access_log off; keepalive_requests 100000;\n\
           client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;\n\
           uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n\
           large_client_header_buffers 4 256k; max_ranges 5; if_modified_since before;\n\
           server {{ listen 127.0.0.1:{port}; root {dir}; }}\n\
         }}\n"
    )
}
