//! A turn of a connection.

use std::os::fd::AsFd;

use super::*;

const PIPE: usize = 1 << 20;

#[test]
fn a_turn_ends_after_its_window_and_splits_no_pipe() {
    let (socket, nothing) = (Memory::default(), file(b""));
    let woken = futures_util::task::noop_waker();
    let mut cx = Context::from_waker(&woken);
    let mut to = Outlet::new(&socket);
    let held = PIPE - 4_096;
    let mut splice = |cx: &mut Context<'_>| to.poll_splice(cx, nothing.as_fd(), held, true);
    for turn in 0..3 {
        // The third begins when a little of the window is left.
        assert!(
            matches!(splice(&mut cx), Poll::Ready(Ok(count)) if count == held),
            "{turn}"
        );
    }
    assert!(splice(&mut cx).is_pending(), "the window is over");
    assert_eq!(to.sent, 3 * held as u64);
    assert!(!to.blocked, "the others are waited for, not the client");
}

#[test]
fn a_turn_takes_no_more_of_a_file_than_its_window() {
    let bytes = vec![7; 9];
    let (socket, source) = (Memory::default(), file(&bytes));
    let woken = futures_util::task::noop_waker();
    let mut cx = Context::from_waker(&woken);
    let mut to = Outlet::new(&socket);
    to.left = 3;
    let mut offset = 0;
    // Some of the calls are put off.
    for _ in 0..20 {
        let sent = to.poll_sendfile(&mut cx, source.as_fd(), &mut offset, 9);
        assert!(!matches!(sent, Poll::Ready(Err(_))));
    }
    assert_eq!((offset, to.sent), (3, 3));
}
