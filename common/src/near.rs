//! The way between two processes of one machine: a Unix socket beside the TCP one. Bytes that the kernel moves through it are neither
//! cut into segments nor acknowledged, so that passing them on takes both sides together a quarter to a third less CPU.
//!
//! A service binds a socket of a name of its own in `server.socket_dir` and says the name in the [`HEADER`] of its `/readyz`. Who finds
//! that name in the same folder is on the same machine, and may connect there; everybody else goes by TCP as before.
//!
//! Such a connection is handled as a [`TcpStream`]: tokio asks of it only what every stream socket can do, and the kernel
//! refuses or ignores the options of TCP, which all of our callers take. What it ignores is a reset (SO_LINGER 0): the other side reads
//! all that was sent, and then an end, so that it has to take an early end for a cut. Who connects has no address but the right to
//! the folder: [`net::NEAR`](crate::net::NEAR) stands for it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpStream, UnixStream};

use crate::config::ConfigError;

/// A field of the answer to `/readyz`: the name of the socket in `server.socket_dir`.
pub const HEADER: &str = "sluice-socket";

/// The key of the configuration that names the folder.
const KEY: &str = "server.socket_dir";

const SUFFIX: &str = "sock";

/// Not bound or not listening yet; or its process was killed just then.
const FRESH_SUFFIX: &str = "new";
const FRESH: Duration = Duration::from_secs(60);

/// Half of what may be under way in one direction (the kernel doubles it), as far as `net.core.wmem_max` allows: in all what a TCP
/// connection gets at most. Of a file they are pages of the cache, which are not copied. Half as much costs whole files a tenth more; twice
/// as much gains nothing. With what a socket has without asking, uploads cost an edge twice the CPU.
const UNDER_WAY: usize = 2 << 20;

/// The owner and its group.
const MODE: u32 = 0o660;

/// A socket that this process listens to.
pub struct Near {
    pub listener: UnixListener,
    pub file: SocketFile,
}

/// The file of a socket; removed with this.
pub struct SocketFile(PathBuf);

impl Near {
    /// Binds a socket for the process that listens to TCP `port`, and removes those that processes which were killed have left. The
    /// folder is made when it is missing.
    pub fn bind(folder: &str, port: u16) -> Result<Self, ConfigError> {
        let refuse = |error: io::Error| ConfigError::new(KEY, format!("no socket can be bound in {folder} ({error})"));
        let folder = Path::new(folder);
        warn_of_short_queues();
        fs::create_dir_all(folder).map_err(refuse)?;
        sweep(folder).map_err(refuse)?;
        let name = format!("{}-{port}-{:016x}", host(), rand::random::<u64>());
        // It gets its name when it listens, so that nobody takes it for one that was left.
        let (fresh, path) = (
            folder.join(format!("{name}.{FRESH_SUFFIX}")),
            folder.join(format!("{name}.{SUFFIX}")),
        );
        // The longer of the two.
        SockAddr::unix(&path).map_err(refuse)?;
        let listener = UnixListener::bind(&fresh).map_err(refuse)?;
        let named = fs::set_permissions(&fresh, fs::Permissions::from_mode(MODE))
            .and_then(|()| listener.set_nonblocking(true))
            .and_then(|()| fs::rename(&fresh, &path));
        if let Err(error) = named {
            drop(fs::remove_file(&fresh));
            return Err(refuse(error));
        }
        let file = SocketFile(path);
        Ok(Near { listener, file })
    }

    /// The name of the file.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.file.0.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            log::debug!("{} is not removed: {error}", self.0.display());
        }
    }
}

/// Where the socket `name` of another process is, if that can be its name.
#[must_use]
pub fn path(folder: &str, name: &str) -> Option<PathBuf> {
    let is_name = Path::new(name).extension().is_some_and(|suffix| suffix == SUFFIX)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (is_name && !folder.is_empty()).then(|| Path::new(folder).join(name))
}

/// Connects; an error at once when nobody listens, or more wait than the listener keeps.
pub fn connect(path: &Path) -> io::Result<TcpStream> {
    let socket = dial(path)?;
    queue_much(SockRef::from(&socket));
    TcpStream::from_std(OwnedFd::from(socket).into())
}

/// A connection that was accepted, as all others are handled.
pub fn accepted(stream: UnixStream) -> io::Result<TcpStream> {
    let stream = stream.into_std()?;
    queue_much(SockRef::from(&stream));
    TcpStream::from_std(OwnedFd::from(stream).into())
}

fn queue_much(socket: SockRef<'_>) {
    if let Err(error) = socket.set_send_buffer_size(UNDER_WAY) {
        log::debug!("A socket keeps its short queue: {error}");
    }
}

fn dial(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// The kernel cuts off what is asked for, and does not say so.
fn warn_of_short_queues() {
    const LIMIT: &str = "/proc/sys/net/core/wmem_max";
    let most = fs::read_to_string(LIMIT)
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok());
    if let Some(most) = most.filter(|most| *most < UNDER_WAY) {
        log::warn!(
            "net.core.wmem_max is {most}: {KEY} saves little below {UNDER_WAY} (sysctl -w net.core.wmem_max={UNDER_WAY})"
        );
    }
}

/// Removes sockets of ours that nobody listens to.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let refused = || dial(&path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if was_left(&path) && refused() {
            // Another process that starts may be doing the same.
            drop(fs::remove_file(&path));
        }
    }
    Ok(())
}

/// Whether it is a socket with a name of ours, and not just being made. (A file that is no socket refuses, too.)
fn was_left(path: &Path) -> bool {
    let Ok(seen) = fs::symlink_metadata(path) else {
        return false;
    };
    let age = seen.modified().ok().and_then(|time| time.elapsed().ok());
    let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
    let is_ours = text(path.file_stem())
        .rsplit_once('-')
        .is_some_and(|(_, number)| number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_left = match text(path.extension()).as_str() {
        SUFFIX => true,
        FRESH_SUFFIX => age.is_some_and(|age| age > FRESH),
        _ => false,
    };
    seen.file_type().is_socket() && is_ours && is_left
}

/// The machine's name, in letters that a path of a socket may have: at most 40, because such a path has room for 107 bytes.
fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let plain = name
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-');
    plain.take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn who_has_the_folder_and_the_name_connects() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("made").to_string_lossy().into_owned();
        let near = Near::bind(&text, 8080).unwrap();
        let path = path(&text, &near.name()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let Near { listener, file } = near;
        let mine = connect(&path).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let theirs = accepted(UnixStream::from_std(theirs).unwrap()).unwrap();
        theirs.writable().await.unwrap();
        assert_eq!(theirs.try_write(b"bytes").unwrap(), 5);
        mine.readable().await.unwrap();
        let mut read = [0; 9];
        assert_eq!(mine.try_read(&mut read).unwrap(), 5);
        assert_eq!(&read[..5], b"bytes");
        drop((listener, file));
        assert!(connect(&path).is_err());
        assert!(names(Path::new(&text)).is_empty(), "its file goes with it");
    }

    #[test]
    fn what_was_left_is_removed_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().to_string_lossy().into_owned();
        let used = Near::bind(&text, 1).unwrap();
        let killed = Near::bind(&text, 2).unwrap();
        let left = killed.name();
        drop(killed.listener);
        std::mem::forget(killed.file);
        // What others have there: files, a socket of another program, and one that is just being made.
        let long_ago = std::time::SystemTime::now() - FRESH * 2;
        let mut others = vec![
            "notes.txt",
            "notes.sock",
            "a-1-0123456789abcdef.sock",
            "a-1-0123456789abcdef.new",
        ];
        for name in &others {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        for name in ["other.sock", "b-1-0123456789abcdef.new"] {
            drop(UnixListener::bind(folder.path().join(name)).unwrap());
            others.push(name);
        }
        // One whose process was killed while it was being made.
        let half = folder.path().join("c-1-0123456789abcdef.new");
        drop(UnixListener::bind(&half).unwrap());
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 },
            last_modification: rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 },
        };
        rustix::fs::utimensat(rustix::fs::CWD, &half, &times, rustix::fs::AtFlags::empty()).unwrap();
        assert!(names(folder.path()).contains(&left));
        let second = Near::bind(&text, 3).unwrap();
        let mut expected: Vec<String> = others.into_iter().map(str::to_owned).collect();
        expected.extend([used.name(), second.name()]);
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn only_names_of_sockets_in_the_folder_are_taken() {
        assert_eq!(path("/run/s", "a-1.sock"), Some("/run/s/a-1.sock".into()));
        for wrong in [
            "",
            "sock",
            ".sock",
            "../a.sock",
            "/run/docker.sock",
            "a.txt",
            "a b.sock",
            "a\0.sock",
        ] {
            assert_eq!(path("/run/s", wrong), None, "{wrong}");
        }
        assert_eq!(path("", "a.sock"), None);
    }

    #[test]
    fn a_folder_that_cannot_be_one_is_refused_in_the_name_of_its_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Near::bind(&file.path().to_string_lossy(), 1).err().unwrap().to_string();
        assert!(error.contains(KEY), "{error}");
        // Up to the longest whose socket can be connected to, and one byte more.
        let dir = tempfile::tempdir().unwrap();
        let name = format!("/{}-1-{:016x}.{SUFFIX}", host(), 0);
        let longest = 107 - name.len() - dir.path().as_os_str().len() - 1;
        for (length, binds) in [(longest, true), (longest + 1, false), (100, false)] {
            let folder = dir.path().join("x".repeat(length)).display().to_string();
            match Near::bind(&folder, 1) {
                Ok(near) => assert!(binds && dial(&near.file.0).is_ok(), "{length}"),
                Err(error) => assert!(!binds && error.to_string().contains(KEY), "{length}: {error}"),
            }
        }
    }
}
