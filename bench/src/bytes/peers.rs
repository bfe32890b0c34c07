//! The peers: nginx (files, DAV, proxy), haproxy, and Go's standard library. Each is set the way that costs it least; what
//! is compared is a server at its best. Debian's packages.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::running::{self, Running};

/// What they are.
pub fn versions() -> String {
    let go = running::said("go", "version", "golang-go");
    let haproxy = running::said("/usr/sbin/haproxy", "-v", "haproxy");
    let second = |text: &str, nth: usize| text.split_whitespace().nth(nth).unwrap_or("?").to_owned();
    format!(
        "nginx {}; haproxy {}; {}",
        running::nginx_version(),
        second(&haproxy, 2),
        second(&go, 2)
    )
}

/// An nginx that has `http` in its http block and `server` in its server block.
fn nginx(workers: usize, http: &str, server: &str) -> Running {
    let (address, folder) = (running::free(), running::folder("nginx"));
    let user = running::nginx_user();
    let config = format!(
        "{user}
daemon off;
worker_processes {workers};
worker_rlimit_nofile 40000;
pid nginx.pid;
error_log error.log crit;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  types {{ video/mp4 mp4; }}
{http}
  server {{
    listen {address} backlog=4096;
{server}
  }}
}}
"
    );
    running::nginx(&config, workers, address, folder)
}

/// Files of `root` by sendfile; `more` is further configuration.
pub fn nginx_files(workers: usize, root: &Path, more: &str) -> Running {
    let http = format!("  sendfile on;\n{more}");
    nginx(workers, &http, &format!("    root {};", root.display()))
}

/// PUT into `root` (the DAV module), bodies read a MiB at a time and renamed on the same file system.
pub fn nginx_dav(workers: usize, root: &Path) -> Running {
    let server = format!(
        "    root {root};
    client_body_temp_path {root}/body;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    location / {{ dav_methods PUT; }}",
        root = root.display()
    );
    nginx(workers, "", &server)
}

/// proxy_pass before `upstream` with idle connections kept; `more` says how it buffers.
pub fn nginx_proxy(workers: usize, upstream: &str, more: &str) -> Running {
    let http = format!("  upstream behind {{ server {upstream}; keepalive 512; keepalive_requests 100000000; }}");
    let server = format!(
        "    location / {{
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
{more}
    }}"
    );
    nginx(workers, &http, &server)
}

/// The edge's routes as nginx writes them: media and uploads to `stream`, all else to `api`.
pub fn nginx_edge(workers: usize, api: SocketAddr, stream: SocketAddr) -> Running {
    let keep = "keepalive 512; keepalive_requests 100000000;";
    let http = format!("  upstream api {{ server {api}; {keep} }}\n  upstream stream {{ server {stream}; {keep} }}");
    let pass = "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; \
                proxy_set_header X-Forwarded-For $remote_addr; proxy_max_temp_file_size 0;";
    let server = format!(
        "    location / {{ proxy_pass http://api; {pass} }}
    location /media/ {{ proxy_pass http://stream; {pass} }}
    location /uploads {{ proxy_pass http://stream; proxy_request_buffering off; client_max_body_size 0; {pass} }}"
    );
    nginx(workers, &http, &server)
}

/// The same of haproxy.
pub fn haproxy_edge(workers: usize, api: SocketAddr, stream: SocketAddr) -> Running {
    let backends = format!(
        "frontend front
  bind ADDRESS
  option forwardfor
  use_backend stream if {{ path_beg /media/ /uploads }}
  default_backend api
backend api
  server api {api} maxconn 2000 pool-max-conn 2000
backend stream
  server stream {stream} maxconn 2000 pool-max-conn 2000
"
    );
    haproxy_with(workers, 256 << 10, &backends)
}

/// haproxy as the balancer before two edges: who is not ready or can't be reached is left out, and what was not sent is sent to
/// the other.
pub fn haproxy_balancer(edges: &[SocketAddr]) -> Running {
    let check = "check inter 1s fastinter 200ms fall 2 rise 1";
    let servers: String = edges
        .iter()
        .enumerate()
        .map(|(number, edge)| format!("  server edge{number} {edge} {check}\n"))
        .collect();
    let listen = format!(
        "listen front
  bind ADDRESS
  option forwardfor
  option httpchk GET /readyz
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response
  http-request disable-l7-retry if !METH_GET
  timeout connect 1s
  timeout check 2s
  timeout tunnel 300s
  balance roundrobin
{servers}"
    );
    haproxy_with(1, 64 << 10, &listen)
}

/// haproxy that splices between clients and `upstream` (as it writes addresses) through pipes of `pipe` bytes.
pub fn haproxy(workers: usize, upstream: &str, pipe: usize) -> Running {
    let listen = format!("listen front\n  bind ADDRESS\n  server behind {upstream} maxconn 2000 pool-max-conn 2000\n");
    haproxy_with(workers, pipe, &listen)
}

/// haproxy with these proxies; ADDRESS stands for its own.
fn haproxy_with(workers: usize, pipe: usize, proxies: &str) -> Running {
    let (address, folder) = (running::free(), running::folder("haproxy"));
    let proxies = proxies.replace("ADDRESS", &address.to_string());
    let config = format!(
        "global
  nbthread {workers}
  maxconn 4000
  tune.pipesize {pipe}
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  option splice-request
  option splice-response
  http-reuse always
{proxies}"
    );
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, config).expect("a configuration");
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-db", "-q", "-f"]).arg(&file);
    Running::answers(&mut command, address, folder)
}

/// `peers/files.go`, built into `folder`, over `root`.
pub fn go(workers: usize, root: &Path, folder: &Path) -> Running {
    let program = folder.join("files");
    if !program.exists() {
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(running::programs().join("files.go"))
            .env("GO111MODULE", "off")
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "go build fails (scripts/setup.sh bench installs golang-go)"
        );
    }
    Running::says(Command::new(program).arg(root).env("GOMAXPROCS", workers.to_string()))
}
