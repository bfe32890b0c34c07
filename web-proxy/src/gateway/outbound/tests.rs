use super::*;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use Class::{Control, Event, Merged, Reply};

fn bytes(len: usize, fill: u8) -> Frames {
    vec![fill; len].into()
}

/// All that would be written, without writing it.
fn content(queue: &Outbound) -> Vec<u8> {
    let mut all = Vec::new();
    let mut skip = queue.written;
    for chunk in queue.front.iter().chain(&queue.rest) {
        all.extend_from_slice(&chunk.bytes[skip..]);
        skip = 0;
    }
    all
}

/// Pushes one byte per letter: lower case is an event, upper case a merged chunk with that key, three bytes long.
fn queue_of(text: &str, now: Instant) -> Outbound {
    let mut queue = Outbound::new(now);
    for letter in text.bytes() {
        match letter {
            b'A'..=b'Z' => queue.push(bytes(3, letter), Merged(letter.into()), now).unwrap(),
            _ => queue.push(bytes(1, letter), Event, now).unwrap(),
        }
    }
    queue
}

fn text(queue: &Outbound) -> String {
    String::from_utf8(content(queue)).unwrap()
}

#[test]
fn an_idle_queue_is_small_and_has_nothing_on_the_heap() {
    assert!(size_of::<Outbound>() <= 104, "{}", size_of::<Outbound>());
    let now = Instant::now();
    let mut queue = Outbound::new(now);
    for round in 0..3 {
        assert_eq!(
            (queue.is_empty(), queue.waiting, queue.rest.capacity()),
            (true, 0, 0),
            "{round}"
        );
        queue.push(bytes(5, b'a'), Event, now).unwrap();
        assert_eq!(queue.rest.capacity(), 0, "nor for one chunk");
        queue.push(bytes(5, b'b'), Event, now).unwrap();
        queue.advance(10, now);
    }
    queue.push(bytes(5, b'a'), Event, now).unwrap();
    queue.push(bytes(5, b'b'), Merged(1), now).unwrap();
    queue.clear();
    assert_eq!((queue.is_empty(), queue.waiting, queue.rest.capacity()), (true, 0, 0));
    queue.push(bytes(0, 0), Event, now).unwrap();
    assert!(queue.is_empty(), "nothing is nothing");
}

#[test]
fn what_is_pushed_is_written_in_order() {
    let now = Instant::now();
    let mut queue = queue_of("abcdefghijklmnopqrstuvwxyz", now);
    assert!(queue.front_slices(0).is_empty());
    assert_eq!(queue.front_slices(3).len(), 3);
    assert_eq!(queue.front_slices(1000).len(), MAX_SLICES);
    queue.advance(3, now);
    assert_eq!(&*queue.front_slices(2)[0], b"d");
    queue.push(bytes(4, b'!'), Reply, now).unwrap();
    queue.advance(24, now);
    let slices = queue.front_slices(16);
    assert_eq!((slices.len(), &*slices[0]), (1, &b"!!!"[..]));
    queue.advance(3, now);
    assert!(queue.front_slices(16).is_empty() && queue.is_empty());
}

#[test]
fn only_the_newest_of_a_key_waits_and_it_is_last() {
    let now = Instant::now();
    let cases = [
        ("aXbX", "abXXX"),
        ("XaX", "aXXX"),
        ("XX", "XXX"),
        ("XYX", "YYYXXX"),
        ("aXbYcXdY", "abcXXXdYYY"),
    ];
    for (pushed, expected) in cases {
        let queue = queue_of(pushed, now);
        assert_eq!(
            (text(&queue).as_str(), queue.waiting),
            (expected, expected.len()),
            "{pushed}"
        );
    }
    // One that is partly written stays whole.
    let mut queue = queue_of("Xa", now);
    queue.advance(1, now);
    queue.push(bytes(3, b'x'), Merged(b'X'.into()), now).unwrap();
    assert_eq!(text(&queue), "XXaxxx");
    queue.push(bytes(2, b'y'), Merged(b'X'.into()), now).unwrap();
    assert_eq!(text(&queue), "XXayy");
}

#[test]
fn keys_are_those_of_their_videos() {
    let video: VideoId = "0123456789ab".parse().unwrap();
    let other: VideoId = "0123456789ac".parse().unwrap();
    assert_eq!(Class::count(&video), Class::count(&video));
    assert_ne!(Class::count(&video), Class::count(&other));
    assert_ne!(Class::count(&video), Class::progress(video.as_str()));
    assert_eq!(Class::progress("0123456789ab"), Class::progress(video.as_str()));
}

#[test]
fn merged_chunks_go_first() {
    let now = Instant::now();
    let mut queue = queue_of("XaYb", now);
    queue.push(bytes(SHED_BYTES - queue.waiting, b'-'), Event, now).unwrap();
    assert!(text(&queue).starts_with("XXXaYYYb"), "at the limit all stays");
    queue.push(bytes(1, b'c'), Event, now).unwrap();
    assert!(text(&queue).starts_with("ab--"));
    assert_eq!(queue.waiting, SHED_BYTES + 1 - 6);
    // What would be over the limit is not accepted, what is not is.
    queue.push(bytes(6, b'Z'), Merged(1), now).unwrap();
    assert!(text(&queue).ends_with('c'));
    queue.push(bytes(5, b'Z'), Merged(1), now).unwrap();
    assert!(text(&queue).ends_with("cZZZZZ"));
    assert_eq!(queue.waiting, SHED_BYTES);

    let mut queue = queue_of("XY", now);
    queue.advance(1, now);
    queue.push(bytes(SHED_BYTES, b'-'), Reply, now).unwrap();
    assert!(text(&queue).starts_with("XX--"), "a frame that has begun is finished");
}

#[test]
fn too_much_is_an_overflow_and_changes_nothing() {
    let now = Instant::now();
    let mut queue = Outbound::new(now);
    queue.push(bytes(MAX_BYTES - 1, b'-'), Event, now).unwrap();
    assert_eq!(queue.push(bytes(2, b'x'), Event, now), Err(Overflow));
    queue.push(bytes(1, b'x'), Event, now).unwrap();
    assert_eq!(queue.push(bytes(1, b'x'), Event, now), Err(Overflow));
    assert_eq!(queue.waiting, MAX_BYTES);
    assert_eq!(content(&queue).len(), MAX_BYTES);
    queue.push(bytes(1, b'X'), Merged(1), now).unwrap();
    assert_eq!(queue.waiting, MAX_BYTES, "what may be dropped never overflows");
    // A few pongs find room, a flood of them does not, and the close frame always.
    queue.push(bytes(CONTROL_SPARE, b'c'), Control, now).unwrap();
    assert_eq!(queue.push(bytes(1, b'c'), Control, now), Err(Overflow));
    queue.push_last(bytes(4, b'!'), now);
    assert!(text(&queue).ends_with("!!!!"));
    queue.advance(CONTROL_SPARE + 5, now);
    queue.push(bytes(1, b'x'), Event, now).unwrap();
}

#[test]
fn answers_count_by_themselves_and_have_a_bound_too() {
    let now = Instant::now();
    let mut queue = Outbound::new(now);
    for _ in 0..MAX_REPLY_BYTES / MAX_BYTES {
        assert_eq!(queue.is_full(), !queue.is_empty());
        queue.push(bytes(MAX_BYTES, b'r'), Reply, now).unwrap();
    }
    assert_eq!(queue.push(bytes(1, b'r'), Reply, now), Err(Overflow));
    // What is said meanwhile still finds its own place, and a goodbye.
    queue.push(bytes(MAX_BYTES, b'e'), Event, now).unwrap();
    assert_eq!(queue.push(bytes(1, b'e'), Event, now), Err(Overflow));
    queue.push(bytes(1, b'c'), Control, now).unwrap();
    queue.advance(MAX_REPLY_BYTES, now);
    assert_eq!(queue.replies, 0);
    queue.advance(MAX_BYTES + 1 - SHED_BYTES, now);
    assert!(!queue.is_full());
    queue.push(bytes(MAX_BYTES, b'r'), Reply, now).unwrap();
    queue.clear();
    assert_eq!(queue.replies, 0);
}

#[test]
fn one_chunk_that_is_too_large_is_taken_alone() {
    let now = Instant::now();
    let mut queue = Outbound::new(now);
    queue.push(bytes(2 * MAX_BYTES, b'-'), Event, now).unwrap();
    assert_eq!(queue.push(bytes(1, b'x'), Event, now), Err(Overflow));
    assert_eq!(queue.push(bytes(1, b'x'), Control, now), Err(Overflow));
    queue.advance(MAX_BYTES + 1, now);
    queue.push(bytes(1, b'x'), Event, now).unwrap();

    // A merged one, too: the caller may have written half of it.
    let mut queue = Outbound::new(now);
    queue.push(bytes(SHED_BYTES + 2, b'X'), Merged(1), now).unwrap();
    queue.advance(1, now);
    assert_eq!(queue.waiting, SHED_BYTES + 1);
}

#[test]
fn a_goodbye_follows_what_is_partly_written() {
    let now = Instant::now();
    let mut queue = queue_of("Xabc", now);
    queue.clear();
    assert_eq!(text(&queue), "");
    let mut queue = queue_of("Xabc", now);
    queue.advance(2, now);
    queue.clear();
    queue.push(bytes(1, b'!'), Control, now).unwrap();
    assert_eq!((text(&queue).as_str(), queue.waiting), ("X!", 2));
}

#[test]
fn a_stall_is_ten_seconds_without_a_byte_while_some_wait() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let mut queue = Outbound::new(start);
    assert!(!queue.stalled(at(1000)), "nothing waits");
    queue.push(bytes(10, b'a'), Event, at(1000)).unwrap();
    assert!(!queue.stalled(at(1009)));
    queue.push(bytes(10, b'b'), Event, at(1009)).unwrap();
    assert!(queue.stalled(at(1010)), "more that waits is no progress");
    queue.advance(0, at(1010));
    assert!(queue.stalled(at(1010)), "nor is nothing");
    queue.advance(1, at(1010));
    assert!(!queue.stalled(at(1019)));
    assert!(queue.stalled(at(1020)));
    assert!(!queue.stalled(start), "a clock that goes back");
    queue.advance(19, at(1020));
    assert!(!queue.stalled(at(2000)));
}

/// The same queue, as simple as can be: a list of chunks, counted anew each time.
#[derive(Default)]
struct Model {
    /// What waits of it, its whole size, its class, whether some of it was sent.
    chunks: Vec<(Vec<u8>, usize, Class, bool)>,
}

impl Model {
    fn waiting(&self) -> usize {
        self.chunks.iter().map(|(bytes, ..)| bytes.len()).sum()
    }

    /// A reply counts whole while any of it waits.
    fn replies(&self) -> usize {
        let replies = self.chunks.iter().filter(|(.., class, _)| *class == Reply);
        replies.map(|(_, size, ..)| size).sum()
    }

    fn push(&mut self, bytes: &[u8], class: Class) -> Result<(), Overflow> {
        let is_merged = matches!(class, Merged(_));
        if is_merged {
            self.chunks.retain(|(.., other, begun)| *begun || *other != class);
        }
        if self.chunks.is_empty() {
            self.chunks.push((bytes.to_vec(), bytes.len(), class, false));
            return Ok(());
        }
        let after = self.waiting() + bytes.len();
        if is_merged && after > SHED_BYTES {
            return Ok(());
        }
        let replies: usize = self.replies();
        let over = match class {
            Control => after.saturating_sub(replies) > MAX_BYTES + CONTROL_SPARE,
            Event => after.saturating_sub(replies) > MAX_BYTES,
            Reply => replies + bytes.len() > MAX_REPLY_BYTES,
            Merged(_) => false,
        };
        if over {
            return Err(Overflow);
        }
        self.chunks.push((bytes.to_vec(), bytes.len(), class, false));
        if self.waiting() > SHED_BYTES {
            self.chunks
                .retain(|(.., other, begun)| *begun || !matches!(other, Merged(_)));
        }
        Ok(())
    }

    fn write(&mut self, mut count: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while count > 0 {
            let (bytes, .., begun) = &mut self.chunks[0];
            let taken = count.min(bytes.len());
            written.extend(bytes.drain(..taken));
            *begun = true;
            count -= taken;
            if bytes.is_empty() {
                self.chunks.remove(0);
            }
        }
        written
    }
}

/// Writes like a socket: `count` bytes from the front of the slices.
fn write(queue: &mut Outbound, count: usize, slices: usize, now: Instant) -> Vec<u8> {
    let mut written: Vec<u8> = queue
        .front_slices(slices)
        .iter()
        .flat_map(|slice| slice.iter().copied())
        .collect();
    written.truncate(count);
    queue.advance(written.len(), now);
    written
}

#[test]
fn it_does_what_the_model_does() {
    let given = std::env::var("SLUICE_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed: u64 = given.unwrap_or_else(rand::random);
    println!("SLUICE_TEST_SEED={seed}");
    for round in 0..30 {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(round));
        let (mut queue, mut model) = (Outbound::new(Instant::now()), Model::default());
        let now = Instant::now();
        // From chunks that never fill the queue to such that overflow it soon.
        let largest = 1 << random.random_range(2..19);
        for step in 0..200u32 {
            if random.random_bool(0.6) {
                let class = match random.random_range(0..5) {
                    0 => Reply,
                    1 => Control,
                    2 => Event,
                    _ => Merged(random.random_range(0..3)),
                };
                let chunk = vec![step as u8; random.random_range(0..=largest)];
                if chunk.is_empty() {
                    assert_eq!(queue.push(chunk.into(), class, now), Ok(()));
                    continue;
                }
                let expected = model.push(&chunk, class);
                assert_eq!(
                    queue.push(chunk.into(), class, now),
                    expected,
                    "seed {seed} round {round} step {step}"
                );
            } else if random.random_bool(0.02) {
                queue.clear();
                model.chunks.retain(|(.., begun)| *begun);
            } else {
                let count = random.random_range(0..=largest * 2);
                let written = write(&mut queue, count, random.random_range(0..20), now);
                assert_eq!(
                    model.write(written.len()),
                    written,
                    "seed {seed} round {round} step {step}"
                );
            }
            assert_eq!(queue.waiting, model.waiting(), "seed {seed} round {round} step {step}");
            assert_eq!(queue.is_empty(), model.chunks.is_empty());
        }
        let rest = content(&queue);
        assert_eq!(model.write(model.waiting()), rest, "seed {seed} round {round}");
    }
}
