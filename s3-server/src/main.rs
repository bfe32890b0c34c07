//! `s3-server`: an S3 server on a folder, for the bench and for trying the scaled way where no store is at hand.

use clap::Parser;
use s3_server::{Options, Server};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(
    about = "An S3 server on a folder, for tests and trials. Not for data that is to be kept: nothing is synced."
)]
struct Arguments {
    /// Address and port; port 0 takes a free one, and the address is printed.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Where objects are kept, made if missing; without it they go with the server.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// A bucket to be made, or several.
    #[arg(long = "bucket", default_value = "media")]
    buckets: Vec<String>,
    #[arg(long, env = "S3_ACCESS_KEY", default_value = "sluice")]
    access_key: String,
    #[arg(long, env = "S3_SECRET_KEY", hide_env_values = true)]
    secret_key: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Server::start(Options {
        listen: arguments.listen,
        folder: arguments.folder,
        access_key: arguments.access_key,
        secret_key: arguments.secret_key,
        buckets: arguments.buckets,
        https: false,
    });
    match started {
        Ok(server) => {
            // The only line, for programs that wait for it.
            println!("{}", server.endpoint());
            server.wait()
        }
        Err(error) => {
            eprintln!("s3-server: {error}");
            ExitCode::FAILURE
        }
    }
}
