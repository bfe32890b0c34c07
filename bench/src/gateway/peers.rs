//! The peers, started beside us on free ports: nchan in nginx (Debian's packages), and npm `ws` on Node.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that ends with its value.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
    _folder: Option<tempfile::TempDir>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGTERM first: nginx's workers end with their master.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap_or_default();
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Names an executable, or says what brings it.
fn output(command: &str, argument: &str, package: &str) -> String {
    let output = Command::new(command).arg(argument).output();
    let output =
        output.unwrap_or_else(|_| panic!("{command} is missing: run scripts/setup.sh bench (installs {package})"));
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).trim().to_owned()
}

pub fn nchan_version() -> String {
    let nginx = output("/usr/sbin/nginx", "-v", "nginx-light");
    let nginx = nginx.rsplit('/').next().unwrap_or_default();
    let query = ["-W", "-f", "${Version}", "libnginx-mod-nchan"];
    let nchan = Command::new("dpkg-query")
        .args(query)
        .output()
        .map(|output| output.stdout);
    format!(
        "{} on nginx {nginx}",
        String::from_utf8_lossy(&nchan.unwrap_or_default())
    )
}

pub fn ws_version() -> String {
    let package = std::fs::read_to_string(folder().join("package.json")).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap_or_default();
    let ws = package["dependencies"]["ws"].as_str().unwrap_or("?");
    format!("{ws} on Node {}", output("node", "--version", "nodejs"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// nginx with one worker: CPU per delivery is what is compared, and one worker passes no messages between processes.
pub fn nchan() -> Running {
    let folder = tempfile::Builder::new()
        .prefix("sluice-bench-nchan-")
        .tempdir()
        .expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    let config = folder.path().join("nginx.conf");
    std::fs::write(&config, nginx_config(address)).expect("a configuration");
    let child = Command::new("/usr/sbin/nginx")
        .arg("-p")
        .arg(folder.path())
        .arg("-c")
        .arg(&config)
        .args(["-e", "error.log"])
        .stdin(Stdio::null())
        .spawn()
        .expect("nginx is installed (scripts/setup.sh bench installs it)");
    let began = Instant::now();
    // The master listens before its worker runs: only an answer tells that both do.
    while !answers(address) {
        assert!(began.elapsed() < Duration::from_secs(10), "nginx does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    Running {
        child,
        address,
        _folder: Some(folder),
    }
}

fn answers(address: SocketAddr) -> bool {
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        stream.read(&mut [0; 64])
    });
    asked.is_ok_and(|count| count > 0)
}

fn nginx_config(address: SocketAddr) -> String {
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  client_body_buffer_size 64k;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  nchan_shared_memory_size 1024M;
  nchan_message_buffer_length 1000;
  nchan_message_timeout 60s;
  server {{
    listen {address} backlog=4096;
    location = /pub {{ nchan_publisher; nchan_channel_id $arg_id; }}
    location = /one {{
      nchan_subscriber websocket; nchan_channel_id $arg_a;
      nchan_subscriber_first_message newest; nchan_websocket_ping_interval 25;
    }}
    location = /three {{
      nchan_subscriber websocket; nchan_channel_id $arg_a $arg_b $arg_c;
      nchan_subscriber_first_message newest; nchan_websocket_ping_interval 25;
    }}
  }}
}}
"
    )
}

/// `peers/ws.mjs`; its package is installed by the lock file when it is not there.
pub fn ws() -> Running {
    let folder = folder();
    if !folder.join("node_modules/ws").exists() {
        let installed = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .status();
        assert!(
            installed.is_ok_and(|status| status.success()),
            "npm ci fails in {}",
            folder.display()
        );
    }
    let mut child = Command::new("node")
        .arg(folder.join("ws.mjs"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("standard output is a pipe");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("ws.mjs says its address");
    let address = line.trim().trim_start_matches("http://").parse();
    Running {
        child,
        address: address.expect("an address"),
        _folder: None,
    }
}
