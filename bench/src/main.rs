//! Measurements of the built platform (`target/release/sluice`), each a command that prints a table. Figures are medians
//! of interleaved rounds; the machine, its load and the versions stand above every table.

mod bytes;
mod descriptors;
mod failover;
mod gateway;
mod goals;
mod hop;
mod http;
mod load;
mod memory;
mod meter;
mod purge;
mod raw;
mod reads;
mod running;
mod s3;
mod server;
mod sign_in;
mod start;
mod table;
mod video;

use std::process::ExitCode;

use tokio::runtime::Builder;

const COMMANDS: &[&str] = &["start", "memory", "reads", "sign-in", "purge"];

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let all = asked.iter().any(|name| name == "all");
    let known = |name: &String| name == "all" || COMMANDS.contains(&name.as_str());
    let first = |name: &str| asked.first().is_some_and(|word| word == name);
    let (gateway, bytes, hop, failover) = (first("gateway"), first("bytes"), first("hop"), first("failover"));
    let known_part = gateway || bytes || hop || failover || first("s3") || first("raw");
    if !known_part && (asked.is_empty() || !asked.iter().all(known)) {
        let commands = COMMANDS.join(" | ");
        eprintln!(
            "usage: bench all | {commands} | {} | {} | {} | {} | {}",
            gateway::usage(),
            bytes::usage(),
            hop::usage(),
            failover::usage(),
            s3::usage()
        );
        return ExitCode::from(2);
    }
    if first("raw") {
        raw::serve(&asked[1..]);
        return ExitCode::SUCCESS;
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    table::machine();
    if gateway {
        return said(gateway::run(&runtime, &asked[1..]));
    }
    if bytes {
        return said(bytes::run(&asked[1..]));
    }
    if hop {
        return said(hop::run(&runtime, &asked[1..]));
    }
    if failover {
        return said(failover::run(&runtime, &asked[1..]));
    }
    if first("s3") {
        return said(s3::run(&runtime, &asked[1..]));
    }
    for name in COMMANDS
        .iter()
        .filter(|name| all || asked.iter().any(|asked| asked == *name))
    {
        runtime.block_on(async {
            match *name {
                "start" => start::measure().await,
                "memory" => memory::measure().await,
                "reads" => reads::measure().await,
                "sign-in" => sign_in::measure().await,
                _ => purge::measure().await,
            }
        });
    }
    if all {
        said(gateway::run(&runtime, &[]).and_then(|()| bytes::run(&[])))
    } else {
        ExitCode::SUCCESS
    }
}

/// The gateway and the bytes have parts and options of their own, which may be wrong.
fn said(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("usage: bench {problem}");
            ExitCode::from(2)
        }
    }
}
