//! The limit of open files: each connection of a load client needs one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not connections.
const SPARE: u64 = 500;

/// Raises the limit to what is allowed; gives how many connections fit. Processes started later have it too.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("The limit of open files can't be raised: {error}");
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(allowed.saturating_sub(SPARE)).unwrap_or(usize::MAX)
}
