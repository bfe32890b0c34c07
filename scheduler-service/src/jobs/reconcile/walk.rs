//! The comparison: two lists read side by side, page by page.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use common::clients::ClientError;
use common::ids::VideoId;
use common::messages::{MediaRecord, RecordPage, VideoRecord, VideoState, Visibility};
use common::time::Timestamp;

use super::report::{Finding, Report, What};
use crate::jobs::{Context, Trouble};

/// Records of one page.
const PAGE: u32 = 500;

/// Findings kept for one run: 100,000 are about 10 MB.
const MAX_FINDINGS: usize = 100_000;

/// An announcement that is younger is on its way (the outbox polls every 5 seconds).
const ANNOUNCE_GRACE: Duration = Duration::from_secs(60);

/// A record of either list.
trait Record {
    fn id(&self) -> &VideoId;
}

impl Record for VideoRecord {
    fn id(&self) -> &VideoId {
        &self.id
    }
}

impl Record for MediaRecord {
    fn id(&self) -> &VideoId {
        &self.id
    }
}

/// A list that is read on as needed.
struct Pages<T, F> {
    fetch: F,
    buffer: VecDeque<T>,
    last: Option<VideoId>,
    ended: bool,
    read: u64,
}

impl<T, F, Fut> Pages<T, F>
where
    T: Record,
    F: Fn(Option<VideoId>) -> Fut,
    Fut: Future<Output = Result<RecordPage<T>, ClientError>>,
{
    fn new(fetch: F) -> Self {
        Pages {
            fetch,
            buffer: VecDeque::new(),
            last: None,
            ended: false,
            read: 0,
        }
    }

    /// Makes the next record visible in `buffer`, when there is one.
    async fn fill(&mut self, context: &Context) -> Result<(), Trouble> {
        while self.buffer.is_empty() && !self.ended {
            context.hold.check_long()?;
            let page = (self.fetch)(self.last.clone()).await?;
            for record in page.items {
                // Out of order, the comparison would call media unknown that is not.
                if self.last.as_ref().is_some_and(|last| record.id() <= last) {
                    return Err(Trouble::Failed(format!("The list is not in order at {}", record.id())));
                }
                self.last = Some(record.id().clone());
                self.read += 1;
                self.buffer.push_back(record);
            }
            match page.next {
                None => self.ended = true,
                Some(next) if self.last.as_ref().is_some_and(|last| next < *last) => {
                    return Err(Trouble::Failed(format!("The list goes back to {next}")));
                }
                Some(next) if self.buffer.is_empty() && self.last.as_ref() == Some(&next) => {
                    return Err(Trouble::Failed(format!("The list stands still at {next}")));
                }
                Some(next) => self.last = Some(next),
            }
        }
        Ok(())
    }
}

/// What is known of one video on both sides.
pub(super) async fn compare(context: &Context, now: i64, report: &mut Report) -> Result<Vec<Finding>, Trouble> {
    let (api, stream) = (&context.clients.api, &context.clients.stream);
    let mut videos = Pages::new(|after: Option<VideoId>| async move { api.videos(after.as_ref(), PAGE).await });
    let mut media = Pages::new(|after: Option<VideoId>| async move { stream.media(after.as_ref(), PAGE).await });
    let rules = Rules {
        now: Timestamp(now),
        grace: context.orphan_grace,
    };
    let mut findings = Vec::new();
    loop {
        media.fill(context).await?;
        videos.fill(context).await?;
        let (video, record) = match (videos.buffer.front(), media.buffer.front()) {
            (None, None) => break,
            (Some(v), Some(m)) if v.id == m.id => (videos.buffer.pop_front(), media.buffer.pop_front()),
            (Some(v), Some(m)) if v.id > m.id => (None, media.buffer.pop_front()),
            (None, Some(_)) => (None, media.buffer.pop_front()),
            (Some(_), _) => (videos.buffer.pop_front(), None),
        };
        let found = rules.findings(video.as_ref(), record.as_ref());
        report.truncated |= findings.len() + found.len() > MAX_FINDINGS;
        if !report.truncated {
            findings.extend(found);
        }
    }
    (report.videos, report.media) = (videos.read, media.read);
    Ok(findings)
}

/// What counts as a difference.
struct Rules {
    now: Timestamp,
    grace: Duration,
}

impl Rules {
    fn findings(&self, video: Option<&VideoRecord>, media: Option<&MediaRecord>) -> Vec<Finding> {
        let live = media.is_some_and(|media| media.live);
        let age = |media: &MediaRecord| self.now.since(media.created_at);
        let mut found = Vec::new();
        match (video, media) {
            (None, Some(media)) if (media.live || media.objects > 0) && age(media) >= self.grace => {
                found.push(finding(What::UnknownMedia, &media.id));
            }
            (None, _) => {}
            (Some(video), media) => match video.state {
                // A failed one too: the loss was reported, and then the media came back.
                VideoState::AwaitingUpload | VideoState::Processing | VideoState::Failed => {
                    let waits = media.is_some_and(|media| age(media) >= self.grace.min(ANNOUNCE_GRACE));
                    found.extend((live && waits).then(|| finding(What::UnannouncedMedia, &video.id)));
                }
                VideoState::Ready => {
                    found.extend((!live).then(|| finding(What::LostMedia, &video.id)));
                    found.extend(visibility(video, media, false));
                }
                VideoState::Trashed | VideoState::Purging => {
                    let due = video.purge_at.unwrap_or(video.created_at);
                    if video.state == VideoState::Purging || due <= self.now {
                        found.push(Finding {
                            purge_at: due.millis(),
                            ..finding(What::MissingPurge, &video.id)
                        });
                    }
                    found.extend(visibility(video, media, true));
                }
            },
        }
        found
    }
}

fn visibility(video: &VideoRecord, media: Option<&MediaRecord>, hidden: bool) -> Option<Finding> {
    let wrong = media.is_some_and(|media| media.live && media.hidden != hidden);
    wrong.then(|| Finding {
        visibility: Visibility {
            hidden,
            version: video.version,
            min_grant: video.min_grant,
        },
        ..finding(What::WrongVisibility, &video.id)
    })
}

fn finding(what: What, video: &VideoId) -> Finding {
    Finding {
        what,
        video: video.clone(),
        purge_at: 0,
        visibility: Visibility {
            hidden: false,
            version: 0,
            min_grant: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 100 * HOUR;

    fn video(state: VideoState, purge_at: Option<i64>) -> VideoRecord {
        let id = "0000000000v1".parse().unwrap();
        VideoRecord {
            id,
            state,
            created_at: Timestamp(0),
            purge_at: purge_at.map(Timestamp),
            version: 3,
            min_grant: 2,
        }
    }

    fn media(live: bool, hidden: bool, created_at: i64) -> MediaRecord {
        let id = "0000000000v1".parse().unwrap();
        MediaRecord {
            id,
            live,
            hidden,
            objects: 1,
            bytes: 5,
            created_at: Timestamp(created_at),
        }
    }

    fn check(video: Option<VideoRecord>, media: Option<MediaRecord>, expected: &[What]) {
        let rules = Rules {
            now: Timestamp(NOW),
            grace: Duration::from_secs(3600),
        };
        let found: Vec<What> = rules
            .findings(video.as_ref(), media.as_ref())
            .iter()
            .map(|f| f.what)
            .collect();
        assert_eq!(found, expected, "{video:?} {media:?}");
    }

    #[test]
    fn what_counts_as_a_difference() {
        use VideoState::{AwaitingUpload, Failed, Processing, Purging, Ready, Trashed};
        use What::{LostMedia, MissingPurge, UnannouncedMedia, UnknownMedia, WrongVisibility};
        let old = NOW - 2 * HOUR;
        check(None, Some(media(true, false, old)), &[UnknownMedia]);
        check(None, Some(media(false, false, old)), &[UnknownMedia]);
        check(None, Some(media(true, false, NOW - HOUR + 1)), &[]);
        check(
            None,
            Some(MediaRecord {
                objects: 0,
                ..media(false, false, old)
            }),
            &[],
        );
        check(
            Some(video(AwaitingUpload, None)),
            Some(media(true, false, old)),
            &[UnannouncedMedia],
        );
        check(
            Some(video(Processing, None)),
            Some(media(true, false, NOW - 61_000)),
            &[UnannouncedMedia],
        );
        check(Some(video(Processing, None)), Some(media(true, false, NOW - 1000)), &[]);
        check(Some(video(AwaitingUpload, None)), Some(media(false, false, old)), &[]);
        check(Some(video(AwaitingUpload, None)), None, &[]);
        check(Some(video(Ready, None)), Some(media(true, false, old)), &[]);
        check(
            Some(video(Ready, None)),
            Some(media(true, true, old)),
            &[WrongVisibility],
        );
        check(Some(video(Ready, None)), Some(media(false, false, old)), &[LostMedia]);
        check(Some(video(Ready, None)), None, &[LostMedia]);
        check(Some(video(Failed, None)), None, &[]);
        check(Some(video(Failed, None)), Some(media(false, false, old)), &[]);
        check(
            Some(video(Failed, None)),
            Some(media(true, false, old)),
            &[UnannouncedMedia],
        );
        check(Some(video(Trashed, Some(NOW + 1))), Some(media(true, true, old)), &[]);
        check(
            Some(video(Trashed, Some(NOW + 1))),
            Some(media(true, false, old)),
            &[WrongVisibility],
        );
        check(
            Some(video(Trashed, Some(NOW))),
            Some(media(true, true, old)),
            &[MissingPurge],
        );
        check(Some(video(Purging, Some(NOW + 1))), None, &[MissingPurge]);
    }
}
