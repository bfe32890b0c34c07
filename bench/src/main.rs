//! Measurements of the built platform (`target/release/sluice`), each a command that prints a table. Figures are medians
//! of interleaved rounds; the machine, its load and the versions stand above every table.

mod gateway;
mod http;
mod load;
mod memory;
mod purge;
mod reads;
mod server;
mod sign_in;
mod start;
mod table;
mod video;

use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

const COMMANDS: &[&str] = &["start", "memory", "reads", "sign-in", "purge"];

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let all = asked.iter().any(|name| name == "all");
    let known = |name: &String| name == "all" || COMMANDS.contains(&name.as_str());
    let gateway = asked.first().is_some_and(|name| name == "gateway");
    if !gateway && (asked.is_empty() || !asked.iter().all(known)) {
        eprintln!("usage: bench all | {} | {}", COMMANDS.join(" | "), gateway::usage());
        return ExitCode::from(2);
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    table::machine();
    if gateway {
        return run_gateway(&runtime, &asked[1..]);
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
        run_gateway(&runtime, &[])
    } else {
        ExitCode::SUCCESS
    }
}

/// The gateway has parts and options of its own.
fn run_gateway(runtime: &Runtime, arguments: &[String]) -> ExitCode {
    match gateway::run(runtime, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("usage: bench {problem}");
            ExitCode::from(2)
        }
    }
}
