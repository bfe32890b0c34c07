//! Measurements of the built platform (`target/release/sluice`), each a command that prints a table. Figures are medians
//! of interleaved rounds; the machine, its load and the versions stand above every table.

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

use tokio::runtime::Builder;

const COMMANDS: &[&str] = &["start", "memory", "reads", "sign-in", "purge"];

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let all = asked.iter().any(|name| name == "all");
    let known = |name: &String| name == "all" || COMMANDS.contains(&name.as_str());
    if asked.is_empty() || !asked.iter().all(known) {
        eprintln!("usage: bench all | {}", COMMANDS.join(" | "));
        return ExitCode::from(2);
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    table::machine();
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
    ExitCode::SUCCESS
}
