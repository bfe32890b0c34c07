//! `sluice doctor`: looks at everything that a configuration names and says what is wrong with which setting.

use common::config::{ConfigError, Loaded};
use common::doctor::{self, Finding, Level};
use common::service::StartError;

use crate::cli::ConfigArgs;

/// How the findings are shown, and where people reach the site.
pub struct Asked {
    pub url: Option<String>,
    pub json: bool,
}

/// Prints the findings. An error when one of them is a failure.
pub fn examine(args: &ConfigArgs, asked: &Asked) -> Result<(), StartError> {
    let findings = match args.loaded() {
        Ok(loaded) => all(loaded, asked.url.as_deref()),
        Err(ConfigError { key, problem }) => vec![Finding::fail(key, "configuration", problem, "as the message says")],
    };
    show(&findings, asked.json);
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => Ok(()),
        (0, warnings) => {
            eprintln!("sluice: {warnings} warnings, nothing that does not work");
            Ok(())
        }
        (failures, _) => Err(StartError::Other(format!("{failures} checks failed"))),
    }
}

fn all(loaded: Loaded, url: Option<&str>) -> Vec<Finding> {
    let Loaded { mut config, sources } = loaded;
    let mut findings = vec![Finding::ok(
        "configuration",
        "read",
        "every key is known and every value is right",
    )];
    findings.extend(doctor::secrets(&config, &sources));
    if let Err(ConfigError { key, problem }) = common::data_dir::secrets(&mut config, false) {
        findings.push(Finding::fail(
            key,
            "secrets",
            problem,
            "give the file to the user that runs sluice",
        ));
    }
    findings.push(doctor::clock());
    findings.extend(doctor::data_dir(&config));
    findings.extend(doctor::disk("server.data_dir", &config.data_dir()));
    // Each waits for other machines: together the slowest is waited for, not the sum.
    std::thread::scope(|scope| {
        let config = &config;
        let parts = [
            scope.spawn(move || api_service::examine(config)),
            scope.spawn(move || stream_service::examine(config)),
            scope.spawn(move || scheduler_service::examine(config)),
            scope.spawn(move || actix_web::rt::System::new().block_on(doctor::bus(config))),
            scope.spawn(move || {
                url.map(|url| web_proxy::doctor::examine(config, url))
                    .unwrap_or_default()
            }),
        ];
        for part in parts {
            findings.extend(part.join().unwrap_or_else(|_| {
                vec![Finding::fail(
                    "sluice",
                    "doctor",
                    "a check ended by a bug of its own",
                    "report it",
                )]
            }));
        }
    });
    dedup(findings)
}

/// Three databases on one server say the same about it.
fn dedup(findings: Vec<Finding>) -> Vec<Finding> {
    let mut once: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        if !once.contains(&finding) {
            once.push(finding);
        }
    }
    once
}

fn show(findings: &[Finding], json: bool) {
    if json {
        let text = serde_json::to_string_pretty(findings).expect("findings are plain data");
        println!("{text}");
        return;
    }
    for finding in findings {
        println!("{finding}");
    }
}
