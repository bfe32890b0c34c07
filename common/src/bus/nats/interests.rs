//! Which subjects somebody here listens to, and what the broker knows of that.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::subject::Subject;

/// A subject that nobody listens to any more is kept for so long: rooms and users come and go, and mostly come back.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Interests {
    subjects: HashMap<Subject, Kept>,
    /// By the number that the broker puts on each message.
    numbers: HashMap<u64, Subject>,
    last: u64,
    /// To be asked for.
    asked: Vec<u64>,
    /// How many have no listener.
    deserted: usize,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    listeners: usize,
    /// The broker said that it knows.
    established: bool,
    /// Since when nobody listens.
    deserted: Option<Instant>,
}

impl Interests {
    /// One more listener; says whether the broker sends the subject already.
    pub fn listen(&mut self, subject: &Subject) -> bool {
        if let Some(kept) = self.subjects.get_mut(subject) {
            kept.listeners += 1;
            self.deserted -= usize::from(kept.deserted.take().is_some());
            return kept.established;
        }
        self.last += 1;
        let kept = Kept {
            number: self.last,
            listeners: 1,
            established: false,
            deserted: None,
        };
        self.subjects.insert(subject.clone(), kept);
        self.numbers.insert(self.last, subject.clone());
        self.asked.push(self.last);
        false
    }

    /// One listener less.
    pub fn leave(&mut self, subject: &Subject, now: Instant) {
        let Some(kept) = self.subjects.get_mut(subject) else {
            return;
        };
        kept.listeners -= 1;
        if kept.listeners == 0 {
            kept.deserted = Some(now);
            self.deserted += 1;
        }
    }

    #[must_use]
    pub fn subject(&self, number: u64) -> Option<&Subject> {
        self.numbers.get(&number)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.subjects.len()
    }

    /// What is to be asked for, numbers and subjects; it counts as asked then.
    pub fn take_asked(&mut self) -> Vec<(u64, Subject)> {
        let asked = std::mem::take(&mut self.asked);
        let known = |number: u64| Some((number, self.numbers.get(&number)?.clone()));
        asked.into_iter().filter_map(known).collect()
    }

    /// A new connection knows nothing: everything that somebody listens to is to be asked for again, and the rest is forgotten.
    pub fn ask_again(&mut self) {
        let numbers = &mut self.numbers;
        self.subjects.retain(|_, kept| {
            kept.established = false;
            if kept.listeners == 0 {
                numbers.remove(&kept.number);
            }
            kept.listeners > 0
        });
        self.deserted = 0;
        self.asked = self.numbers.keys().copied().collect();
    }

    /// The broker knows of `number` now; the subject.
    pub fn establish(&mut self, number: u64) -> Option<&Subject> {
        let subject = self.numbers.get(&number)?;
        self.subjects.get_mut(subject)?.established = true;
        Some(subject)
    }

    /// Forgets what nobody listens to for long enough: the numbers the broker is to forget, too.
    pub fn take_deserted(&mut self, now: Instant) -> Vec<u64> {
        if self.deserted == 0 {
            return Vec::new();
        }
        let (numbers, mut gone) = (&mut self.numbers, Vec::new());
        self.subjects.retain(|_, kept| {
            let over = kept
                .deserted
                .is_some_and(|since| now.saturating_duration_since(since) >= GRACE);
            if over {
                numbers.remove(&kept.number);
                gone.push(kept.number);
            }
            !over
        });
        self.deserted -= gone.len();
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    #[test]
    fn a_subject_is_asked_for_once_and_given_up_a_while_after_its_last_listener() {
        let (mut interests, now) = (Interests::default(), Instant::now());
        let subject = Subject::User(Id::now());
        assert!(!interests.listen(&subject));
        assert!(!interests.listen(&subject));
        assert_eq!(interests.take_asked(), [(1, subject.clone())]);
        assert_eq!(interests.take_asked(), []);
        assert_eq!(interests.establish(1), Some(&subject));
        interests.leave(&subject, now);
        interests.leave(&subject, now);
        assert_eq!(interests.take_deserted(now + GRACE / 2), [0; 0]);
        // Somebody came back in time: nothing to be asked for.
        assert!(interests.listen(&subject));
        assert_eq!(interests.take_deserted(now + GRACE * 2), [0; 0]);
        interests.leave(&subject, now);
        assert_eq!(interests.take_deserted(now + GRACE), [1]);
        assert_eq!((interests.len(), interests.subject(1)), (0, None));
        // The same subject again is another number: late messages of the old one are nobody's.
        assert!(!interests.listen(&subject));
        assert_eq!(interests.take_asked(), [(2, subject)]);
    }

    #[test]
    fn a_new_connection_is_asked_for_everything_that_is_listened_to() {
        let (mut interests, now) = (Interests::default(), Instant::now());
        let subjects: Vec<Subject> = (0..10).map(|_| Subject::User(Id::now())).collect();
        for subject in &subjects {
            interests.listen(subject);
        }
        interests.take_asked();
        for number in 1..=10 {
            assert!(interests.establish(number).is_some());
        }
        interests.leave(&subjects[0], now);
        interests.ask_again();
        let mut asked: Vec<u64> = interests.take_asked().into_iter().map(|(number, _)| number).collect();
        asked.sort_unstable();
        assert_eq!(asked, (2..=10).collect::<Vec<_>>());
        assert!(!interests.listen(&subjects[5]), "not established again yet");
        assert_eq!(interests.take_deserted(now + GRACE * 2), [0; 0]);
    }
}
