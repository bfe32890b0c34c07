//! The peers, started beside us on free ports: nchan in nginx (Debian's packages), and npm `ws` on Node.

use std::net::SocketAddr;
use std::process::Command;

use crate::running::{self, Running};

pub fn nchan_version() -> String {
    let nginx = running::nginx_version();
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
    let package = std::fs::read_to_string(running::programs().join("package.json")).unwrap_or_default();
    let package: serde_json::Value = serde_json::from_str(&package).unwrap_or_default();
    let ws = package["dependencies"]["ws"].as_str().unwrap_or("?");
    format!("{ws} on Node {}", running::said("node", "--version", "nodejs"))
}

/// nginx with one worker: CPU per delivery is what is compared, and one worker passes no messages between processes.
pub fn nchan() -> Running {
    let address = running::free();
    running::nginx(&nginx_config(address), 1, address, running::folder("nchan"))
}

fn nginx_config(address: SocketAddr) -> String {
    let user = running::nginx_user();
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
    let folder = running::programs();
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
    Running::says(Command::new("node").arg(folder.join("ws.mjs")))
}
