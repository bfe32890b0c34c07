//! scheduler-service alone, configured by `SLUICE_CONFIG` and the environment. `sluice scheduler` is the same with a command line.

use std::process::ExitCode;

use common::process::{Process, main as process_main, run_one};

fn main() -> ExitCode {
    process_main(|config| {
        run_one(config, "scheduler", true, async |process: Process| {
            let service = scheduler_service::start(&process.config, &process.platform).await?;
            process.serve("scheduler", vec![service], &[]).await
        })
    })
}
